// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func greeting(t *testing.T, address string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	text, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(text)
}

func TestFlagsBeforeTheVerbAndARelativePath(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))               // whatever the umask is
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // the daemon reloads as an unprivileged user
	require.NoError(t, os.WriteFile(dir+"/greeting", []byte("Hello.\n"), 0o644))
	address := freeAddress(t)
	program := testbed.Example(t, "flags")
	greeter := func(verb string, flags ...string) (int, string) {
		c := program(append(append([]string{"-pidfile-directory", dir}, flags...), verb)...)
		c.Dir = dir
		out, _ := c.CombinedOutput()
		require.NotNil(t, c.ProcessState)
		return c.ProcessState.ExitCode(), string(out)
	}
	t.Cleanup(func() { greeter("stop") })

	code, said := greeter("start", "-file", "gretting", "-listen", address)
	assert.Equal(t, 6, code)
	assert.Contains(t, said, "gretting: no such file or directory")
	code, said = greeter("start", "-file", "greeting", "-listen", address)
	require.Equal(t, 0, code, said)
	assert.Equal(t, "Hello.\n", greeting(t, address), "read by a relative path")
	code, said = greeter("status")
	assert.Equal(t, 0, code, said)

	require.NoError(t, os.WriteFile(dir+"/greeting", []byte("Bonjour.\n"), 0o644))
	code, said = greeter("reload")
	assert.Equal(t, 0, code, said)
	testbed.Eventually(t, func() bool { return greeting(t, address) == "Bonjour.\n" }, "the new greeting")
	code, said = greeter("stop")
	assert.Equal(t, 0, code, said)

	code, said = greeter("start", "-nonsense")
	assert.Equal(t, 2, code)
	assert.Contains(t, said, "Usage: greeter [flags] {start|stop|restart|status|reload|run}")
}
