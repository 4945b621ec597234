// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build daemonizefailpoint

package stop_test

// kill -9 and stop at each stage of a start.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// stages are those of a start, in order, with what can be seen from outside
// of a daemon that is there.
var stages = []struct {
	name          string
	locked, named bool // the pidfile
	uid           int
}{
	{atTheCall, false, false, 0},
	{"before it locked its pidfile", false, false, 0},
	{"while it ran its privileged action", true, false, 0},
	{"before it wrote its pidfile", true, false, 0},
	{"while it dropped its privileges", true, true, 0},
	{"after it dropped its privileges", true, true, 1},
}

const atTheCall = "after it reached the call that makes it a daemon"

// startStopped starts the service up to that stage.
func startStopped(t *testing.T, stage string) (launcher *exec.Cmd, stderr *bytes.Buffer, daemon int) {
	t.Helper()
	require.NoError(t, os.MkdirAll("/run/stopped", 0o700))
	require.NoError(t, os.Chmod("/run/stopped", 0o777)) // for one that has dropped, too
	const file = "/run/stopped/pid"
	_ = os.Remove(file)
	launcher, stderr = testdaemon.Command("start", "DAEMONIZE_FAILPOINT="+stage, "DAEMONIZE_FAILPOINT_FILE="+file), new(bytes.Buffer)
	launcher.Stderr = stderr
	require.NoError(t, launcher.Start())
	testbed.Eventually(t, func() bool {
		text, err := os.ReadFile(file)
		daemon, _ = strconv.Atoi(string(text))
		return err == nil
	}, "the daemon at its stop")
	return launcher, stderr, daemon
}

// TestKill9AtEveryStageOfAStart kills the daemon, then the launcher.
func TestKill9AtEveryStageOfAStart(t *testing.T) {
	for _, stage := range stages {
		t.Run("the daemon "+stage.name, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			launcher, stderr, pid := startStopped(t, stage.name)
			text, err := os.ReadFile(testdaemon.Pidfile)
			assert.Equal(t, stage.locked, err == nil)
			if stage.locked {
				assert.Equal(t, map[bool]string{true: strconv.Itoa(pid)}[stage.named], string(text))
				locks, err := os.ReadFile("/proc/locks")
				require.NoError(t, err)
				assert.Regexp(t, fmt.Sprintf(`FLOCK +ADVISORY +WRITE +%d `, pid), string(locks))
			}
			assert.Equal(t, fmt.Sprintf("%d\t%[1]d\t%[1]d\t%[1]d", stage.uid), testbed.Status(t, pid, 0)["Uid"])

			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
			require.Error(t, launcher.Wait())
			assert.Equal(t, 1, launcher.ProcessState.ExitCode())
			assert.Equal(t, fmt.Sprintf("svc: the daemon (pid %d) died before it was ready, %s: signal: killed\n", pid, stage.name), stderr.String())
			onlyAStalePidfileLeft(t, stage.locked)
		})
		if stage.name == atTheCall {
			continue // a moment later it looks for its launcher
		}
		for _, sig := range []syscall.Signal{unix.SIGKILL, unix.SIGINT} {
			t.Run(unix.SignalName(sig)+" of the launcher "+stage.name, func(t *testing.T) {
				if !testbed.IsolateRoot(t) {
					return
				}
				launcher, _, _ := startStopped(t, stage.name)
				require.NoError(t, launcher.Process.Signal(sig))
				_ = launcher.Wait()
				onlyAStalePidfileLeft(t, stage.uid != 0) // else it removes its own
			})
		}
	}
}

// TestStopAtEveryStageOfAStart: once it has a pid to be known by, stop ends a
// daemon that is not ready; before, it waits for that, for as long as a stop may take.
func TestStopAtEveryStageOfAStart(t *testing.T) {
	for _, stage := range stages[1:] {
		t.Run(stage.name, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			launcher, stderr, pid := startStopped(t, stage.name)
			switch {
			case !stage.locked:
				testbed.Run(t, 0, testdaemon.Command("stop"))
				assert.True(t, testbed.Alive(pid))
			case !stage.named:
				_, says := testbed.Run(t, 1, testdaemon.Command("stop", "STOP_TIMEOUT_MS=100"))
				assert.Equal(t, "svc: /var/run/svc.pid is locked, but names no process: it is starting, or another program's\n", says)
				assert.True(t, testbed.Alive(pid))
			default:
				testbed.Run(t, 0, testdaemon.Command("stop", "STOP_TIMEOUT_MS=100"))
				assert.False(t, testbed.Alive(pid))
				require.Error(t, launcher.Wait())
				assert.Contains(t, stderr.String(), "died before it was ready, "+stage.name)
				testdaemon.NothingLeft(t)
				return
			}
			require.NoError(t, launcher.Process.Kill())
			_ = launcher.Wait()
			testdaemon.NothingLeft(t)
		})
	}
}

// onlyAStalePidfileLeft asserts that, and that the next start works.
func onlyAStalePidfileLeft(t *testing.T, stale bool) {
	t.Helper()
	testbed.None(t, "service")
	testbed.NoLocks(t)
	if stale {
		testbed.Run(t, 1, testdaemon.Command("status"))
	} else {
		assert.NoFileExists(t, testdaemon.Pidfile)
		testbed.Run(t, 3, testdaemon.Command("status"))
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)
}
