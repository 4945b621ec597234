// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// The proof of who the daemon is: the record lock on the pidfile's companion, what is
// done where it is lost, and who must not pass for the daemon.

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
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

// allVerbs has the daemon started, looked at, reloaded, restarted and stopped, each verb
// made by verb.
func allVerbs(t *testing.T, verb func(string) *exec.Cmd) {
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, verb("start"))
	pid := testbed.One(t, "service")
	testbed.HeldBy(t, testdaemon.Pidfile, pid)
	lookedAtAndStopped(t, log, pid, verb)
}

// lookedAtAndStopped is allVerbs of a daemon that runs.
func lookedAtAndStopped(t *testing.T, log *testbed.Syslogd, pid int, verb func(string) *exec.Cmd) {
	stdout, _ := testbed.Run(t, 0, verb("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	_, stderr := testbed.Run(t, 1, verb("start"))
	assert.Contains(t, stderr, fmt.Sprintf("(pid %d holds /var/run/svc.pid)", pid))
	testbed.Run(t, 0, verb("reload"))
	log.Has(t, "reloading")
	testbed.Run(t, 0, verb("restart"))
	testbed.One(t, "service")
	testbed.Run(t, 0, verb("stop"))
	testdaemon.NothingLeft(t)
}

func withoutPtrace(verb string) *exec.Cmd {
	return testbed.Command("without-capability", fmt.Sprint(unix.CAP_SYS_PTRACE), "service", verb)
}

// TestWithoutPtraceRootHasItsVerbs: the capabilities that root has in a container do not
// let it look into the daemon's descriptors.
func TestWithoutPtraceRootHasItsVerbs(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	allVerbs(t, withoutPtrace)
}

// TestClockSetForwardChangesNothing: for the kernel the files are then older than they
// were. A daemon without a companion is one of an earlier release.
func TestClockSetForwardChangesNothing(t *testing.T) {
	for companion, verb := range map[string]func(string) *exec.Cmd{
		"with a companion":    withoutPtrace,
		"without a companion": func(verb string) *exec.Cmd { return testdaemon.Command(verb) },
	} {
		t.Run(companion, func(t *testing.T) {
			if companion == "without a companion" {
				testbed.NeedLinuxBuild(t, "/proc/PID/fd")
			}
			if !testbed.IsolateRoot(t) {
				return
			}
			log := testbed.StartSyslogd(t, "busybox")
			testbed.Run(t, 0, verb("start"))
			if companion == "without a companion" {
				require.NoError(t, os.Remove(testdaemon.Companion))
			} else {
				require.NoError(t, os.Chtimes(testdaemon.Companion, time.Time{}, time.Now().Add(-24*time.Hour)))
			}
			require.NoError(t, os.Chtimes(testdaemon.Pidfile, time.Time{}, time.Now().Add(-24*time.Hour)))
			lookedAtAndStopped(t, log, testbed.One(t, "service"), verb)
		})
	}
}

// hidden-proc lays another /proc over this one, by the options that are its first
// argument, or none, then becomes another helper.
var _ = testbed.Helper("hidden-proc", func() {
	runtime.LockOSThread()
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(unix.Unshare(unix.CLONE_NEWNS))
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(os.Unsetenv("TESTBED_HELPER"))
	c := testbed.Command(os.Args[2], os.Args[3:]...) // it asks /proc where this program is
	if os.Args[1] == "none" {
		must(unix.Mount("tmpfs", "/proc", "tmpfs", 0, "mode=555"))
	} else {
		must(unix.Mount("proc", "/proc", "proc", 0, os.Args[1]))
	}
	must(unix.Exec(c.Path, c.Args, c.Env))
})

// TestProcThatTellsLess: with other users' processes hidden, and with nothing but
// processes in /proc.
func TestProcThatTellsLess(t *testing.T) {
	for _, options := range []string{"hidepid=2", "subset=pid", "hidepid=2,subset=pid"} {
		t.Run(options, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			allVerbs(t, func(verb string) *exec.Cmd {
				return testbed.Command("hidden-proc", options, "without-capability", fmt.Sprint(unix.CAP_SYS_PTRACE), "service", verb)
			})
		})
	}
}

// TestWithoutProc: a start needs /proc, the other verbs do not.
func TestWithoutProc(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	verb := func(verb string) *exec.Cmd { return testbed.Command("hidden-proc", "none", "service", verb) }
	stdout, _ := testbed.Run(t, 0, verb("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	testbed.Run(t, 0, verb("reload"))
	log.Has(t, "reloading")
	testbed.Run(t, 0, verb("stop"))
	testdaemon.NothingLeft(t)
}

// TestWhatIsNoCompanionIsRefusedByName: somebody has put it there, and no verb follows it.
func TestWhatIsNoCompanionIsRefusedByName(t *testing.T) {
	const victim = "/run/victim"
	for what, plant := range map[string]func(path string) error{
		"a symbolic link":                         func(path string) error { return os.Symlink(victim, path) },
		"a FIFO":                                  func(path string) error { return unix.Mkfifo(path, 0o600) },
		"one of 2 links to the same file":         func(path string) error { return os.Link(victim, path) },
		"writable by others (mode 0666)":          func(path string) error { return planted(path, 0o666, 0) },
		"owned by uid 65534, neither root nor us": func(path string) error { return planted(path, 0o600, 65534) },
	} {
		t.Run(what, func(t *testing.T) {
			if !testbed.IsolateRootOneWay(t) {
				return
			}
			require.NoError(t, os.WriteFile(victim, []byte("as it was"), 0o600))
			require.NoError(t, plant(testdaemon.Companion))
			says := "svc: lock file /var/run/svc.lock is " + what + ": refused; look who put it there, then remove it\n"
			for verb, code := range map[string]int{"start": 6, "stop": 6, "restart": 6, "reload": 6, "status": 4} {
				_, stderr := testbed.Run(t, code, testdaemon.Command(verb))
				assert.Equal(t, says, stderr, verb)
			}
			text, err := os.ReadFile(victim)
			require.NoError(t, err)
			assert.Equal(t, "as it was", string(text))
			testbed.None(t, "service")
			testbed.NoLocks(t)
			assert.NoFileExists(t, testdaemon.Pidfile)
		})
	}
}

func planted(path string, mode os.FileMode, uid int) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := os.Chown(path, uid, 0); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// TestCompanionOfAnotherDaemonProvesNothing: somebody renamed it to ours.
func TestCompanionOfAnotherDaemonProvesNothing(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/PID/fd")
	if !testbed.IsolateRoot(t) {
		return
	}
	require.NoError(t, os.Mkdir("/run/other", 0o755))
	testbed.Run(t, 0, testdaemon.Command("start", "DIR=/run/other"))
	other := testbed.One(t, "service")
	require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte(strconv.Itoa(other)), 0o600))
	require.NoError(t, os.Rename("/run/other/svc.lock", testdaemon.Companion))
	testbed.Run(t, 1, testdaemon.Command("status"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	_, stderr := testbed.Run(t, 6, testdaemon.Command("start"))
	assert.Equal(t, fmt.Sprintf("svc: lock file /var/run/svc.lock is held by process %d, for the pidfile \"/run/other/svc.pid\": "+
		"somebody renamed it; stop that daemon, then start again\n", other), stderr)
	assert.Equal(t, other, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("status", "DIR=/run/other"))
	testbed.Run(t, 0, testdaemon.Command("stop", "DIR=/run/other"))
	testbed.None(t, "service")
}

// locker takes a record lock on the file, as a program does that locks whatever it is told.
var _ = testbed.Helper("locker", func() {
	f := testbed.Must(os.OpenFile(os.Args[1], os.O_RDWR, 0))
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		panic(err)
	}
	fmt.Println("up")
	testbed.UntilTerm()
	runtime.KeepAlive(f)
})

func startLocker(t *testing.T, path string) int {
	c := testbed.Command("locker", path)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	return c.Process.Pid
}

// TestProcessThatLocksTheCompanionIsNotTheDaemon: neither with the pidfile nor without.
func TestProcessThatLocksTheCompanionIsNotTheDaemon(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	daemon := testbed.One(t, "service")
	require.NoError(t, unix.Kill(daemon, unix.SIGKILL))
	testbed.Eventually(t, func() bool { return !testbed.Alive(daemon) }, "its end")
	innocent := startLocker(t, testdaemon.Companion)
	says := fmt.Sprintf("svc: /var/run/svc.lock is locked by process %d, but names process %d: ", innocent, daemon)
	for range 2 {
		for verb, code := range map[string]int{"status": 4, "stop": 1, "reload": 1, "start": 1} {
			_, stderr := testbed.Run(t, code, testdaemon.Command(verb, "STOP_TIMEOUT_MS=100"))
			if verb != "start" {
				assert.Contains(t, stderr, says, verb)
			}
		}
		assert.True(t, testbed.Alive(innocent))
		_ = os.Remove(testdaemon.Pidfile)
	}
	testbed.None(t, "service")
}

// TestPidfileThatNamesAnotherIsNotBelieved: nothing is signalled where the pidfile and the
// lock disagree.
func TestPidfileThatNamesAnotherIsNotBelieved(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	daemon := testbed.One(t, "service")
	bystander := exec.Command("sleep", "1007")
	require.NoError(t, bystander.Start())
	require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte(strconv.Itoa(bystander.Process.Pid)), 0o600))
	says := fmt.Sprintf("svc: /var/run/svc.pid names process %d, but process %d holds /var/run/svc.lock: "+
		"look which of them is the daemon, and end it by hand\n", bystander.Process.Pid, daemon)
	for verb, code := range map[string]int{"status": 4, "stop": 1, "reload": 1, "start": 1} {
		_, stderr := testbed.Run(t, code, testdaemon.Command(verb, "STOP_TIMEOUT_MS=100"))
		assert.Equal(t, says, stderr, verb)
	}
	assert.True(t, testbed.Alive(bystander.Process.Pid))
	assert.Equal(t, daemon, testbed.One(t, "service"))
}

// TestCompanionRemovedOrLost: on Linux the descriptors of the process that the pidfile
// names decide then, as for a daemon of an earlier release, which has no companion.
func TestCompanionRemovedOrLost(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/PID/fd")
	for _, how := range []string{"removed", "lost"} {
		t.Run(how, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			log := testbed.StartSyslogd(t, "busybox")
			if how == "removed" {
				testbed.Run(t, 0, testdaemon.Command("start"))
				require.NoError(t, os.Remove(testdaemon.Companion))
			} else {
				testbed.Run(t, 0, testdaemon.Command("start", "AS=root", "DO=opens every file of /run"))
				log.Has(t, "opened ")
				locks, err := os.ReadFile("/proc/locks")
				require.NoError(t, err)
				require.NotContains(t, string(locks), "POSIX", "the daemon's lock is lost")
			}
			pid := testbed.One(t, "service")
			if how == "removed" { // may not be looked into without the capability
				says := fmt.Sprintf("svc: /var/run/svc.pid is locked and names process %d, but nobody holds the record lock of /var/run/svc.lock: "+
					"that this process is the daemon cannot be seen (", pid)
				for verb, code := range map[string]int{"status": 4, "stop": 4, "reload": 4, "start": 4} {
					_, stderr := testbed.Run(t, code, withoutPtrace(verb))
					assert.Contains(t, stderr, says, verb)
					assert.Contains(t, stderr, fmt.Sprintf("(kill %d)", pid), verb)
				}
				require.Equal(t, pid, testbed.One(t, "service"))
			}
			lookedAtAndStopped(t, log, pid, func(verb string) *exec.Cmd { return testdaemon.Command(verb) })
		})
	}
}

// TestDaemonThatAsksForItsOwnStatus keeps its lock: closing any descriptor of the companion
// would release it.
func TestDaemonThatAsksForItsOwnStatus(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, testdaemon.Command("start", "AS=root", "DO=asks for its own status"))
	testbed.Eventually(t, func() bool {
		return strings.Count(log.Text(t), "own status: running, itself true, <nil>") == 3
	}, "three answers: %v", testbed.Lazy(func() string { return log.Text(t) }))
	locks, err := os.ReadFile("/proc/locks")
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(`POSIX +ADVISORY +READ +%d `, testbed.One(t, "service")), string(locks))
	lookedAtAndStopped(t, log, testbed.One(t, "service"), withoutPtrace)
}

// TestChildOfACloneIsNotTheDaemon: it has the lock of the pidfile, since no library could
// close it, but not the companion's.
func TestChildOfACloneIsNotTheDaemon(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/PID/fd")
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, testdaemon.Command("start", "DO=leaves a clone"))
	log.Has(t, "cloned ")
	daemon := testbed.PIDIn(t, testdaemon.Pidfile)
	_, after, _ := strings.Cut(log.Text(t), "cloned ")
	child, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(t, err)
	require.NoError(t, unix.Kill(daemon, unix.SIGKILL))
	testbed.Eventually(t, func() bool { return unix.Kill(daemon, 0) == unix.ESRCH }, "its end")
	says := fmt.Sprintf("svc: /var/run/svc.pid is locked, but not by process %d here, which it names: ", daemon)
	for _, recycled := range []bool{false, true} {
		if recycled {
			innocentWithPID(t, daemon)
		}
		for verb, code := range map[string]int{"status": 4, "stop": 1, "reload": 1, "start": 1} {
			_, stderr := testbed.Run(t, code, testdaemon.Command(verb, "STOP_TIMEOUT_MS=100"))
			assert.Contains(t, stderr, says, verb)
		}
		assert.True(t, testbed.Alive(child))
	}
	assert.True(t, testbed.Alive(daemon), "who has the daemon's pid now was hit")
}

// TestCompanionThatCannotBeWritten: a start fails, says so, and leaves nothing.
func TestCompanionThatCannotBeWritten(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755,size=64k"))
	filler, err := os.Create("/run/filler")
	require.NoError(t, err)
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	_, stderr := testbed.Run(t, 1, testdaemon.Command("start"))
	assert.Contains(t, stderr, "no space left on device (is the file system full or read-only?)")
	testdaemon.NothingLeft(t)
	filler.Close()
	require.NoError(t, os.Remove("/run/filler"))
	require.NoError(t, unix.Mount("", "/run", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	_, stderr = testbed.Run(t, 1, testdaemon.Command("start"))
	assert.Contains(t, stderr, "read-only file system")
	testdaemon.NothingLeft(t)
}

// TestFileSystemWithoutRecordLocks: NFS without its lock daemon answers like this.
func TestFileSystemWithoutRecordLocks(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	_, stderr := testbed.Run(t, 1, testbed.Command("no-record-locks", "service", "start"))
	assert.Equal(t, "svc: lock file: fcntl /var/run/svc.lock (locks may not be supported there: use a local directory): no locks available\n", stderr)
	testdaemon.NothingLeft(t)
}

var _ = testbed.Helper("no-record-locks", func() {
	call := unix.SYS_FCNTL
	if strconv.IntSize == 32 {
		call = 221 // fcntl64(2)
	}
	testbed.Refuse(unix.ENOLCK, &testbed.Argument{Index: 1, Mask: 0xffffffff, Value: unix.F_SETLK}, call)
	testbed.ExecHelper(os.Args[1:])
})

// TestRootStopsWhatAUserStarted: in a directory of the user's own, where nobody else may
// write. Root signals as that user: a process of root's that the user had lock his files
// is not hit.
func TestRootStopsWhatAUserStarted(t *testing.T) {
	testbed.NeedLinuxBuild(t, "pidfds")
	if !testbed.IsolateRoot(t) {
		return
	}
	const dir, uid = "/run/users", 65534
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.Chown(dir, uid, uid))
	user := func(verb string) *exec.Cmd { return testbed.As(t, uid, testdaemon.Command(verb, "DIR="+dir)) }
	root := func(verb string) *exec.Cmd { return testdaemon.Command(verb, "DIR="+dir, "STOP_TIMEOUT_MS=100") }
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, user("start"))
	pid := testbed.One(t, "service")
	stdout, _ := testbed.Run(t, 0, root("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	testbed.Run(t, 0, root("reload"))
	log.Has(t, "reloading as uid 65534")
	_, stderr := testbed.Run(t, 6, root("start"))
	assert.Contains(t, stderr, "owned by uid 65534, neither root nor us")
	testbed.Run(t, 0, root("stop"))
	testbed.None(t, "service")
	assert.NoFileExists(t, dir+"/svc.pid")
	assert.NoFileExists(t, dir+"/svc.lock")

	for _, file := range []string{"/svc.pid", "/svc.lock"} {
		require.NoError(t, planted(dir+file, 0o600, uid))
	}
	innocent := startLocker(t, dir+"/svc.lock")
	require.NoError(t, os.WriteFile(dir+"/svc.lock", fmt.Appendf(nil, "%d %s/svc.pid\n", innocent, dir), 0o600))
	require.NoError(t, os.WriteFile(dir+"/svc.pid", []byte(strconv.Itoa(innocent)), 0o600))
	for _, verb := range []string{"stop", "reload"} {
		_, stderr := testbed.Run(t, 4, root(verb))
		assert.Contains(t, stderr, fmt.Sprintf("to pid %d: operation not permitted", innocent))
	}
	assert.True(t, testbed.Alive(innocent))

	require.NoError(t, os.Chmod(dir, 0o775))
	_, stderr = testbed.Run(t, 4, root("status"))
	assert.Contains(t, stderr, "is owned by uid 65534, neither root nor us", "a third party can write there")
}
