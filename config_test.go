// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Config: no field is lost on the way into a service.

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSettingsHaveEveryFieldOfConfig(t *testing.T) {
	var c Config[int]
	fields := reflect.ValueOf(&c).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), nil))
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint32:
			f.SetUint(1)
		default:
			f.SetInt(1)
		}
	}
	copied := reflect.ValueOf(c.settings())
	for i := range copied.NumField() {
		name := copied.Type().Field(i).Name
		if name != "PrivilegedAction" { // the service keeps it with its type
			assert.False(t, copied.Field(i).IsZero(), "settings() does not copy %s", name)
		}
	}
}

func TestBadConfigIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	nop := func(context.Context, struct{}) error { return nil }
	for _, c := range []struct {
		config Config[struct{}]
		says   string
	}{
		{Config[struct{}]{Name: "."}, `daemonize: the daemon's name "." names no file: `},
		{Config[struct{}]{Name: ".."}, `names no file`},
		{Config[struct{}]{Name: "a/b"}, `contains '/'`},
		{Config[struct{}]{Name: "a\x00b"}, `contains a control character`},
		{Config[struct{}]{Name: "a\nb"}, `contains a control character`},
		{Config[struct{}]{Name: strings.Repeat("n", 201)}, `is too long`},
		{Config[struct{}]{PidfileDirectory: "run"}, `PidfileDirectory "run" is not an absolute path`},
		{Config[struct{}]{OutputFile: "/run/out", LogOutput: true}, "OutputFile and LogOutput are both set"},
		{Config[struct{}]{LogOutput: true, SyslogOptions: LOG_PERROR}, "LogOutput and LOG_PERROR"},
		{Config[struct{}]{Umask: 0o1000}, `Umask 01000 is more than`},
		{Config[struct{}]{StopTimeout: -1}, `cannot be negative`},
		{Config[struct{}]{RespawnDelay: -1}, `cannot be negative`},
		{Config[struct{}]{SyslogOptions: 1 << 20}, `SyslogOptions 0x100000: only openlog(3)'s`},
	} {
		_, err := New(nop, &c.config)
		require.Error(t, err)
		assert.Contains(t, err.Error(), c.says)
		assert.Equal(t, 6, ExitCode(err))
	}
	_, err := New[struct{}](nil, nil)
	assert.EqualError(t, err, "daemonize: the action is nil")
	_, err = New(nop, &Config[struct{}]{Name: strings.Repeat("n", 200)})
	assert.NoError(t, err)
}

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
