// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// How a daemon ended that was not ready, and what it could not have.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// mounts is a mount helper with exit codes of its own: its first argument.
var _ = testbed.Launcher("mounts", func() {
	if os.Args[1] == "before" {
		if testbed.ForksFirst() || len(testbed.Find("mounts")) > 1 {
			fmt.Fprintln(os.Stderr, "no config")
			os.Exit(7)
		}
	}
	ready, err := daemonize.Detach(false, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
	switch os.Args[1] {
	case "12":
		fmt.Fprintln(os.Stderr, "wrong password")
		os.Exit(12)
	case "0":
		os.Exit(0)
	case "orphan": // a helper that outlives it
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			panic(err)
		}
		os.Exit(10)
	case "killed":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	ready(nil)
	testbed.UntilTerm()
})

func TestDetachEndsWithTheProgramsStatus(t *testing.T) {
	testbed.NeedStatusTold(t)
	if !testbed.IsolateBothWays(t) {
		return
	}
	const died = "mounts: the daemon (pid %d) died before it was ready, after it reached the call that makes it a daemon: "
	for how, want := range map[string]struct {
		code int
		says string
	}{
		"12":     {12, "wrong password\n"},
		"0":      {1, died + "exit status 0\n"},
		"orphan": {10, ""},
		"killed": {1, died + "signal: killed\n"},
		"before": {7, "no config\nmounts: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first: exit status 7\n"},
		"ready":  {0, ""},
	} {
		c := testbed.Command("mounts", how)
		out, err := os.CreateTemp(t.TempDir(), "")
		require.NoError(t, err)
		c.Stderr = out
		_ = c.Run()
		said, err := os.ReadFile(out.Name())
		require.NoError(t, err)
		assert.Equal(t, want.code, c.ProcessState.ExitCode(), "%s: %s", how, said)
		assert.Equal(t, want.says, digits(string(said), want.says), how)
		if how == "ready" {
			pid := testbed.One(t, "mounts")
			assert.Equal(t, 1, testbed.Look(t, pid).PPID)
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
		}
		testbed.None(t, "mounts")
	}
}

// early listens and locks before the call, as a program does that has not thought of main's
// second run.
var _ = testbed.Launcher("early", func() {
	lock := testbed.Must(os.OpenFile("/run/early.lock", os.O_RDWR|os.O_CREATE, 0o600))
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fmt.Fprintln(os.Stderr, "lock:", err)
	}
	_, failed := net.Listen("tcp", ":8080")
	if failed != nil {
		fmt.Fprintln(os.Stderr, "early:", failed)
	}
	for address, network := range map[string]string{"127.0.0.1:8081": "tcp4", "[::1]:8082": "tcp6", "/run/early.sock": "unix"} {
		if _, err := net.Listen(network, address); err != nil && failed == nil {
			fmt.Fprintln(os.Stderr, "early:", err)
		}
	}
	ready, err := daemonize.Detach(false, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
	if failed != nil && os.Args[1] == "tells" {
		ready(errors.New("no port"))
		os.Exit(1)
	}
	ready(nil)
	testbed.UntilTerm()
})

func TestLauncherSaysWhatTheDaemonCannotHave(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/self/fd")
	if !testbed.IsolateBothWays(t) {
		return
	}
	const advice = "main runs again in the daemon, which could not have what this process has since before the call: "
	for _, how := range []string{"tells", "silent"} {
		_ = os.Remove("/run/early.sock")
		c := testbed.Command("early", how)
		out, err := os.CreateTemp(t.TempDir(), "")
		require.NoError(t, err)
		c.Stderr = out
		_ = c.Run()
		said, err := os.ReadFile(out.Name())
		require.NoError(t, err)
		text := string(said)
		switch {
		case testbed.ForksFirst(): // main runs once, and the daemon has it
			assert.Empty(t, text)
			pid := testbed.One(t, "early")
			assert.Contains(t, fmt.Sprint(testbed.Look(t, pid).FDs), "/run/early.lock")
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
		case how == "tells":
			assert.Equal(t, 1, c.ProcessState.ExitCode())
			assert.Contains(t, text, "early: no port\n"+advice+"a lock on /run/early.lock, listening on /run/early.sock, "+
				"listening on 127.0.0.1:8081, listening on [0:0:0:0:0:0:0:1]:8082, listening on [::]:8080; do that after the call")
		default:
			assert.Zero(t, c.ProcessState.ExitCode())
			assert.Equal(t, 1, strings.Count(text, "early: warning: "+advice+
				"listening on 127.0.0.1:8081, listening on [0:0:0:0:0:0:0:1]:8082, listening on [::]:8080; "), "%s", text)
			require.NoError(t, unix.Kill(testbed.One(t, "early"), unix.SIGKILL))
		}
		testbed.None(t, "early")
	}
}

// leaves changes to / before the call.
var _ = testbed.Launcher("leaves", func() {
	if err := os.Chdir("/"); err != nil {
		panic(err)
	}
	if err := daemonize.Daemon(false, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
})

func TestStartFromADirectoryThatTheUserMayNotEnter(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/self/exe")
	testbed.NeedRoot(t)
	if !testbed.Isolate(t) {
		return
	}
	closed := filepath.Join("/run", "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	c := testbed.Command("leaves")
	// The shell is there as root, as that of sudo is.
	sh := exec.Command("/bin/sh", "-c", `exec setpriv --reuid 1 --regid 1 --clear-groups "$@"`, "sh", c.Path)
	sh.Args = append(sh.Args, c.Args[1:]...)
	sh.Env, sh.Dir = c.Env, closed
	out, err := sh.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "cannot run this program again in /run/closed, where it was started and main left (that directory is gone, or this user may not enter it: start it from another one)")
}
