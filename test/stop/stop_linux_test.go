// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// Stopping the daemon, and nobody else.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAfterKill9(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	kill := func() {
		testbed.Run(t, 0, testdaemon.Command("start"))
		require.NoError(t, unix.Kill(testbed.One(t, "service"), unix.SIGKILL))
		testbed.Eventually(t, func() bool { // a process that is ending has its locks to the last moment
			locks, err := os.ReadFile("/proc/locks")
			return err == nil && !strings.Contains(string(locks), "ADVISORY")
		}, "no locks")
	}
	kill()
	stdout, _ := testbed.Run(t, 1, testdaemon.Command("status"))
	assert.Equal(t, "svc is dead, but its pidfile /var/run/svc.pid is left.\nWhat it logged: journalctl -t svc, or /var/log/syslog or /var/log/messages.\n", stdout)
	kill() // start takes it over
	_, stderr := testbed.Run(t, 0, testdaemon.Command("stop"))
	assert.Equal(t, "svc: the daemon was dead; removed its pidfile /var/run/svc.pid\n", stderr)
	testdaemon.NothingLeft(t)
	kill()
	testbed.Run(t, 0, testdaemon.Command("restart"))
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
}

// innocentWithPID starts a process that has nothing to do with us as pid. A
// shell does it: a thread that Go starts meanwhile would take the pid for good.
func innocentWithPID(t *testing.T, pid int) {
	t.Helper()
	script := fmt.Sprintf(`echo %d >/proc/sys/kernel/ns_last_pid; sleep 1003 </dev/null >/dev/null 2>&1 & echo $!`, pid-1)
	testbed.Eventually(t, func() bool {
		out, err := testbed.Program("sh", "-c", script).Output()
		require.NoError(t, err)
		got, err := strconv.Atoi(strings.TrimSpace(string(out)))
		require.NoError(t, err)
		if got != pid {
			_ = unix.Kill(got, unix.SIGKILL)
		}
		return got == pid
	}, "pid %d again", pid)
}

// TestRecycledPIDIsNotTouched gives an innocent process the dead daemon's pid.
func TestRecycledPIDIsNotTouched(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	testbed.Eventually(t, func() bool { return unix.Kill(pid, 0) == unix.ESRCH }, "the zombie's end")
	innocentWithPID(t, pid)
	testbed.Run(t, 1, testdaemon.Command("status"))
	testbed.Run(t, 7, testdaemon.Command("reload"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	assert.True(t, testbed.Alive(pid))
	assert.NoFileExists(t, testdaemon.Pidfile)
}

func TestStopOf(t *testing.T) {
	const long = "STOP_TIMEOUT_MS=60000" // more than a slow machine needs without a timeout
	for _, noPidfd := range []bool{false, true} {
		verb := func(v string, env ...string) *exec.Cmd {
			if !noPidfd {
				return testdaemon.Command(v, env...)
			}
			c := testbed.Command("without", fmt.Sprintf("%d,%d", unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL), "service", v)
			c.Env = append(c.Env, env...)
			return c
		}
		name := map[bool]string{false: "", true: " without pidfd"}[noPidfd]

		t.Run("a daemon that ignores TERM"+name, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			testbed.Run(t, 0, testdaemon.Command("start", "DO=ignores TERM"))
			pid := testbed.One(t, "service")
			start := time.Now()
			testbed.Run(t, 0, verb("stop", "STOP_TIMEOUT_MS=700"))
			took := time.Since(start)
			assert.GreaterOrEqual(t, took, 700*time.Millisecond)
			assert.Less(t, took, 30*time.Second)
			status := testbed.ExitOf(t, pid)
			assert.Equal(t, unix.SIGKILL, status.Signal())
			testdaemon.NothingLeft(t)
		})
		t.Run("a daemon that takes its time"+name, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			testbed.Run(t, 0, testdaemon.Command("start", "DO=stops slowly"))
			pid := testbed.One(t, "service")
			start := time.Now()
			testbed.Run(t, 0, verb("stop", long))
			assert.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond)
			assert.Less(t, time.Since(start), 30*time.Second)
			assert.Equal(t, 0, testbed.ExitOf(t, pid).ExitStatus())
			testdaemon.NothingLeft(t)
		})
		t.Run("a stopped daemon"+name, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			testbed.Run(t, 0, testdaemon.Command("start"))
			pid := testbed.One(t, "service")
			require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
			testbed.Eventually(t, func() bool { return testbed.Look(t, pid).State == "T" }, "the stop")
			testbed.Run(t, 0, verb("stop", long))
			assert.Equal(t, 0, testbed.ExitOf(t, pid).ExitStatus(), "SIGTERM, not SIGKILL")
			testdaemon.NothingLeft(t)
		})
		t.Run("a zombie"+name, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			testbed.Subreaper(t) // nobody waits for it but us, later
			testbed.Run(t, 0, testdaemon.Command("start"))
			pid := testbed.One(t, "service")
			start := time.Now()
			testbed.Run(t, 0, verb("stop", long))
			assert.Less(t, time.Since(start), 30*time.Second)
			// Without a pidfd the lock tells, which goes a moment before the process.
			testbed.Eventually(t, func() bool { return testbed.Status(t, pid, 0)["State"] == "Z (zombie)" }, "the zombie")
			stdout, _ := testbed.Run(t, 3, verb("status"))
			assert.Equal(t, "svc is not running.\n", stdout)
			testbed.Run(t, 0, verb("start"))
			testbed.One(t, "service")
		})
	}
}

// TestChildrenNeverHoldTheLock: neither one that was forked without exec nor
// one that was executed.
func TestChildrenNeverHoldTheLock(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, testdaemon.Command("start", "DO=leaves children"))
	sleep := testbed.One(t, "sleep")
	children := []int{sleep}
	var daemon int
	if testbed.UsesLibc {
		log.Has(t, "forked ")
		_, after, _ := strings.Cut(log.Text(t), "forked ")
		forked, err := strconv.Atoi(strings.Fields(after)[0])
		require.NoError(t, err)
		children = append(children, forked)
		daemon = testbed.Look(t, forked).PPID
	} else {
		daemon = testbed.Look(t, sleep).PPID
	}
	for _, pid := range children { // the daemon may name a forked child before that has closed them
		testbed.Eventually(t, func() bool { return !holdsPidfile(t, pid) }, "pid %d without a descriptor of the pidfile", pid)
	}
	require.NoError(t, unix.Kill(daemon, unix.SIGKILL))
	testbed.Eventually(t, func() bool { return !testbed.Alive(daemon) }, "its end")
	testbed.NoLocks(t)
	testbed.Run(t, 1, testdaemon.Command("status"))
	testbed.Run(t, 0, testdaemon.Command("start"))
	for _, pid := range children {
		assert.True(t, testbed.Alive(pid))
	}
}

func holdsPidfile(t *testing.T, pid int) bool {
	for _, to := range testbed.Look(t, pid).FDs {
		if strings.Contains(to, "svc.pid") {
			return true
		}
	}
	return false
}

const libbsdHolder = `#include <bsd/libutil.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>
int main(int argc, char **argv) {
	pid_t other = 0;
	struct pidfh *p = pidfile_open(argv[1], 0600, &other);
	if (p == NULL && errno == EEXIST) { printf("held by %d\n", (int)other); return 3; }
	if (p == NULL) { perror("pidfile_open"); return 1; }
	pidfile_write(p);
	printf("mine\n");
	fflush(stdout);
	getchar();
	pidfile_remove(p);
	return 0;
}`

// TestPidfile3AndOursSeeEachOther: BSD's pidfile(3), through libbsd.
func TestPidfile3AndOursSeeEachOther(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/PID/fd")
	if _, err := os.Stat("/usr/include/bsd/libutil.h"); err != nil {
		t.Skip("needs libbsd: apt-get install libbsd-dev")
	}
	if !testbed.IsolateRoot(t) {
		return
	}
	bsd := testbed.CC(t, libbsdHolder, "-lbsd")
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	stdout, _ := testbed.Run(t, 3, testbed.Program(bsd, testdaemon.Pidfile))
	assert.Equal(t, fmt.Sprintf("held by %d\n", pid), stdout)
	testbed.Run(t, 0, testdaemon.Command("stop"))

	c := testbed.Program(bsd, testdaemon.Pidfile)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	b := make([]byte, 5)
	_, err = out.Read(b)
	require.NoError(t, err)
	stdout, _ = testbed.Run(t, 0, testdaemon.Command("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", c.Process.Pid), stdout)
	_, stderr := testbed.Run(t, 1, testdaemon.Command("start"))
	assert.Contains(t, stderr, fmt.Sprintf("(pid %d holds /var/run/svc.pid)", c.Process.Pid))
	in.Close()
	require.NoError(t, c.Wait())
	testdaemon.NothingLeft(t)
}

func TestOtherToolsUnderstandOurPidfile(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	ssd, err := exec.LookPath("start-stop-daemon")
	if err != nil {
		ssd = testbed.Package(t, "/sbin/start-stop-daemon", "dpkg")
	}
	pgrep := testbed.Package(t, "pgrep", "procps")
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	testbed.Run(t, 0, testbed.Program(ssd, "--status", "--pidfile", testdaemon.Pidfile))
	stdout, _ := testbed.Run(t, 0, testbed.Program(pgrep, "-F", testdaemon.Pidfile))
	assert.Equal(t, fmt.Sprintln(pid), stdout)
	testbed.Run(t, 0, testbed.Program(filepath.Join(filepath.Dir(pgrep), "pkill"), "-F", testdaemon.Pidfile))
	testbed.Eventually(t, func() bool { return unix.Kill(pid, 0) == unix.ESRCH }, "its end: a zombie is alive to start-stop-daemon")
	testbed.Run(t, 3, testbed.Program(ssd, "--status", "--pidfile", "/run/none.pid"))
	testbed.Run(t, 1, testbed.Program(ssd, "--status", "--pidfile", testdaemon.Pidfile))
}

// container starts the service as in a container that shares our /run: in a
// PID namespace of its own, where the pids are others.
var _ = testbed.Helper("container", func() {
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
		panic(err)
	}
	// Pids that nobody has had outside, where even a dead one's may be taken: by
	// its session.
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("2000"), 0); err != nil {
		panic(err)
	}
	if out, err := testbed.Command("service", "start").CombinedOutput(); err != nil {
		panic(string(out))
	}
	fmt.Println("up")
	testbed.UntilTerm()
})

func TestPidfileOfAnotherContainerIsLeftAlone(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	c := testbed.Command("shut", "", "container")
	c.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	text, err := os.ReadFile(testdaemon.Pidfile)
	require.NoError(t, err)
	inner, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	if unix.Kill(inner, 0) != nil { // else somebody has that pid here, or is it a thread's
		innocentWithPID(t, inner)
	}
	outer := testbed.One(t, "service")
	require.NotEqual(t, inner, outer)

	says := fmt.Sprintf("svc: /var/run/svc.lock is locked by process %d, but names process %d: "+
		"a daemon of another container, or a process that locks whatever it is told to\n", outer, inner)
	_, stderr := testbed.Run(t, 4, testdaemon.Command("status"))
	assert.Equal(t, says, stderr)
	_, stderr = testbed.Run(t, 1, testdaemon.Command("stop", "STOP_TIMEOUT_MS=200"))
	assert.Equal(t, says, stderr)
	_, stderr = testbed.Run(t, 1, testdaemon.Command("reload", "STOP_TIMEOUT_MS=200"))
	assert.Equal(t, says, stderr)
	_, stderr = testbed.Run(t, 1, testdaemon.Command("start"))
	assert.Equal(t, says, stderr)
	assert.NoError(t, unix.Kill(inner, 0))
	assert.Equal(t, outer, testbed.One(t, "service"))
	heldHere, err := os.ReadFile(testdaemon.Pidfile)
	require.NoError(t, err)
	assert.Equal(t, string(text), string(heldHere))
}
