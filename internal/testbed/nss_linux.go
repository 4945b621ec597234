// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Overlay lays a file with this text over one that is there, until the test
// ends. It is for a test in Isolate, which nobody else sees.
func Overlay(t testing.TB, path, text string) {
	t.Helper()
	require.Equal(t, stageIn, os.Getenv(envStage), "Overlay is for a test in Isolate")
	file := filepath.Join(t.TempDir(), filepath.Base(path))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	require.NoError(t, unix.Mount(file, path, "", unix.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(path, unix.MNT_DETACH)) })
}

// Accounts makes these lines all of passwd(5) and group(5), and the files
// the only name service.
func Accounts(t testing.TB, passwd, group string) {
	t.Helper()
	nameServices(t, "files")
	Overlay(t, "/etc/passwd", passwd)
	Overlay(t, "/etc/group", group)
}

// ExtraUsers adds accounts that are in no file of /etc, but are found by the
// name service extrausers.
func ExtraUsers(t testing.TB, passwd, group string) {
	t.Helper()
	const dir = "/var/lib/extrausers"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("needs libnss-extrausers: apt-get install libnss-extrausers")
	}
	nameServices(t, "files extrausers")
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	require.NoError(t, os.WriteFile(dir+"/passwd", []byte(passwd), 0o644))
	require.NoError(t, os.WriteFile(dir+"/group", []byte(group), 0o644))
}

func nameServices(t testing.TB, services string) {
	t.Helper()
	if _, err := os.Stat("/etc/nsswitch.conf"); err != nil {
		return // a libc without name services
	}
	Overlay(t, "/etc/nsswitch.conf", fmt.Sprintf("passwd: %s\ngroup: %[1]s\n", services))
}

// Members makes n distinct names, separated by commas.
func Members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",m%06d", i)
	}
	return b.String()[1:]
}
