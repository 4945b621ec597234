// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSealedFileIsThereWhenTheCommandReturns(t *testing.T) {
	testbed.NeedStatusTold(t)
	if !testbed.Isolate(t) {
		return
	}
	dir := testbed.PrivateDir(t)
	require.NoError(t, os.WriteFile(dir+"/keys", []byte("user:secret\n"), 0o600))
	require.NoError(t, os.Mkdir(dir+"/mnt", 0o755))
	program := testbed.Example(t, "vault")
	vault := func(password string, args ...string) (int, string) {
		c := program(args...)
		c.Dir, c.Stdin = dir, strings.NewReader(password+"\n")
		return testbed.Finish(t, c)
	}
	code, said := vault("pass", "seal", "keys", "keys.sealed")
	require.Zero(t, code, said)
	sealed, err := os.ReadFile(dir + "/keys.sealed")
	require.NoError(t, err)
	assert.NotContains(t, string(sealed), "secret")

	for _, wrong := range []struct {
		password, directory string
		code                int
		said                string
	}{
		{"word", "mnt", 12, "vault: wrong password"},
		{"pass", ".", 10, "is not an empty directory"},
		{"pass", "nowhere", 10, "no such file or directory"},
	} {
		code, said := vault(wrong.password, "open", "keys.sealed", wrong.directory)
		assert.Equal(t, wrong.code, code, said)
		assert.Contains(t, said, wrong.said)
		testbed.None(t, "vault")
	}

	code, said = vault("pass", "open", "keys.sealed", "mnt")
	require.Zero(t, code, said)
	assert.Empty(t, said)
	text, err := os.ReadFile(filepath.Join(dir, "mnt", "keys"))
	require.NoError(t, err, "the command has returned: it must be there")
	assert.Equal(t, "user:secret\n", string(text))
	pid := testbed.One(t, "vault")
	for fd := range 3 {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
		require.NoError(t, err)
		assert.Equal(t, "/dev/null", to)
	}

	require.NoError(t, unix.Kill(pid, unix.SIGTERM))
	testbed.Eventually(t, func() bool {
		entries, err := os.ReadDir(dir + "/mnt")
		return err == nil && len(entries) == 0
	}, "the mount point to be empty")
}

func TestPasswordIsNotSeenOnATerminal(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	dir := testbed.PrivateDir(t)
	require.NoError(t, os.WriteFile(dir+"/keys", []byte("user:secret\n"), 0o600))
	require.NoError(t, os.Mkdir(dir+"/mnt", 0o755))
	vault := testbed.Example(t, "vault")
	seal := vault("seal", "keys", "keys.sealed")
	seal.Dir, seal.Stdin = dir, strings.NewReader("pass\n")
	testbed.Run(t, 0, seal)

	terminal := testbed.NewTerminal(t, 80)
	open := vault("open", "keys.sealed", "mnt")
	open.Dir = dir
	open.Stdin, open.Stdout, open.Stderr = terminal.File, terminal.File, terminal.File
	require.NoError(t, open.Start())
	testbed.Eventually(t, func() bool { return strings.Contains(terminal.Text(), "Password: ") }, "the prompt")
	_, err := terminal.Keyboard.WriteString("pass\n")
	require.NoError(t, err)
	require.NoError(t, open.Wait())
	assert.NotContains(t, terminal.Text(), "pass")
	assert.FileExists(t, dir+"/mnt/keys")
	require.NoError(t, unix.Kill(testbed.One(t, "vault"), unix.SIGTERM))
	testbed.None(t, "vault")
}
