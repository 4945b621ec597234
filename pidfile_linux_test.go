package daemonize

// The pidfile with real daemons, and what others do with it.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestWhatIsNoPidfileIsRefusedByName(t *testing.T) {
	const victim = "/run/victim"
	for _, c := range []struct {
		what string
		make func(t *testing.T, path string)
	}{
		{"a symbolic link", func(t *testing.T, path string) { require.NoError(t, os.Symlink(victim, path)) }},
		{"a symbolic link", func(t *testing.T, path string) { require.NoError(t, os.Symlink("/run/dangling", path)) }},
		{"a directory", func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }},
		{"a FIFO", func(t *testing.T, path string) { require.NoError(t, unix.Mkfifo(path, 0o600)) }},
		{"a socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
		}},
		{"a device", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, unix.Mount("/dev/zero", path, "", unix.MS_BIND, ""))
			t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
		}},
		{"one of 2 links to the same file", func(t *testing.T, path string) { require.NoError(t, os.Link(victim, path)) }},
		{"writable by others (mode 0666)", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Chmod(path, 0o666))
		}},
		{"writable by others (mode 0620)", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Chmod(path, 0o620))
		}},
		{"owned by uid 65534, neither root nor us", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Chown(path, 65534, 0))
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if strings.HasPrefix(c.what, "owned by") {
				testbed.NeedRoot(t)
			}
			if !testbed.Isolate(t) {
				return
			}
			sleeper := exec.Command("sleep", "1002")
			require.NoError(t, sleeper.Start())
			require.NoError(t, os.WriteFile(victim, []byte(strconv.Itoa(sleeper.Process.Pid)), 0o600))
			c.make(t, svcPidfile)
			before, err := os.Lstat(svcPidfile)
			require.NoError(t, err)
			says := "svc: pidfile /var/run/svc.pid is " + c.what + ": refused; look who put it there, then remove it\n"
			for verb, code := range map[string]int{"start": 6, "stop": 6, "restart": 6, "reload": 6, "status": 4} {
				_, stderr := command(t, code, serviceCommand(verb))
				assert.Equal(t, says, stderr, verb)
			}
			after, err := os.Lstat(svcPidfile)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
			text, err := os.ReadFile(victim)
			require.NoError(t, err)
			assert.Equal(t, strconv.Itoa(sleeper.Process.Pid), string(text))
			assert.NoFileExists(t, "/run/dangling")
			assert.True(t, testbed.Alive(sleeper.Process.Pid))
			testbed.None(t, "service")
		})
	}
}

func TestRunThatTakesNoPidfile(t *testing.T) {
	for _, c := range []struct {
		name, says string
		code       int
		breaks     func(t *testing.T)
	}{
		{"full", "no space left on device", 1, func(t *testing.T) {
			require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755,size=4k"))
			for i := 0; os.WriteFile(fmt.Sprint("/run/fill", i), make([]byte, 4096), 0o600) == nil; i++ {
			}
		}},
		{"read-only", "read-only file system", 1, func(t *testing.T) {
			require.NoError(t, unix.Mount("", "/run", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}},
		{"missing", "pidfile directory /var/run: does not exist: create it, or set PidfileDirectory", 6, func(t *testing.T) {
			require.NoError(t, unix.Mount("tmpfs", "/var", "tmpfs", 0, ""))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !testbed.Isolate(t) {
				return
			}
			c.breaks(t)
			_, stderr := command(t, c.code, serviceCommand("start"))
			assert.Contains(t, stderr, c.says)
			testbed.None(t, "service")
			assertNoLocks(t)
		})
	}
}

func TestUnprivilegedUserSeesAndMayNot(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	command(t, 0, serviceCommand("start"))
	pid := testbed.One(t, "service")
	user := func(verb string) *exec.Cmd { return testbed.As(t, 65534, serviceCommand(verb)) }
	stdout, _ := command(t, 0, user("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	for _, verb := range []string{"stop", "reload", "restart", "start"} {
		want := 4
		if verb == "start" {
			want = 1 // it does run
		}
		_, stderr := command(t, want, user(verb))
		assert.NotEmpty(t, stderr)
		assert.Equal(t, pid, testbed.One(t, "service"))
	}
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	testbed.None(t, "service")
	stdout, _ = command(t, 1, user("status"))
	assert.Equal(t, "svc is dead, but its pidfile /var/run/svc.pid is left.\nWhat it logged: journalctl -t svc, or /var/log/syslog or /var/log/messages.\n", stdout)
	command(t, 4, user("start"))
	command(t, 0, serviceCommand("stop"))
	stdout, _ = command(t, 3, user("status"))
	assert.Equal(t, "svc is not running.\n", stdout)
}

func TestAfterKill9(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	kill := func() {
		command(t, 0, serviceCommand("start"))
		require.NoError(t, unix.Kill(testbed.One(t, "service"), unix.SIGKILL))
		testbed.None(t, "service")
	}
	kill()
	stdout, _ := command(t, 1, serviceCommand("status"))
	assert.Equal(t, "svc is dead, but its pidfile /var/run/svc.pid is left.\nWhat it logged: journalctl -t svc, or /var/log/syslog or /var/log/messages.\n", stdout)
	kill() // start takes it over
	_, stderr := command(t, 0, serviceCommand("stop"))
	assert.Equal(t, "svc: the daemon was dead; removed its pidfile /var/run/svc.pid\n", stderr)
	nothingLeft(t)
	kill()
	command(t, 0, serviceCommand("restart"))
	heldBy(t, svcPidfile, testbed.One(t, "service"))
}

// innocentWithPID starts a process that has nothing to do with us as pid. A
// shell does it: a thread that Go starts meanwhile would take the pid for good.
func innocentWithPID(t *testing.T, pid int) {
	t.Helper()
	script := fmt.Sprintf(`echo %d >/proc/sys/kernel/ns_last_pid; sleep 1003 </dev/null >/dev/null 2>&1 & echo $!`, pid-1)
	testbed.Eventually(t, func() bool {
		out, err := exec.Command("sh", "-c", script).Output()
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
	if !isolateRoot(t) {
		return
	}
	command(t, 0, serviceCommand("start"))
	pid := testbed.One(t, "service")
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	testbed.Eventually(t, func() bool { return unix.Kill(pid, 0) == unix.ESRCH }, "the zombie's end")
	innocentWithPID(t, pid)
	command(t, 1, serviceCommand("status"))
	command(t, 7, serviceCommand("reload"))
	command(t, 0, serviceCommand("stop"))
	assert.True(t, testbed.Alive(pid))
	assert.NoFileExists(t, svcPidfile)
}

func TestStopOf(t *testing.T) {
	t.Parallel() // it waits, most of the time
	for _, noPidfd := range []bool{false, true} {
		verb := func(v string, env ...string) *exec.Cmd {
			if !noPidfd {
				return serviceCommand(v, env...)
			}
			c := testbed.Command("without", fmt.Sprintf("%d,%d", unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL), "service", v)
			c.Env = append(c.Env, env...)
			return c
		}
		name := map[bool]string{false: "", true: " without pidfd"}[noPidfd]

		t.Run("a daemon that ignores TERM"+name, func(t *testing.T) {
			if !isolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			command(t, 0, serviceCommand("start", "DO=ignores TERM"))
			pid := testbed.One(t, "service")
			start := time.Now()
			command(t, 0, verb("stop", "STOP_TIMEOUT_MS=700"))
			took := time.Since(start)
			assert.GreaterOrEqual(t, took, 700*time.Millisecond)
			assert.Less(t, took, 3*time.Second)
			status := testbed.ExitOf(t, pid)
			assert.Equal(t, unix.SIGKILL, status.Signal())
			nothingLeft(t)
		})
		t.Run("a daemon that takes its time"+name, func(t *testing.T) {
			if !isolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			command(t, 0, serviceCommand("start", "DO=slow stop"))
			pid := testbed.One(t, "service")
			start := time.Now()
			command(t, 0, verb("stop"))
			assert.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond)
			assert.Less(t, time.Since(start), 3*time.Second)
			assert.Equal(t, 0, testbed.ExitOf(t, pid).ExitStatus())
			nothingLeft(t)
		})
		t.Run("a stopped daemon"+name, func(t *testing.T) {
			if !isolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			command(t, 0, serviceCommand("start"))
			pid := testbed.One(t, "service")
			require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
			testbed.Eventually(t, func() bool { return testbed.Look(t, pid).State == "T" }, "the stop")
			command(t, 0, verb("stop"))
			assert.Equal(t, 0, testbed.ExitOf(t, pid).ExitStatus(), "SIGTERM, not SIGKILL")
			nothingLeft(t)
		})
		t.Run("a zombie"+name, func(t *testing.T) {
			if !isolateRoot(t) {
				return
			}
			testbed.Subreaper(t) // nobody waits for it but us, later
			command(t, 0, serviceCommand("start"))
			pid := testbed.One(t, "service")
			start := time.Now()
			command(t, 0, verb("stop"))
			assert.Less(t, time.Since(start), 3*time.Second)
			// Without a pidfd the lock tells, which goes a moment before the process.
			testbed.Eventually(t, func() bool { return testbed.Status(t, pid, 0)["State"] == "Z (zombie)" }, "the zombie")
			stdout, _ := command(t, 3, verb("status"))
			assert.Equal(t, "svc is not running.\n", stdout)
			command(t, 0, verb("start"))
			testbed.One(t, "service")
		})
	}
}

// TestChildrenNeverHoldTheLock: neither one that was forked without exec nor
// one that was executed.
func TestChildrenNeverHoldTheLock(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := startSyslogd(t)
	command(t, 0, serviceCommand("start", "DO=leaves children"))
	sleep := testbed.One(t, "sleep")
	children := []int{sleep}
	var daemon int
	if usesLibc {
		log.has(t, "forked ")
		_, after, _ := strings.Cut(log.Text(t), "forked ")
		forked, err := strconv.Atoi(strings.Fields(after)[0])
		require.NoError(t, err)
		children = append(children, forked)
		daemon = testbed.Look(t, forked).PPID
	} else {
		daemon = testbed.Look(t, sleep).PPID
	}
	for _, pid := range children {
		for fd, to := range testbed.Look(t, pid).FDs {
			assert.NotContains(t, to, "svc.pid", "descriptor %d of pid %d", fd, pid)
		}
	}
	require.NoError(t, unix.Kill(daemon, unix.SIGKILL))
	testbed.Eventually(t, func() bool { return !testbed.Alive(daemon) }, "its end")
	assertNoLocks(t)
	command(t, 1, serviceCommand("status"))
	command(t, 0, serviceCommand("start"))
	for _, pid := range children {
		assert.True(t, testbed.Alive(pid))
	}
}

func TestPidfileRemovedUnderALiveDaemon(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	command(t, 0, serviceCommand("start", "AS=root"))
	pid := testbed.One(t, "service")
	require.NoError(t, os.Remove(svcPidfile))
	_, stderr := command(t, 1, serviceCommand("start"))
	assert.Equal(t, fmt.Sprintf("svc: PID file exists. Process already running? (pid %d holds /var/run/svc.pid)\n", pid), stderr)
	assert.Equal(t, pid, testbed.One(t, "service"))
	stdout, _ := command(t, 0, serviceCommand("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	command(t, 0, serviceCommand("reload"))
	assert.Equal(t, pid, testbed.One(t, "service"))
	command(t, 0, serviceCommand("stop"))
	nothingLeft(t)
}

// TestPidfileRemovedOverOverlayfs: whose layers are on two file systems, so that
// a file there has another device number than its directory, and than its locks.
func TestPidfileRemovedOverOverlayfs(t *testing.T) {
	if !isolateRootOneWay(t) {
		return
	}
	for _, dir := range []string{"/run/lower", "/run/upper", "/run/over"} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	require.NoError(t, unix.Mount("tmpfs", "/run/lower", "tmpfs", 0, "mode=755"))
	require.NoError(t, unix.Mount("tmpfs", "/run/upper", "tmpfs", 0, "mode=755"))
	require.NoError(t, os.Mkdir("/run/upper/u", 0o755))
	require.NoError(t, os.Mkdir("/run/upper/w", 0o755))
	if err := unix.Mount("overlay", "/run/over", "overlay", 0, "lowerdir=/run/lower,upperdir=/run/upper/u,workdir=/run/upper/w,xino=off"); err != nil {
		t.Skipf("needs overlayfs (%v): run it where the kernel has that", err)
	}
	service := func(verb string) *exec.Cmd { return serviceCommand(verb, "DIR=/run/over") }
	command(t, 0, service("start"))
	pid := testbed.One(t, "service")
	require.NoError(t, os.Remove("/run/over/svc.pid"))
	stdout, _ := command(t, 0, service("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	_, stderr := command(t, 1, service("start"))
	assert.Contains(t, stderr, fmt.Sprintf("(pid %d holds /run/over/svc.pid)", pid))
	command(t, 0, service("stop"))
	testbed.None(t, "service")
}

// TestWithoutPidfdTheProofComesBeforeTheKill: the pid in a file that nobody
// has locked is not signalled.
func TestWithoutPidfdTheProofComesBeforeTheKill(t *testing.T) {
	sleeper := exec.Command("sleep", "1004")
	require.NoError(t, sleeper.Start())
	defer func() { _, _ = sleeper.Process.Kill(), sleeper.Wait() }()
	path := filepath.Join(private(t), "x.pid")
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(sleeper.Process.Pid)), 0o600))
	f, err := openPidfile(path, os.O_RDONLY)
	require.NoError(t, err)
	h := &holder{pid: sleeper.Process.Pid, file: f, path: path, pidfd: -1}
	defer h.close()
	assert.Equal(t, ErrNotRunning, h.signal(unix.SIGKILL))
	assert.True(t, testbed.Alive(sleeper.Process.Pid))
}

// TestWhoTidiesIsNotTakenForADaemon: stop has the file locked while it removes it.
func TestWhoTidiesIsNotTakenForADaemon(t *testing.T) {
	path := filepath.Join(private(t), "x.pid")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	f, err := openPidfile(path, os.O_RDONLY|os.O_APPEND)
	require.NoError(t, err)
	defer f.Close()
	free, err := flock(f, unix.LOCK_EX)
	require.NoError(t, err)
	require.True(t, free)
	held, err := holdsLock(os.Getpid(), f)
	require.NoError(t, err)
	assert.False(t, held)
	require.NoError(t, os.Remove(path))
	status, err := probe(path)
	require.NoError(t, err)
	assert.Equal(t, Status{State: Stopped}, status)
	p, err := acquire(path)
	require.NoError(t, err)
	p.remove()
}

// TestManyStartsMakeOneDaemon: a hundred at once, and an observer of /proc/locks.
func TestManyStartsMakeOneDaemon(t *testing.T) {
	rounds := 5 // 50 in CI
	if n, err := strconv.Atoi(os.Getenv("DAEMONIZE_ROUNDS")); err == nil {
		rounds = n
	}
	if testing.Short() {
		rounds = 1
	}
	if !isolateRoot(t) {
		return
	}
	for range rounds {
		done := make(chan struct{})
		most := make(chan int)
		go func() { // the observer
			n := 0
			b := make([]byte, 1<<16)
			for {
				f, err := os.Open("/proc/locks")
				if err != nil {
					panic(err)
				}
				got, _ := f.Read(b) // one read is one moment
				f.Close()
				n = max(n, strings.Count(string(b[:got]), "  WRITE "))
				select {
				case <-done:
					most <- n
					return
				default:
				}
			}
		}()
		var started sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		says := map[string]int{}
		for range 100 {
			started.Add(1)
			go func() {
				defer started.Done()
				c := serviceCommand("start")
				out, _ := c.CombinedOutput()
				mu.Lock()
				defer mu.Unlock()
				codes[c.ProcessState.ExitCode()]++
				says[string(out)]++
			}()
		}
		started.Wait()
		close(done)
		assert.LessOrEqual(t, <-most, 1, "never two exclusive locks")
		assert.Equal(t, map[int]int{0: 1, 1: 99}, codes, "%v", says)
		pid := testbed.One(t, "service")
		heldBy(t, svcPidfile, pid)
		for text := range says {
			assert.Regexp(t, `^$|^svc: PID file exists. Process already running\? \((pid `+strconv.Itoa(pid)+` holds |/var/run/svc.pid is locked)`, text)
		}
		command(t, 0, serviceCommand("stop"))
		nothingLeft(t)
	}
}

// TestRestartsMakeOneDaemon: restart against restart, stop and start.
func TestRestartsMakeOneDaemon(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, _ = serviceCommand([]string{"restart", "restart", "stop", "start"}[i%4]).CombinedOutput()
		}()
	}
	all.Wait()
	command(t, 0, serviceCommand("restart"))
	heldBy(t, svcPidfile, testbed.One(t, "service"))
	command(t, 0, serviceCommand("stop"))
	nothingLeft(t)
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
	if _, err := os.Stat("/usr/include/bsd/libutil.h"); err != nil {
		t.Skip("needs libbsd: apt-get install libbsd-dev")
	}
	if !isolateRoot(t) {
		return
	}
	bsd := testbed.CC(t, libbsdHolder, "-lbsd")
	command(t, 0, serviceCommand("start"))
	pid := testbed.One(t, "service")
	stdout, _ := command(t, 3, exec.Command(bsd, svcPidfile))
	assert.Equal(t, fmt.Sprintf("held by %d\n", pid), stdout)
	command(t, 0, serviceCommand("stop"))

	c := exec.Command(bsd, svcPidfile)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	b := make([]byte, 5)
	_, err = out.Read(b)
	require.NoError(t, err)
	stdout, _ = command(t, 0, serviceCommand("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", c.Process.Pid), stdout)
	_, stderr := command(t, 1, serviceCommand("start"))
	assert.Contains(t, stderr, fmt.Sprintf("(pid %d holds /var/run/svc.pid)", c.Process.Pid))
	in.Close()
	require.NoError(t, c.Wait())
	nothingLeft(t)
}

func TestOtherToolsUnderstandOurPidfile(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	ssd, err := exec.LookPath("start-stop-daemon")
	if err != nil {
		ssd = testbed.Package(t, "/sbin/start-stop-daemon", "dpkg")
	}
	pgrep := testbed.Package(t, "pgrep", "procps")
	command(t, 0, serviceCommand("start"))
	pid := testbed.One(t, "service")
	command(t, 0, exec.Command(ssd, "--status", "--pidfile", svcPidfile))
	stdout, _ := command(t, 0, exec.Command(pgrep, "-F", svcPidfile))
	assert.Equal(t, fmt.Sprintln(pid), stdout)
	command(t, 0, exec.Command(filepath.Join(filepath.Dir(pgrep), "pkill"), "-F", svcPidfile))
	testbed.Eventually(t, func() bool { return unix.Kill(pid, 0) == unix.ESRCH }, "its end: a zombie is alive to start-stop-daemon")
	command(t, 3, exec.Command(ssd, "--status", "--pidfile", "/run/none.pid"))
	command(t, 1, exec.Command(ssd, "--status", "--pidfile", svcPidfile))
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
	untilTerm()
})

func TestPidfileOfAnotherContainerIsLeftAlone(t *testing.T) {
	t.Parallel() // it waits, most of the time
	if !isolateRoot(t) {
		return
	}
	c := testbed.Command("shut", "", "container")
	c.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	text, err := os.ReadFile(svcPidfile)
	require.NoError(t, err)
	inner, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	if unix.Kill(inner, 0) != nil { // else somebody has that pid here, or is it a thread's
		innocentWithPID(t, inner)
	}
	outer := testbed.One(t, "service")
	require.NotEqual(t, inner, outer)

	says := fmt.Sprintf("svc: /var/run/svc.pid is locked, but not by process %d here, which it names: a daemon of another container holds it, a child that the daemon left, or somebody else who may read it\n", inner)
	_, stderr := command(t, 4, serviceCommand("status"))
	assert.Equal(t, says, stderr)
	_, stderr = command(t, 1, serviceCommand("stop", "STOP_TIMEOUT_MS=200"))
	assert.Equal(t, says, stderr)
	_, stderr = command(t, 1, serviceCommand("reload", "STOP_TIMEOUT_MS=200"))
	assert.Equal(t, says, stderr)
	_, stderr = command(t, 1, serviceCommand("start"))
	assert.Equal(t, says, stderr)
	assert.NoError(t, unix.Kill(inner, 0))
	assert.Equal(t, outer, testbed.One(t, "service"))
	heldHere, err := os.ReadFile(svcPidfile)
	require.NoError(t, err)
	assert.Equal(t, string(text), string(heldHere))
}
