package stop_test

// What a hostile local user or a compromised daemon may try against root's verbs.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// bindAbstract takes the socket by which a daemon says that it may have a pidfile which was
// removed; see testdaemon.SocketName.
func bindAbstract(name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrUnix{Name: name})
}

// forger holds a removed file at the pidfile's path, and the daemon's socket.
var _ = testbed.Helper("forger", func() {
	path := os.Args[1]
	f := testbed.Must(os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600))
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		panic(err)
	}
	if bindAbstract(os.Args[2]) != nil || os.Remove(path) != nil {
		panic("no forger")
	}
	fmt.Println("up")
	testbed.UntilTerm()
})

func TestForgedHolderIsNotBelieved(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	const dir = "/run/sticky"
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	forger := testbed.As(t, 65534, testbed.Command("forger", dir+"/svc.pid", testdaemon.SocketName(t, dir)))
	out, err := forger.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, forger.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)

	stdout, _ := testbed.Run(t, 3, testdaemon.Command("status", "DIR="+dir))
	assert.Equal(t, "svc is not running.\n", stdout)
	testbed.Run(t, 0, testdaemon.Command("stop", "DIR="+dir))
	assert.True(t, testbed.Alive(forger.Process.Pid), "root's stop signalled it")
	testbed.Run(t, 0, testdaemon.Command("start", "DIR="+dir))
	testbed.HeldBy(t, dir+"/svc.pid", testbed.One(t, "service"))
}

// bystander is root's, has the daemon's socket and a file at the pidfile's path, as its
// argument says, and nobody is to take it for the daemon.
var _ = testbed.Helper("bystander", func() {
	what := os.Args[1]
	file, lock := testdaemon.Pidfile, testdaemon.Pidfile
	mode, text := os.FileMode(0o600), strconv.Itoa(os.Getpid())
	switch what {
	case "another lock":
		lock = "/run/another"
	case "a file that its name calls deleted":
		file = testdaemon.Pidfile + " (deleted)"
		lock = file
	case "a file that anyone may open":
		mode = 0o644
	case "another's pid":
		text = "1"
	case "another file system":
		runtime.LockOSThread()
		for _, err := range []error{unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", "/run", "tmpfs", 0, "")} {
			if err != nil {
				panic(err)
			}
		}
	}
	open := func(path string) *os.File {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			panic(err)
		}
		return testbed.Must(os.Open(path))
	}
	open(file)
	locked := open(lock)
	if unix.Flock(int(locked.Fd()), unix.LOCK_EX) != nil || bindAbstract(os.Args[2]) != nil {
		panic("no bystander")
	}
	if what != "a file that its name calls deleted" && os.Remove(file) != nil {
		panic("not removed")
	}
	fmt.Println("up")
	testbed.UntilTerm()
	runtime.KeepAlive(locked)
})

// TestBystanderWithAPidfileIsNotTheDaemon: nor is a file of root's that another
// user can have opened, in a mount namespace of his own, until root replaces it.
func TestBystanderWithAPidfileIsNotTheDaemon(t *testing.T) {
	for _, what := range []string{"another lock", "a file that its name calls deleted", "a file that anyone may open", "another's pid", "another file system"} {
		t.Run(what, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			bystander := testbed.Command("bystander", what, testdaemon.SocketName(t, "/run"))
			bystander.Stderr = os.Stderr
			out, err := bystander.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, bystander.Start())
			_, err = out.Read(make([]byte, 3))
			require.NoError(t, err)

			testbed.Run(t, 3, testdaemon.Command("status"))
			testbed.Run(t, 0, testdaemon.Command("stop"))
			assert.True(t, testbed.Alive(bystander.Process.Pid), "stop signalled it")
			testbed.Run(t, 0, testdaemon.Command("start"))
			testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
		})
	}
}

// TestWithoutPtraceRootHasItsVerbs: the capabilities that root has in a
// container do not let it look into the daemon's descriptors.
func TestWithoutPtraceRootHasItsVerbs(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	verb := func(v string) *exec.Cmd {
		return testbed.Command("without-capability", fmt.Sprint(unix.CAP_SYS_PTRACE), "service", v)
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, verb("start"))
	pid := testbed.One(t, "service")
	stdout, _ := testbed.Run(t, 0, verb("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	_, stderr := testbed.Run(t, 1, verb("start"))
	assert.Contains(t, stderr, fmt.Sprintf("(pid %d holds /var/run/svc.pid)", pid))
	testbed.Run(t, 0, verb("reload"))
	log.Has(t, "reloading")
	testbed.Run(t, 0, verb("restart"))
	testbed.Run(t, 0, verb("stop"))
	testdaemon.NothingLeft(t)
}

// TestWithoutPtraceALaterProcessIsNotStopped: it was started after the pidfile was
// written, and has only got the daemon's pid.
func TestWithoutPtraceALaterProcessIsNotStopped(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	c := exec.Command(testbed.Package(t, "flock", "util-linux"), "-x", "-n", testdaemon.Pidfile, "sleep", "1005")
	require.NoError(t, os.WriteFile(testdaemon.Pidfile, nil, 0o600))
	require.NoError(t, c.Start())
	pid := c.Process.Pid
	require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte(strconv.Itoa(pid)), 0o600))
	info, err := os.Stat(testdaemon.Pidfile)
	require.NoError(t, err)
	testbed.Eventually(t, func() bool {
		locks, err := os.ReadFile("/proc/locks")
		return err == nil && strings.Contains(string(locks), fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino))
	}, "the lock")
	require.NoError(t, os.Chtimes(testdaemon.Pidfile, time.Time{}, time.Now().Add(-time.Hour)))
	stop := testbed.Command("without-capability", fmt.Sprint(unix.CAP_SYS_PTRACE), "service", "stop")
	stop.Env = append(stop.Env, "STOP_TIMEOUT_MS=200")
	_, stderr := testbed.Run(t, 4, stop)
	assert.Contains(t, stderr, "it was started after the pidfile was written, or the clock was set since: CAP_SYS_PTRACE would tell")
	assert.True(t, testbed.Alive(pid))
}

// flipper has the daemon's socket, a lock of its own file, and names for two files that it
// may not open or that block whoever does; it puts one after the other in the
// place of some descriptors, for whoever looks twice.
var _ = testbed.Helper("flipper", func() {
	dir := os.Args[1]
	own := testbed.Must(os.OpenFile(dir+"/own", os.O_RDONLY|os.O_CREATE, 0o600))
	if unix.Flock(int(own.Fd()), unix.LOCK_EX) != nil || bindAbstract(os.Args[3]) != nil {
		panic("no flipper")
	}
	pidfile := testbed.Must(unix.Open(testdaemon.Pidfile, unix.O_PATH, 0)) // only a name
	other := int(own.Fd())
	if os.Args[2] == "a FIFO" {
		if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
			panic(err)
		}
		other = testbed.Must(unix.Open(dir+"/fifo", unix.O_PATH, 0))
	}
	fmt.Println("up")
	for {
		for _, from := range []int{pidfile, other} {
			for fd := 100; fd < 140; fd++ {
				_ = unix.Dup3(from, fd, 0)
			}
		}
	}
})

// TestFlippedDescriptorsAreLookedAtOnce: neither do root's verbs open what a
// stranger puts there between two looks, nor believe two halves of a truth.
func TestFlippedDescriptorsAreLookedAtOnce(t *testing.T) {
	for _, what := range []string{"a FIFO", "a locked file"} {
		t.Run(what, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			const dir = "/run/flipper"
			require.NoError(t, os.Mkdir(dir, 0o777))
			require.NoError(t, os.Chmod(dir, 0o777))
			name := testdaemon.SocketName(t, "/run")
			require.NoError(t, os.WriteFile(testdaemon.Pidfile, nil, 0o600))
			flipper := testbed.As(t, 65534, testbed.Command("flipper", dir, what, name))
			out, err := flipper.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, flipper.Start())
			_, err = out.Read(make([]byte, 3))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte(strconv.Itoa(flipper.Process.Pid)), 0o600))
			require.NoError(t, os.Remove(testdaemon.Pidfile))
			for range 5 {
				for verb, code := range map[string]int{"status": 3, "stop": 0} {
					testbed.Run(t, code, testdaemon.Command(verb))
				}
			}
			assert.True(t, testbed.Alive(flipper.Process.Pid), "stop signalled it")
		})
	}
}

// TestPidfileLeftReadableIsNobodysToLock: who may read a file may lock it.
func TestPidfileLeftReadableIsNobodysToLock(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	flock := testbed.Package(t, "flock", "util-linux")
	require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte("1"), 0o644))
	testbed.Run(t, 0, testdaemon.Command("start"))
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))

	for _, how := range []string{"-s", "-x"} {
		require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte("640"), 0o644))
		c := exec.Command(flock, how, "-n", testdaemon.Pidfile, "sh", "-c", "echo locked; sleep 1006")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		_, err = out.Read(make([]byte, 7))
		require.NoError(t, err)
		_, stderr := testbed.Run(t, 1, testdaemon.Command("start"))
		if how == "-s" {
			assert.Equal(t, "svc: pidfile /var/run/svc.pid: others keep it locked, or replace it all the time: see who has it open (fuser), then start again\n", stderr)
			info, err := os.Stat(testdaemon.Pidfile)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode(), "nobody else may")
		} else {
			assert.Contains(t, stderr, "svc: /var/run/svc.pid is locked, but not by process 640 here, which it names: ")
		}
		testbed.None(t, "service")
		require.NoError(t, os.Remove(testdaemon.Pidfile)) // what an administrator does
		testbed.Run(t, 0, testdaemon.Command("start"))
		testbed.Run(t, 0, testdaemon.Command("stop"))
	}
}

func TestEndlessCrashFileHoldsNoStartUp(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	require.NoError(t, os.WriteFile("/run/svc.crash", []byte("panic: once\n"), 0o600))
	require.NoError(t, os.Truncate("/run/svc.crash", 1<<42))
	began := time.Now()
	testbed.Run(t, 0, testdaemon.Command("start"))
	assert.Less(t, time.Since(began), 30*time.Second)
}

// half-dropped keeps root in its saved uid, then asks for what it is.
var _ = testbed.Helper("half-dropped", func() {
	if err := syscall.Setresuid(1000, 1000, 0); err != nil {
		panic(err)
	}
	fmt.Println(daemonize.DropPrivileges("", ""))
})

func TestSavedRootIsNoUnprivilegedProcess(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	var out bytes.Buffer
	c := testbed.Command("half-dropped")
	c.Stdout = &out
	require.NoError(t, c.Run())
	assert.Contains(t, out.String(), "the real or saved uid is root's, which would come back: permission denied")
}
