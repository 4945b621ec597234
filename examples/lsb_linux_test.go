// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// install puts what an administrator would install on private mounts over the real
// directories.
func install(t *testing.T, programs map[string]string) {
	t.Helper()
	for to, from := range programs {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, unix.Mount("tmpfs", filepath.Dir(to), "tmpfs", 0, "mode=755"))
		require.NoError(t, os.WriteFile(to, text, 0o755))
	}
}

// TestLSBScript calls the script as init, service(8) and a package's scripts do, and
// looks at the exit codes of the LSB.
func TestLSBScript(t *testing.T) {
	testbed.NeedRoot(t)
	if !testbed.Isolate(t) {
		return
	}
	program := testbed.Build(t, "examples/stillalive")
	script := absolute(t, "init/stillalive.sh")
	installed := map[string]string{"/etc/init.d/stillalive": script}
	service := script
	if path, err := exec.LookPath("service"); err == nil {
		service = path + " stillalive"
	}
	code, _ := sh(t, script+" start")
	assert.Equal(t, 5, code, "not installed")
	installed["/usr/local/sbin/stillalive"] = program
	install(t, installed)

	steps := []struct {
		verb string
		code int
		said string
	}{
		{"status", 3, "stillalive is not running."},
		{"stop", 0, "stillalive: Could not find PID file to stop. Is the process running?"},
		{"reload", 7, "stillalive is not running."},
		{"start", 0, ""},
		{"status", 0, "stillalive is running (pid PID)."},
		{"start", 0, ""},
		{"reload", 0, ""},
		{"force-reload", 0, ""},
		{"restart", 0, ""},
		{"status", 0, "stillalive is running (pid PID)."},
		{"stop", 0, ""},
		{"status", 3, "stillalive is not running."},
		{"restart", 0, ""},
		{"stop", 0, ""},
		{"nonsense", 2, "stillalive: cannot understand \"nonsense\": it takes one command; flags of the program's own, if it has any, go before that\n" +
			"Usage: stillalive {start|stop|restart|status|reload|run}"},
		{"", 2, "Usage: stillalive {start|stop|restart|status|reload|run}"},
	}
	for _, step := range steps {
		code, said := sh(t, service+" "+step.verb)
		assert.Equal(t, step.code, code, "%s: %s", step.verb, said)
		if text, err := os.ReadFile(pidfile); err == nil {
			step.said = strings.ReplaceAll(step.said, "PID).", string(text)+").")
		}
		assert.Equal(t, step.said, said, "%s", step.verb)
	}

	code, said := sh(t, script+" start")
	require.Equal(t, 0, code, said)
	ok(t, "kill -9 $(cat "+pidfile+")")
	testbed.Eventually(t, func() bool { code, _ := sh(t, script+" status"); return code == 1 }, "dead, but its pidfile is left")
	ok(t, script+" start")
	ok(t, script+" stop")

	require.NoError(t, os.Mkdir(pidfile, 0o755))
	code, said = sh(t, script+" start")
	assert.Equal(t, 6, code, said)
	assert.Contains(t, said, "is a directory: refused")
}

// TestScriptsParse is all that is known of the OpenRC script without OpenRC.
func TestScriptsParse(t *testing.T) {
	for _, script := range []string{"stillalive.sh", "stillalive.openrc"} {
		ok(t, "sh -n init/"+script)
	}
}
