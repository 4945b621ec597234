package daemonize

// What a hostile local user or a compromised daemon may try against root's verbs.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// forger holds a removed file at the pidfile's path, and the claim.
var _ = testbed.Helper("forger", func() {
	path := os.Args[1]
	f := must(os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600))
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		panic(err)
	}
	if claim(path) < 0 || os.Remove(path) != nil {
		panic("no claim")
	}
	fmt.Println("up")
	untilTerm()
})

func TestForgedHolderIsNotBelieved(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	const dir = "/run/sticky"
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	forger := testbed.As(t, 65534, testbed.Command("forger", dir+"/svc.pid"))
	out, err := forger.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, forger.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)

	stdout, _ := command(t, 3, serviceCommand("status", "DIR="+dir))
	assert.Equal(t, "svc is not running.\n", stdout)
	command(t, 0, serviceCommand("stop", "DIR="+dir))
	assert.True(t, testbed.Alive(forger.Process.Pid), "root's stop signalled it")
	command(t, 0, serviceCommand("start", "DIR="+dir))
	heldBy(t, dir+"/svc.pid", testbed.One(t, "service"))
}

// bystander is root's, has the claim and a file at the pidfile's path, as its
// argument says, and nobody is to take it for the daemon.
var _ = testbed.Helper("bystander", func() {
	what := os.Args[1]
	file, lock := svcPidfile, svcPidfile
	mode, text := os.FileMode(0o600), strconv.Itoa(os.Getpid())
	switch what {
	case "another lock":
		lock = "/run/another"
	case "a file that its name calls deleted":
		file = svcPidfile + " (deleted)"
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
		return must(os.Open(path))
	}
	open(file)
	locked := open(lock)
	if unix.Flock(int(locked.Fd()), unix.LOCK_EX) != nil || claim(svcPidfile) < 0 {
		panic("no bystander")
	}
	if what != "a file that its name calls deleted" && os.Remove(file) != nil {
		panic("not removed")
	}
	fmt.Println("up")
	untilTerm()
	runtime.KeepAlive(locked)
})

// TestBystanderWithAPidfileIsNotTheDaemon: nor is a file of root's that another
// user can have opened, in a mount namespace of his own, until root replaces it.
func TestBystanderWithAPidfileIsNotTheDaemon(t *testing.T) {
	for _, what := range []string{"another lock", "a file that its name calls deleted", "a file that anyone may open", "another's pid", "another file system"} {
		t.Run(what, func(t *testing.T) {
			if !isolateRoot(t) {
				return
			}
			bystander := testbed.Command("bystander", what)
			bystander.Stderr = os.Stderr
			out, err := bystander.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, bystander.Start())
			_, err = out.Read(make([]byte, 3))
			require.NoError(t, err)

			command(t, 3, serviceCommand("status"))
			command(t, 0, serviceCommand("stop"))
			assert.True(t, testbed.Alive(bystander.Process.Pid), "stop signalled it")
			command(t, 0, serviceCommand("start"))
			heldBy(t, svcPidfile, testbed.One(t, "service"))
		})
	}
}

// TestManyLocksAreOneLook: the claim taken, whoever looks for a removed pidfile
// reads the descriptors of each process once, however many locks it has.
func TestManyLocksAreOneLook(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 4096, Max: 4096}))
	for i := range 3000 {
		f, err := os.Create(fmt.Sprint("/run/", i))
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	}
	locks, err := writeLocks()
	require.NoError(t, err)
	require.Len(t, locks, 3000)
	assert.Len(t, lockers(locks), 1)
	fd := claim(svcPidfile)
	require.NotEqual(t, -1, fd)
	defer unix.Close(fd)
	began := time.Now()
	command(t, 3, serviceCommand("status"))
	assert.Less(t, time.Since(began), 5*time.Second, "nine million looks take a minute")
}

// TestWithoutPtraceRootHasItsVerbs: the capabilities that root has in a
// container do not let it look into the daemon's descriptors.
func TestWithoutPtraceRootHasItsVerbs(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	verb := func(v string) *exec.Cmd {
		return testbed.Command("without-capability", fmt.Sprint(unix.CAP_SYS_PTRACE), "service", v)
	}
	log := startSyslogd(t)
	command(t, 0, verb("start"))
	pid := testbed.One(t, "service")
	stdout, _ := command(t, 0, verb("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	_, stderr := command(t, 1, verb("start"))
	assert.Contains(t, stderr, fmt.Sprintf("(pid %d holds /var/run/svc.pid)", pid))
	command(t, 0, verb("reload"))
	log.has(t, "reloading")
	command(t, 0, verb("restart"))
	command(t, 0, verb("stop"))
	nothingLeft(t)
}

// TestListOfLocksIsNotBelievedOfALaterProcess: one that was started after the
// pidfile was written has only got the daemon's pid, while a child of the daemon
// keeps the lock.
func TestListOfLocksIsNotBelievedOfALaterProcess(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	c := exec.Command(testbed.Package(t, "flock", "util-linux"), "-x", "-n", svcPidfile, "sleep", "1005")
	require.NoError(t, os.WriteFile(svcPidfile, nil, 0o600))
	require.NoError(t, c.Start())
	pid := c.Process.Pid
	require.NoError(t, os.WriteFile(svcPidfile, []byte(strconv.Itoa(pid)), 0o600))
	info, err := os.Stat(svcPidfile)
	require.NoError(t, err)
	testbed.Eventually(t, func() bool {
		locks, err := writeLocks()
		return err == nil && locks[procLocksKey(info)] == pid
	}, "the lock")
	started, err := startOf(pid)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), started, 10*time.Second)
	for _, written := range []time.Duration{time.Second, -time.Second} {
		require.NoError(t, os.Chtimes(svcPidfile, time.Time{}, started.Add(written)))
		info, err := os.Stat(svcPidfile)
		require.NoError(t, err)
		ours, err := holdsLockUnseen(pid, info, unix.EACCES)
		assert.Equal(t, written > 0, ours)
		if written < 0 {
			assert.ErrorContains(t, err, "it was started after the pidfile was written")
		}
	}
	stop := testbed.Command("without-capability", fmt.Sprint(unix.CAP_SYS_PTRACE), "service", "stop")
	stop.Env = append(stop.Env, "STOP_TIMEOUT_MS=200")
	_, stderr := command(t, 4, stop)
	assert.Contains(t, stderr, "it was started after the pidfile was written, or the clock was set since: CAP_SYS_PTRACE would tell")
	assert.True(t, testbed.Alive(pid))
}

// flipper has the claim, a lock of its own file, and names for two files that it
// may not open or that block whoever does; it puts one after the other in the
// place of some descriptors, for whoever looks twice.
var _ = testbed.Helper("flipper", func() {
	dir := os.Args[1]
	own := must(os.OpenFile(dir+"/own", os.O_RDONLY|os.O_CREATE, 0o600))
	if unix.Flock(int(own.Fd()), unix.LOCK_EX) != nil || claim(svcPidfile) < 0 {
		panic("no flipper")
	}
	pidfile := must(unix.Open(svcPidfile, unix.O_PATH, 0)) // only a name
	other := int(own.Fd())
	if os.Args[2] == "a FIFO" {
		if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
			panic(err)
		}
		other = must(unix.Open(dir+"/fifo", unix.O_PATH, 0))
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
			if !isolateRoot(t) {
				return
			}
			const dir = "/run/flipper"
			require.NoError(t, os.Mkdir(dir, 0o777))
			require.NoError(t, os.Chmod(dir, 0o777))
			require.NoError(t, os.WriteFile(svcPidfile, nil, 0o600))
			flipper := testbed.As(t, 65534, testbed.Command("flipper", dir, what))
			out, err := flipper.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, flipper.Start())
			_, err = out.Read(make([]byte, 3))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(svcPidfile, []byte(strconv.Itoa(flipper.Process.Pid)), 0o600))
			require.NoError(t, os.Remove(svcPidfile))
			for range 5 {
				for verb, code := range map[string]int{"status": 3, "stop": 0} {
					c := serviceCommand(verb)
					late := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
					command(t, code, c)
					late.Stop()
				}
			}
			assert.True(t, testbed.Alive(flipper.Process.Pid), "stop signalled it")
		})
	}
}

// TestPidfileLeftReadableIsNobodysToLock: who may read a file may lock it.
func TestPidfileLeftReadableIsNobodysToLock(t *testing.T) {
	t.Parallel() // it waits, most of the time
	if !isolateRoot(t) {
		return
	}
	flock := testbed.Package(t, "flock", "util-linux")
	require.NoError(t, os.WriteFile(svcPidfile, []byte("1"), 0o644))
	command(t, 0, serviceCommand("start"))
	heldBy(t, svcPidfile, testbed.One(t, "service"))
	command(t, 0, serviceCommand("stop"))

	for _, how := range []string{"-s", "-x"} {
		require.NoError(t, os.WriteFile(svcPidfile, []byte("640"), 0o644))
		c := exec.Command(flock, how, "-n", svcPidfile, "sh", "-c", "echo locked; sleep 1006")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		_, err = out.Read(make([]byte, 7))
		require.NoError(t, err)
		_, stderr := command(t, 1, serviceCommand("start"))
		if how == "-s" {
			assert.Equal(t, "svc: pidfile /var/run/svc.pid: others keep it locked, or replace it all the time: see who has it open (fuser), then start again\n", stderr)
			info, err := os.Stat(svcPidfile)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode(), "nobody else may")
		} else {
			assert.Contains(t, stderr, "svc: /var/run/svc.pid is locked, but not by process 640 here, which it names: ")
		}
		testbed.None(t, "service")
		require.NoError(t, os.Remove(svcPidfile)) // what an administrator does
		command(t, 0, serviceCommand("start"))
		command(t, 0, serviceCommand("stop"))
	}
}

func TestEndlessCrashFileHoldsNoStartUp(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	require.NoError(t, os.WriteFile("/run/svc.crash", []byte("panic: once\n"), 0o600))
	require.NoError(t, os.Truncate("/run/svc.crash", 1<<42))
	began := time.Now()
	command(t, 0, serviceCommand("start"))
	assert.Less(t, time.Since(began), 10*time.Second)
}

// half-dropped keeps root in its saved uid, then asks for what it is.
var _ = testbed.Helper("half-dropped", func() {
	if err := syscall.Setresuid(1000, 1000, 0); err != nil {
		panic(err)
	}
	fmt.Println(DropPrivileges("", ""))
})

func TestSavedRootIsNoUnprivilegedProcess(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	var out bytes.Buffer
	c := testbed.Command("half-dropped")
	c.Stdout = &out
	require.NoError(t, c.Run())
	assert.Contains(t, out.String(), "the real or saved uid is root's, which would come back: permission denied")
}
