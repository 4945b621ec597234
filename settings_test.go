// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// A pidfile by path, and a user who stays who they are.

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPidfileByPath(t *testing.T) {
	for path, directory := range map[string]string{
		"/run/x/y.pid":           "/run/x",
		"/run//x/../x/./y.z.pid": "/run/x",
		"/y.pid":                 "/",
	} {
		c := Config[int]{Name: "tag", Pidfile: path}
		require.NoError(t, c.complete(), path)
		assert.Equal(t, directory, c.PidfileDirectory)
		assert.Equal(t, "tag", c.Name, "the name in syslog stays")
		s, err := New(func(context.Context, int) error { return nil }, &Config[int]{Name: "tag", Pidfile: path})
		require.NoError(t, err)
		assert.Equal(t, directory, filepath.Dir(s.s.pidfile))
		assert.NotContains(t, s.s.pidfile, "/.")
	}
	for path, why := range map[string]string{
		"y.pid":         "not an absolute path",
		"/etc/passwd":   "ends in NAME.pid",
		"/run/.pid":     "ends in NAME.pid",
		"/run/y.pid/":   "",
		"/run/a\nb.pid": "could be a daemon's name",
		"/run/" + strings.Repeat("n", 201) + ".pid": "could be a daemon's name",
	} {
		c := Config[int]{Name: "tag", Pidfile: path}
		err := c.complete()
		if why == "" { // a slash at the end names the same file
			assert.NoError(t, err)
			assert.Equal(t, "/run", c.PidfileDirectory)
			continue
		}
		assert.ErrorContains(t, err, why)
		assert.Equal(t, exitNotConfigured, ExitCode(err))
	}
	c := Config[int]{Name: "tag", Pidfile: "/run/y.pid", PidfileDirectory: "/run"}
	assert.ErrorContains(t, c.complete(), "both set")
	c = Config[int]{Name: "tag"}
	require.NoError(t, c.complete())
	assert.Equal(t, "/var/run/tag.pid", c.Pidfile)
}

// TestCurrentUserDropsNothing, as root and as anybody else.
func TestCurrentUserDropsNothing(t *testing.T) {
	for _, group := range []string{"", "0"} {
		if group != "" && os.Getgid() != 0 {
			continue
		}
		a, err := resolveAccount("no-such-daemon", CurrentUser, group)
		require.NoError(t, err)
		assert.Equal(t, account{uid: os.Geteuid(), gid: os.Getegid()}, *a)
		home := os.Getenv("HOME")
		require.NoError(t, a.drop(false))
		assert.Equal(t, os.Geteuid(), a.uid)
		assert.Equal(t, home, os.Getenv("HOME"))
	}
	_, err := resolveAccount("no-such-daemon", CurrentUser, "4242")
	want := exitNotPermitted
	if os.Geteuid() == 0 {
		want = exitNotConfigured
	}
	assert.Equal(t, want, ExitCode(err), "another group: %v", err)
	_, err = Getpwnam(CurrentUser)
	assert.True(t, unknown(err), "no account has that name: %v", err)
}
