// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testdaemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
)

// Pidfile is where the daemon has it unless DIR says otherwise.
const Pidfile = "/run/svc.pid"

// Companion is the file by which the daemon is known.
const Companion = "/run/svc.lock"

// Marker is the environment variable that tells the daemon who launched it.
const Marker = "DAEMONIZE_BOOT"

// Command is the command line of the daemon with that verb, with environment settings.
func Command(verb string, env ...string) *exec.Cmd {
	c := testbed.Command("service", verb)
	c.Env = append(c.Env, env...)
	return c
}

// Do runs Command to its end.
func Do(t testing.TB, verb string, env ...string) (code int, said string) {
	t.Helper()
	return testbed.Finish(t, Command(verb, env...))
}

// NothingLeft asserts that neither a process nor a pidfile nor a lock is there.
func NothingLeft(t testing.TB) {
	t.Helper()
	testbed.None(t, "service")
	assert.NoFileExists(t, Pidfile)
	assert.NoFileExists(t, Companion)
	testbed.NoLocks(t)
}

// Directory is where the pidfile goes: of a user without root, a directory of its own.
func Directory(t testing.TB) string {
	t.Helper()
	if os.Geteuid() == 0 {
		return filepath.Dir(Pidfile)
	}
	return t.TempDir()
}
