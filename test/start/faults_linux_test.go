// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// Old kernels, few processes, odd ways to be started.

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestOldKernel: Linux before 5.1 has none of these.
func TestOldKernel(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	lacks := fmt.Sprintf("%d,%d,%d,%d,%d,%d", unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD, unix.SYS_CLOSE_RANGE, unix.SYS_OPENAT2, unix.SYS_FACCESSAT2)
	verb := func(v string) *exec.Cmd { return testbed.Command("without", lacks, "service", v) }
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 3, verb("status"))
	testbed.Run(t, 0, verb("start"))
	pid := testbed.One(t, "service")
	testbed.HeldBy(t, testdaemon.Pidfile, pid)
	assert.Equal(t, "1\t1\t1\t1", testbed.Status(t, pid, 0)["Uid"])
	stdout, _ := testbed.Run(t, 0, verb("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	testbed.Run(t, 1, verb("start"))
	testbed.Run(t, 0, verb("reload"))
	log.Has(t, "daemon.notice svc[%d]: reloading", pid)
	testbed.Run(t, 0, verb("restart"))
	second := testbed.One(t, "service")
	assert.NotEqual(t, pid, second)
	require.NoError(t, unix.Kill(second, unix.SIGKILL))
	testbed.None(t, "service")
	testbed.Run(t, 1, verb("status"))
	testbed.Run(t, 0, verb("start"))
	require.NoError(t, os.Remove(testdaemon.Pidfile)) // under a live daemon
	testbed.Run(t, 1, verb("start"))
	testbed.Run(t, 0, verb("stop"))
	testbed.Run(t, 0, verb("stop"))
	testdaemon.NothingLeft(t)
}

// TestLauncherThatCannotSendDescriptors: sendmsg(2) to the daemon, which waits for it.
func TestLauncherThatCannotSendDescriptors(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	for _, errno := range []unix.Errno{unix.ENOBUFS, unix.ETOOMANYREFS} {
		c := testbed.Command("cannot-send", strconv.Itoa(int(errno)), "service", "start")
		c.Env = append(c.Env, "AS=root")
		_, stderr := testbed.Run(t, 1, c)
		assert.Regexp(t, `^svc: cannot send the daemon \(pid \d+\) its standard descriptors: sendmsg: `+errno.Error()+"\n$", stderr)
		testdaemon.NothingLeft(t)
	}
}

var _ = testbed.Helper("cannot-send", func() {
	errno := unix.Errno(testbed.Must(strconv.Atoi(os.Args[1])))
	if runtime.GOARCH == "386" { // by socketcall(2), of which sendmsg is the 16th
		testbed.Refuse(errno, &testbed.Argument{Index: 0, Mask: 0xffffffff, Value: 16}, 102)
	} else {
		testbed.Refuse(errno, nil, unix.SYS_SENDMSG)
	}
	testbed.ExecHelper(os.Args[2:])
})

func TestFileSystemWithoutLocks(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOLCK, unix.EOPNOTSUPP} {
		t.Run(errno.Error(), func(t *testing.T) {
			if !testbed.Isolate(t) {
				return
			}
			verb := func(v string) *exec.Cmd {
				return testbed.Command("failing", strconv.Itoa(int(errno)), strconv.Itoa(unix.SYS_FLOCK), "service", v)
			}
			for range 2 {
				c := verb("start")
				c.Env = append(c.Env, "AS=root")
				_, stderr := testbed.Run(t, 1, c)
				assert.Equal(t, "svc: lock pidfile: flock /var/run/svc.pid (locks may not be supported there: use a local directory): "+errno.Error()+"\n", stderr)
				testdaemon.NothingLeft(t)
			}
			// One that somebody else left stays.
			require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte("2"), 0o600))
			for verbName, code := range map[string]int{"start": 1, "status": 4, "stop": 1, "reload": 1, "restart": 1} {
				c := verb(verbName)
				c.Env = append(c.Env, "AS=root")
				_, stderr := testbed.Run(t, code, c)
				assert.Contains(t, stderr, "use a local directory", verbName)
			}
			text, err := os.ReadFile(testdaemon.Pidfile)
			require.NoError(t, err)
			assert.Equal(t, "2", string(text))
			testbed.None(t, "service")
		})
	}
}

// TestFewProcessesAreAClearErrorOrEnough: the Go runtime itself needs threads, and
// says so; what it has, the launcher shows.
func TestFewProcessesAreAClearErrorOrEnough(t *testing.T) {
	if !testbed.IsolateRoot(t) { // root has no such limit, and others' uid is not ours to take
		return
	}
	const uid = 64937 // nobody else's: the limit counts the user's processes everywhere
	var clear, enough int
	for _, n := range []int{1, 2, 4, 5, 6, 7, 8, 10, 14, 40} {
		out, err := testbed.As(t, uid, testbed.Command("few-processes", strconv.Itoa(n), "detacher", "0", "0")).CombinedOutput()
		if err == nil {
			enough++
			require.NoError(t, unix.Kill(testbed.One(t, "detacher"), unix.SIGKILL))
		} else {
			clear++
			assert.Regexp(t, `ulimit -u|pthread_create failed: Resource temporarily unavailable`, string(out), "%d processes", n)
		}
		testbed.None(t, "detacher")
	}
	assert.NotZero(t, clear)
	assert.NotZero(t, enough)
}

// remounts has its program's file system mounted noexec before it launches.
var _ = testbed.Helper("remounts", func() {
	if err := unix.Mount("", os.Args[1], "", unix.MS_REMOUNT|unix.MS_NOEXEC, ""); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, daemonize.Daemon(false, false))
	os.Exit(1)
})

func TestProgramOnAMountThatIsNoexec(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/self/exe")
	if !testbed.Isolate(t) {
		return
	}
	const dir = "/run/bin"
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/program", binary, 0o755))
	cmd := testbed.Command("remounts", dir)
	cmd.Path = dir + "/program"
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "daemonize: start: cannot run this program again (may this user execute the file, and is its file system mounted without noexec?): fork/exec /proc/self/exe: permission denied\n", string(out))
	testbed.None(t, "remounts")
}

// TestStartedBy: the daemon is the same whoever starts it, and whoever waits for the end of its
// output, as cron, at and ssh do, waits for the launcher only.
func TestStartedBy(t *testing.T) {
	nohup, setsid := testbed.Package(t, "nohup", "coreutils"), testbed.Package(t, "setsid", "util-linux")
	for name, through := range map[string][]string{
		"nohup":                  {nohup},
		"cron":                   {"env", "-i", "HOME=/root", "LOGNAME=root", "SHELL=/bin/sh", "PATH=/usr/bin:/bin", setsid, "-w", "sh", "-c", `TESTBED_HELPER=service "$@" </dev/null`, "sh"},
		"at":                     {setsid, "-w", "sh", "-c", `umask 077; exec "$@" </etc/passwd`, "sh"},
		"ssh without a terminal": {setsid, "-w", "sh", "-c", `trap '' PIPE; "$@" | cat`, "sh"},
		"a job of a shell":       {"sh", "-c", `"$@" & wait $!`, "sh"},
		"niced and ignoring":     {"sh", "-c", `trap '' HUP INT QUIT TERM USR1 USR2 CHLD; exec "$@"`, "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			c := testdaemon.Command("start")
			path, err := exec.LookPath(through[0])
			require.NoError(t, err)
			c.Args = append(append([]string{path}, through[1:]...), append([]string{c.Path}, c.Args[1:]...)...)
			c.Path = path
			out, err := c.CombinedOutput() // returns when nobody has the pipe any more
			require.NoError(t, err, "%s", out)
			assert.Empty(t, strings.ReplaceAll(string(out), "nohup: ignoring input\n", ""))
			pid, err := strconv.Atoi(string(testbed.Must(os.ReadFile(testdaemon.Pidfile))))
			require.NoError(t, err)
			testbed.HeldBy(t, testdaemon.Pidfile, pid)
			p := testbed.Look(t, pid)
			assert.Zero(t, p.TTY)
			assert.Equal(t, []any{1, "/", "0022", "0000000000000000"}, []any{p.PPID, p.Cwd, p.Status["Umask"], p.Status["SigIgn"]})
			for fd := range 3 {
				assert.Equal(t, "/dev/null", p.FDs[fd])
			}
			testbed.Run(t, 0, testdaemon.Command("stop"))
			assert.False(t, testbed.Alive(pid))
			testdaemon.NothingLeft(t)
		})
	}
}
