// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// How a service starts, and how a start fails.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestStartThatFails(t *testing.T) {
	for _, c := range []struct {
		do, says string
		code     int
	}{
		{"privileged fails", "looking for a port\nsvc: privileged action: port 80 is taken\n", 1},
		{"privileged is denied", "svc: privileged action: permission denied\n", 1},
		{"privileged removes the pidfile", "svc: write pidfile /var/run/svc.pid: it was removed or replaced since this start locked it, or PrivilegedAction has changed the root directory\n", 1},
		{"privileged exits", "svc: privileged action: it ended its goroutine (runtime.Goexit)\n", 1},
		{"privileged panics", "svc: privileged action: panic: out of luck\ngoroutine ", 1},
	} {
		t.Run(c.do, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			log := testbed.StartSyslogd(t, "busybox")
			_, stderr := testbed.Run(t, c.code, testdaemon.Command("start", "DO="+c.do))
			if strings.HasSuffix(c.says, "\n") {
				assert.Equal(t, c.says, stderr)
			} else {
				assert.Contains(t, stderr, c.says)
			}
			testdaemon.NothingLeft(t)
			log.Has(t, "daemon.err svc[")
			_, says, _ := strings.Cut(c.says, "svc: ")
			log.Has(t, "%s", strings.SplitN(says, "\n", 2)[0])
		})
	}
}

// TestNoActionRunsAfterAFailedDrop: neither as root nor half way.
func TestNoActionRunsAfterAFailedDrop(t *testing.T) {
	testbed.NeedLinuxBuild(t, "setresuid(2)")
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	for _, verb := range []string{"start", "run"} {
		_, stderr := testbed.Run(t, 4, testbed.Command("without-capability", fmt.Sprint(unix.CAP_SETUID), "service", verb))
		assert.Contains(t, stderr, "become user daemon (uid 1, gid 1): setresuid: operation not permitted; it needs CAP_SETUID", verb)
		log.Has(t, "setresuid: operation not permitted")
		testdaemon.NothingLeft(t)
	}
	assert.NotContains(t, log.Text(t), "run 1")
}

func TestConfigReachesTheDaemon(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, testdaemon.Command("start", "AS=nobody", "GROUP=tty", "UMASK=027", fmt.Sprint("FACILITY=", int(daemonize.LOG_LOCAL3))))
	pid := testbed.One(t, "service")
	status := testbed.Status(t, pid, 0)
	assert.Equal(t, "0027", status["Umask"])
	assert.Equal(t, "65534\t65534\t65534\t65534", status["Uid"])
	assert.Equal(t, "5\t5\t5\t5", status["Gid"])
	log.Has(t, "local3.info svc[%d]: run 1: made by uid 0", pid)
	testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)
}

// TestWhatCannotStartIsNotStoppedFirst: restart finds what it can know before
// it stops anything, and a start by anyone but root before it runs anything.
func TestWhatCannotStartIsNotStoppedFirst(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	_, stderr := testbed.Run(t, 6, testdaemon.Command("restart", "AS=nobody-here"))
	assert.Contains(t, stderr, "nonexistent user nobody-here")
	_, stderr = testbed.Run(t, 6, testdaemon.Command("restart", "DIR=/run/100%done"))
	assert.Equal(t, "svc: pidfile directory /run/100%done: does not exist: create it, or set PidfileDirectory\n", stderr)
	assert.Equal(t, pid, testbed.One(t, "service"))
	testbed.HeldBy(t, testdaemon.Pidfile, pid)
	testbed.Run(t, 0, testdaemon.Command("stop"))

	runs := filepath.Join("/run", "runs")
	require.NoError(t, os.WriteFile(runs, nil, 0o666))
	require.NoError(t, os.Chmod(runs, 0o666))
	_, stderr = testbed.Run(t, 4, testbed.As(t, 65534, testdaemon.Command("start", "AS=root", "DIR=/tmp", "RUNS="+runs)))
	assert.Contains(t, stderr, "only root may change that")
	text, err := os.ReadFile(runs)
	require.NoError(t, err)
	assert.Equal(t, "main\n", string(text), "it launched nothing")
	testdaemon.NothingLeft(t)
}

// TestLauncherDoesNotWaitForAChildOfAFailedStart: one that C code has forked would have
// the report socket, on whose end the launcher waits.
func TestLauncherDoesNotWaitForAChildOfAFailedStart(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	began := time.Now()
	c := testdaemon.Command("start", "DO=privileged forks and exits")
	c.WaitDelay = 100 * time.Millisecond // forked first, the child has our standard error
	_, stderr := testbed.Run(t, 1, c)
	assert.Contains(t, stderr, "died before it was ready, while it ran its privileged action")
	assert.Less(t, time.Since(began), 30*time.Second)
	testbed.Run(t, 0, testdaemon.Command("start"))
}

func TestInterruptedStartLeavesNothing(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	c := testdaemon.Command("start", "DO=privileged hangs")
	require.NoError(t, c.Start())
	testbed.Eventually(t, func() bool { _, err := os.Stat("/run/hangs"); return err == nil }, "the privileged action")
	pid := slices.Max(testbed.Find("service")) // with cgo, one that waits for the daemon is there, too
	assert.Equal(t, testbed.ForksFirst(), testbed.Look(t, pid).PPID == c.Process.Pid, "the way that it was to go")
	stdout, _ := testbed.Run(t, 0, testdaemon.Command("status"))
	assert.Equal(t, "svc is starting.\n", stdout)
	_, stderr := testbed.Run(t, 1, testdaemon.Command("start"))
	assert.Equal(t, "svc: PID file exists. Process already running? (/var/run/svc.pid is locked by a process that is just starting)\n", stderr)
	require.NoError(t, c.Process.Signal(unix.SIGINT))
	_ = c.Wait()
	testdaemon.NothingLeft(t)
}

// TestNotRootRunsAsItself is a user's daemon, in a directory of the user's.
func TestNotRootRunsAsItself(t *testing.T) {
	dir, uid := testbed.PrivateDir(t), os.Getuid()
	as := func(c *exec.Cmd) *exec.Cmd { return c }
	if uid == 0 {
		if !testbed.IsolateBothWays(t) {
			return
		}
		dir, uid = "/run/user", 65534
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.Chown(dir, uid, uid))
		as = func(c *exec.Cmd) *exec.Cmd { return testbed.As(t, uint32(uid), c) }
	}
	user := func(verb string, env ...string) *exec.Cmd {
		return as(testdaemon.Command(verb, append(env, "DIR="+dir)...))
	}
	path := filepath.Join(dir, "svc.pid")
	holder := func() int {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		pid, err := strconv.Atoi(string(text))
		require.NoError(t, err)
		return pid
	}
	testbed.Run(t, 0, user("start"))
	pid := holder()
	testbed.HeldBy(t, path, pid)
	status := testbed.Status(t, pid, 0)
	assert.Equal(t, fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", uid), status["Uid"])
	stdout, _ := testbed.Run(t, 0, user("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	testbed.Run(t, 0, user("restart"))
	assert.NotEqual(t, pid, holder())
	pid = holder()
	testbed.Run(t, 0, user("stop"))
	assert.False(t, testbed.Alive(pid))
	assert.NoFileExists(t, path)
}

func TestRootRefusesAnotherUsersDirectory(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	require.NoError(t, os.Mkdir("/run/user", 0o700))
	require.NoError(t, os.Chown("/run/user", 65534, 65534))
	_, stderr := testbed.Run(t, 6, testdaemon.Command("start", "DIR=/run/user"))
	assert.Equal(t, "svc: pidfile directory /run/user: owned by uid 65534, neither root nor us, who could replace the pidfile: chown it\n", stderr)
	testdaemon.NothingLeft(t)
}

func TestRootBecomesTheDaemonUser(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	for _, tid := range testbed.Threads(t, pid) {
		status := testbed.Status(t, pid, tid)
		assert.Equal(t, "1\t1\t1\t1", status["Uid"])
		assert.Equal(t, "1\t1\t1\t1", status["Gid"])
		assert.Equal(t, "1", status["Groups"])
		assert.Equal(t, "0000000000000000", status["CapEff"])
	}
	assert.Equal(t, "0022", testbed.Status(t, pid, 0)["Umask"])
	log.Has(t, "run 1: made by uid 0")
	// It cannot remove its file from /run; root's stop does.
	require.NoError(t, unix.Kill(pid, unix.SIGTERM))
	testbed.None(t, "service")
	stdout, _ := testbed.Run(t, 1, testdaemon.Command("status"))
	assert.Equal(t, "svc is dead, but its pidfile /var/run/svc.pid is left.\nWhat it logged: journalctl -t svc, or /var/log/syslog or /var/log/messages.\n", stdout)
	testbed.Run(t, 0, testdaemon.Command("stop"))
	assert.NoFileExists(t, testdaemon.Pidfile)
}

func TestMarkerByHandStopsNoStatus(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	stdout, _ := testbed.Run(t, 0, testdaemon.Command("status", testdaemon.Marker+"=1:2"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	_, stderr := testbed.Run(t, 1, testdaemon.Command("restart", testdaemon.Marker+"=1:2"))
	assert.Contains(t, stderr, "the environment variable DAEMONIZE_BOOT was set")
	assert.Equal(t, pid, testbed.One(t, "service"), "restart that cannot start stops nothing")
	testbed.Run(t, 0, testdaemon.Command("stop", testdaemon.Marker+"="))
	_, stderr = testbed.Run(t, 1, testdaemon.Command("run", testdaemon.Marker+"=1:2"))
	assert.Contains(t, stderr, "the environment variable DAEMONIZE_BOOT was set")
	testdaemon.NothingLeft(t)
}

func TestNoNewPrivilegesUnlessAllowed(t *testing.T) {
	testbed.NeedLinuxBuild(t, "no_new_privs")
	if !testbed.IsolateRoot(t) {
		return
	}
	for allowed, want := range map[string]string{"": "1", "yes": "0"} {
		testbed.Run(t, 0, testdaemon.Command("restart", "NEW_PRIVILEGES="+allowed))
		pid := testbed.One(t, "service")
		for _, tid := range testbed.Threads(t, pid) {
			assert.Equal(t, want, testbed.Status(t, pid, tid)["NoNewPrivs"], "NEW_PRIVILEGES=%s, thread %d", allowed, tid)
		}
	}
}
