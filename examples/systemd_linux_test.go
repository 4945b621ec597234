// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	pidfile   = "/run/stillalive.pid"
	crashfile = "/run/stillalive.crash"
)

// sh runs a command to its end.
func sh(t *testing.T, command string) (code int, said string) {
	t.Helper()
	c := testbed.Program("/bin/sh", "-c", command)
	out, err := c.CombinedOutput()
	require.NotNil(t, c.ProcessState, "%v", err)
	return c.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}

// ok is sh for what must succeed.
func ok(t *testing.T, command string) string {
	t.Helper()
	code, said := sh(t, command)
	require.Zero(t, code, "%s: %s", command, said)
	return said
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	require.NoError(t, err)
	return path
}

func pid(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(pidfile)
	require.NoError(t, err)
	n, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	return n
}

func journal(t *testing.T, what string) string {
	t.Helper()
	ok(t, "journalctl --sync")
	return ok(t, "journalctl --no-pager -q -o cat "+what)
}

func inJournal(t *testing.T, line string, times int) {
	t.Helper()
	testbed.Eventually(t, func() bool { return strings.Count(journal(t, ""), line) >= times }, "%d times %q in the journal", times, line)
	assert.Equal(t, times, strings.Count(journal(t, ""), line), "%s", line)
}

// TestUnits takes both units through the life of a service.
func TestUnits(t *testing.T) {
	for _, unit := range []string{"stillalive.service", "stillalive-notify.service"} {
		t.Run(unit, func(t *testing.T) {
			if !testbed.Systemd(t, func() map[string]string {
				return map[string]string{
					"/usr/local/sbin/stillalive":             testbed.Build(t, "examples/stillalive"),
					"/etc/systemd/system/stillalive.service": absolute(t, "init/"+unit),
				}
			}) {
				return
			}
			property := func(name string) string { return ok(t, "systemctl show -P "+name+" stillalive") }
			isRunning := func() int {
				t.Helper()
				main := pid(t)
				assert.Equal(t, strconv.Itoa(main), property("MainPID"))
				assert.Equal(t, "active", property("ActiveState"))
				assert.Equal(t, "1\t1\t1\t1", testbed.Status(t, main, 0)["Uid"], "daemon")
				return main
			}
			ok(t, "systemctl start stillalive")
			first := isRunning()
			inJournal(t, "I'm still alive!", 1)
			inJournal(t, "Starting.", 1)

			ok(t, "systemctl reload stillalive")
			inJournal(t, "You call that a signal?", 1)
			assert.Equal(t, first, isRunning())

			ok(t, "systemctl restart stillalive")
			assert.NotEqual(t, first, isRunning())
			assert.False(t, testbed.Alive(first))

			last := pid(t)
			ok(t, "systemctl stop stillalive")
			assert.Equal(t, "inactive", property("ActiveState"))
			assert.Equal(t, "success", property("Result"))
			assert.False(t, testbed.Alive(last))
			assert.NoFileExists(t, pidfile)
			assert.NoFileExists(t, crashfile)

			// A start that fails.
			require.NoError(t, os.Mkdir(pidfile, 0o755))
			start := time.Now()
			code, said := sh(t, "systemctl start stillalive")
			assert.NotZero(t, code, "%s", said)
			assert.Less(t, time.Since(start), 30*time.Second, "before systemd gives up")
			if unit == "stillalive.service" { // the other one is started again a few times
				assert.Equal(t, "failed", property("ActiveState"))
				assert.Equal(t, "exit-code", property("Result"))
			}
			assert.Contains(t, journal(t, "-u stillalive"), "pidfile "+"/var/run/stillalive.pid is a directory: refused")
			ok(t, "systemctl stop stillalive")
			require.NoError(t, os.Remove(pidfile))

			// One that crashes is seen, and what it said is kept.
			ok(t, "systemctl start stillalive")
			ok(t, "kill -QUIT "+strconv.Itoa(isRunning()))
			if unit == "stillalive.service" {
				testbed.Eventually(t, func() bool { return property("ActiveState") == "failed" }, "systemd to see it")
				assert.Contains(t, ok(t, "/usr/local/sbin/stillalive status || test $? = 1 -o $? = 3"), "It crashed: SIGQUIT: quit")
				ok(t, "systemctl start stillalive")
				inJournal(t, "SIGQUIT: quit", 1)
			} else { // systemd reads its standard error, and starts it again
				inJournal(t, "SIGQUIT: quit", 2)
				testbed.Eventually(t, func() bool { return property("ActiveState") == "active" && property("NRestarts") == "1" }, "the next one")
			}
			isRunning()

			assert.NotContains(t, journal(t, ""), "PID file", "Can't open PID file … (yet?) after start")
		})
	}
}

func TestSocketActivation(t *testing.T) {
	if !testbed.Systemd(t, func() map[string]string {
		return map[string]string{
			"/usr/local/sbin/httpd":             testbed.Build(t, "examples/httpd"),
			"/etc/systemd/system/httpd.service": absolute(t, "httpd/httpd.service"),
			"/etc/systemd/system/httpd.socket":  absolute(t, "httpd/httpd.socket"),
		}
	}) {
		return
	}
	property := func(name string) string { return ok(t, "systemctl show -P "+name+" httpd.service") }
	ok(t, "systemctl start httpd.socket")
	require.Equal(t, "inactive", property("ActiveState"))
	get := func() string {
		response, err := http.Get("http://127.0.0.1/")
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}
	assert.Equal(t, "Hello from uid 1.\n", get(), "its listener is systemd's, made by root")
	assert.Equal(t, "active", property("ActiveState"))
	ok(t, "systemctl stop httpd.service")
	assert.Equal(t, "Hello from uid 1.\n", get(), "systemd holds the socket")
}
