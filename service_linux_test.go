package daemonize

// A service by its verbs, as an administrator types them.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// service is a daemon called svc; the variable DO says what its parts do.
var _ = testbed.Helper("service", func() {
	do := os.Getenv("DO")
	if f, err := os.OpenFile(os.Getenv("RUNS"), os.O_WRONLY|os.O_APPEND, 0); err == nil {
		fmt.Fprintln(f, "main")
		f.Close()
	}
	umask, _ := strconv.ParseUint(os.Getenv("UMASK"), 8, 32)
	facility, _ := strconv.Atoi(os.Getenv("FACILITY"))
	config := &Config[string]{
		Name:               "svc",
		User:               os.Getenv("AS"),
		Group:              os.Getenv("GROUP"),
		Umask:              os.FileMode(umask),
		SyslogFacility:     Priority(facility),
		AllowNewPrivileges: os.Getenv("NEW_PRIVILEGES") != "",
		SyslogOptions:      LOG_PID,
		PidfileDirectory:   os.Getenv("DIR"),
		PrivilegedAction: func() (string, error) {
			switch do {
			case "privileged fails":
				fmt.Fprintln(os.Stderr, "looking for a port")
				return "", errors.New("port 80 is taken")
			case "privileged panics":
				panic("out of luck")
			case "privileged exits":
				runtime.Goexit()
			case "privileged hangs":
				os.WriteFile("/run/hangs", nil, 0o600)
				time.Sleep(time.Hour)
			case "listens", "listens and stops slowly":
				_, err := net.Listen("tcp", "127.0.0.1:80") // kept open
				return "a listener", err
			case "privileged is denied":
				return "", unix.EACCES
			case "privileged forks and exits":
				testbed.Fork()
				os.Exit(3)
			case "privileged removes the pidfile":
				return "", os.Remove(svcPidfile)
			}
			return fmt.Sprintf("made by uid %d", os.Getuid()), nil
		},
		Reload: func(context.Context) error {
			Syslog(LOG_NOTICE, "reloading")
			if do == "reload fails" {
				return errors.New("bad config")
			}
			return nil
		},
	}
	if ms, err := strconv.Atoi(os.Getenv("STOP_TIMEOUT_MS")); err == nil {
		config.StopTimeout = time.Duration(ms) * time.Millisecond
	}
	Serviced(func(ctx context.Context, made string) error {
		if do != "says nothing" {
			Syslogf(LOG_INFO, "in action: %s", made)
		}
		switch do {
		case "error":
			return errors.New("lost the thread")
		case "panic":
			panic("lost the plot")
		case "goexit":
			runtime.Goexit()
		case "nil":
			return nil
		case "ignores TERM":
			time.Sleep(time.Hour)
		case "leaves children":
			if pid := testbed.Fork(); pid > 0 {
				Syslogf(LOG_INFO, "forked %d", pid)
			}
			exec.Command("sleep", "1001").Start()
		case "slow stop", "listens and stops slowly":
			<-ctx.Done()
			time.Sleep(300 * time.Millisecond)
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}, config)
})

// serviceCommand is the command for that daemon, with environment settings.
func serviceCommand(verb string, env ...string) *exec.Cmd {
	c := testbed.Command("service", verb)
	c.Env = append(c.Env, env...)
	return c
}

// command runs what a person types, and returns what it prints; code is what
// it must return.
func command(t *testing.T, code int, c *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	c.Stdout, c.Stderr = &out, &err
	_ = c.Run()
	require.NotNil(t, c.ProcessState)
	require.Equal(t, code, c.ProcessState.ExitCode(), "%s\n%s%s", c.Args, out.String(), err.String())
	return out.String(), err.String()
}

const svcPidfile = "/run/svc.pid"

// heldBy asserts, from outside, that pid holds the pidfile and that the file
// says so.
func heldBy(t *testing.T, path string, pid int) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	locks, err := os.ReadFile("/proc/locks")
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(`FLOCK +ADVISORY +WRITE +%d [0-9a-f]+:[0-9a-f]+:%d `, pid, info.Sys().(*syscall.Stat_t).Ino), string(locks))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(pid), string(text))
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	// A daemon that could write could name another process for root to stop.
	var held []string
	for fd, to := range testbed.Look(t, pid).FDs {
		if filepath.Base(to) == filepath.Base(path) {
			fdinfo, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
			require.NoError(t, err)
			_, flags, _ := strings.Cut(string(fdinfo), "flags:\t")
			n, err := strconv.ParseInt(strings.Fields(flags)[0], 8, 64)
			require.NoError(t, err)
			held = append(held, fmt.Sprintf("access %d, close on exec %t", n&unix.O_ACCMODE, n&unix.O_CLOEXEC != 0))
		}
	}
	assert.Equal(t, []string{"access 0, close on exec true"}, held, "its descriptors of the pidfile")
}

// nothingLeft asserts that neither a process nor a pidfile is there.
func nothingLeft(t *testing.T) {
	t.Helper()
	testbed.None(t, "service")
	assert.NoFileExists(t, svcPidfile)
	assertNoLocks(t)
}

func assertNoLocks(t *testing.T) {
	t.Helper()
	locks, err := os.ReadFile("/proc/locks")
	require.NoError(t, err)
	assert.NotContains(t, string(locks), "FLOCK")
}

// isolateRoot is Isolate for daemons that root starts: in a user namespace
// there is nobody to become.
func isolateRoot(t *testing.T) bool {
	t.Helper()
	testbed.NeedRoot(t)
	return testbed.IsolateBothWays(t)
}

// isolateRootOneWay is isolateRoot for tests that name the way themselves.
func isolateRootOneWay(t *testing.T) bool {
	t.Helper()
	testbed.NeedRoot(t)
	return testbed.Isolate(t)
}

func TestServiceFromStartToStop(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := startSyslogd(t)

	_, stderr := command(t, 2, testbed.Command("service"))
	assert.Equal(t, "Usage: svc {start|stop|restart|status|reload|run}\n", stderr)
	stdout, _ := command(t, 3, serviceCommand("status"))
	assert.Equal(t, "svc is not running.\n", stdout)
	_, stderr = command(t, 0, serviceCommand("stop"))
	assert.Equal(t, "svc: Could not find PID file to stop. Is the process running?\n", stderr)

	stdout, stderr = command(t, 0, serviceCommand("start"))
	assert.Empty(t, stdout+stderr)
	pid := testbed.One(t, "service")
	heldBy(t, svcPidfile, pid)
	stdout, _ = command(t, 0, serviceCommand("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)

	_, stderr = command(t, 1, serviceCommand("start"))
	assert.Equal(t, fmt.Sprintf("svc: PID file exists. Process already running? (pid %d holds /var/run/svc.pid)\n", pid), stderr)
	assert.Equal(t, pid, testbed.One(t, "service"))

	stdout, stderr = command(t, 0, serviceCommand("reload"))
	assert.Empty(t, stdout+stderr)
	log.has(t, "daemon.notice svc[%d]: reloading", pid)

	stdout, stderr = command(t, 0, serviceCommand("restart"))
	assert.Empty(t, stdout+stderr)
	second := testbed.One(t, "service")
	assert.NotEqual(t, pid, second)
	heldBy(t, svcPidfile, second)

	stdout, stderr = command(t, 0, serviceCommand("stop"))
	assert.Empty(t, stdout+stderr)
	nothingLeft(t)
	_, _ = command(t, 0, serviceCommand("restart")) // starts what was down
	testbed.One(t, "service")
	_, _ = command(t, 0, serviceCommand("stop"))
	nothingLeft(t)

	log.has(t, "daemon.notice svc[%d]: Starting.", pid)
	log.has(t, "daemon.info svc[%d]: in action: made by uid 0", pid)
	log.has(t, "daemon.notice svc[%d]: Exiting.", pid)
	log.has(t, "daemon.notice svc[%d]: Starting.", second)
}

func TestServiceWithoutSyslogd(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	command(t, 0, serviceCommand("start"))
	heldBy(t, svcPidfile, testbed.One(t, "service"))
	command(t, 0, serviceCommand("stop"))
	nothingLeft(t)
}

func TestActionsEnd(t *testing.T) {
	for _, c := range []struct {
		do     string
		code   int
		logged []string // of the daemon, in order, between in action and Exiting
	}{
		{"nil", 0, nil},
		{"error", 1, []string{"daemon.err svc[%d]: lost the thread"}},
		{"panic", 1, []string{"daemon.err svc[%d]: panic: lost the plot", "goroutine "}},
		{"goexit", 1, []string{"daemon.err svc[%d]: it ended its goroutine (runtime.Goexit)"}},
	} {
		t.Run(c.do, func(t *testing.T) {
			if !isolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			log := startSyslogd(t)
			_, stderr := command(t, 0, serviceCommand("start", "DO="+c.do, "AS=root"))
			assert.Empty(t, stderr, "it was ready")
			log.has(t, "Exiting.")
			_, rest, ok := strings.Cut(log.Text(t), " svc[")
			require.True(t, ok)
			pid, err := strconv.Atoi(rest[:strings.IndexByte(rest, ']')])
			require.NoError(t, err)
			for _, line := range c.logged {
				if strings.Contains(line, "%d") {
					line = fmt.Sprintf(line, pid)
				}
				assert.Contains(t, log.Text(t), line)
			}
			assert.Equal(t, c.code, testbed.ExitOf(t, pid).ExitStatus())
			nothingLeft(t)
		})
	}
}

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
			if !isolateRoot(t) {
				return
			}
			log := startSyslogd(t)
			_, stderr := command(t, c.code, serviceCommand("start", "DO="+c.do))
			if strings.HasSuffix(c.says, "\n") {
				assert.Equal(t, c.says, stderr)
			} else {
				assert.Contains(t, stderr, c.says)
			}
			nothingLeft(t)
			log.has(t, "daemon.err svc[")
			_, says, _ := strings.Cut(c.says, "svc: ")
			log.has(t, "%s", strings.SplitN(says, "\n", 2)[0])
		})
	}
}

// without-capability becomes another helper, without that capability.
var _ = testbed.Helper("without-capability", func() {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(must(strconv.Atoi(os.Args[1]))), 0, 0, 0); err != nil {
		panic(err)
	}
	execHelper(os.Args[2:])
})

// TestNoActionRunsAfterAFailedDrop: neither as root nor half way.
func TestNoActionRunsAfterAFailedDrop(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := startSyslogd(t)
	for _, verb := range []string{"start", "run"} {
		_, stderr := command(t, 4, testbed.Command("without-capability", fmt.Sprint(unix.CAP_SETUID), "service", verb))
		assert.Contains(t, stderr, "become user daemon (uid 1, gid 1): setresuid: operation not permitted; it needs CAP_SETUID", verb)
		log.has(t, "setresuid: operation not permitted")
		nothingLeft(t)
	}
	assert.NotContains(t, log.Text(t), "in action")
}

func TestConfigReachesTheDaemon(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := startSyslogd(t)
	command(t, 0, serviceCommand("start", "AS=nobody", "GROUP=tty", "UMASK=027", fmt.Sprint("FACILITY=", int(LOG_LOCAL3))))
	pid := testbed.One(t, "service")
	status := testbed.Status(t, pid, 0)
	assert.Equal(t, "0027", status["Umask"])
	assert.Equal(t, "65534\t65534\t65534\t65534", status["Uid"])
	assert.Equal(t, "5\t5\t5\t5", status["Gid"])
	log.has(t, "local3.info svc[%d]: in action: made by uid 0", pid)
	command(t, 0, serviceCommand("stop"))
	nothingLeft(t)
}

// TestWhatCannotStartIsNotStoppedFirst: restart finds what it can know before
// it stops anything, and a start by anyone but root before it runs anything.
func TestWhatCannotStartIsNotStoppedFirst(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	command(t, 0, serviceCommand("start"))
	pid := testbed.One(t, "service")
	_, stderr := command(t, 6, serviceCommand("restart", "AS=nobody-here"))
	assert.Contains(t, stderr, "nonexistent user nobody-here")
	_, stderr = command(t, 6, serviceCommand("restart", "DIR=/run/100%done"))
	assert.Equal(t, "svc: pidfile directory /run/100%done: does not exist: create it, or set PidfileDirectory\n", stderr)
	assert.Equal(t, pid, testbed.One(t, "service"))
	heldBy(t, svcPidfile, pid)
	command(t, 0, serviceCommand("stop"))

	runs := filepath.Join("/run", "runs")
	require.NoError(t, os.WriteFile(runs, nil, 0o666))
	require.NoError(t, os.Chmod(runs, 0o666))
	_, stderr = command(t, 4, testbed.As(t, 65534, serviceCommand("start", "AS=root", "DIR=/tmp", "RUNS="+runs)))
	assert.Contains(t, stderr, "only root may change that")
	text, err := os.ReadFile(runs)
	require.NoError(t, err)
	assert.Equal(t, "main\n", string(text), "it launched nothing")
	nothingLeft(t)
}

// TestChildOfAFailedStartHoldsNobodyUp: one that C code has forked would have
// the report socket, on whose end the launcher waits.
func TestChildOfAFailedStartHoldsNobodyUp(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	began := time.Now()
	c := serviceCommand("start", "DO=privileged forks and exits")
	c.WaitDelay = 100 * time.Millisecond // forked first, the child has our standard error
	_, stderr := command(t, 1, c)
	assert.Contains(t, stderr, "died before it was ready, while it ran its privileged action")
	assert.Less(t, time.Since(began), 5*time.Second)
	command(t, 0, serviceCommand("start"))
}

func TestInterruptedStartLeavesNothing(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	c := serviceCommand("start", "DO=privileged hangs")
	require.NoError(t, c.Start())
	testbed.Eventually(t, func() bool { _, err := os.Stat("/run/hangs"); return err == nil }, "the privileged action")
	for _, pid := range testbed.Find("service") {
		if pid != c.Process.Pid {
			assert.Equal(t, testbed.ForksFirst(), testbed.Look(t, pid).PPID == c.Process.Pid, "the way that it was to go")
		}
	}
	stdout, _ := command(t, 0, serviceCommand("status"))
	assert.Equal(t, "svc is starting.\n", stdout)
	_, stderr := command(t, 1, serviceCommand("start"))
	assert.Equal(t, "svc: PID file exists. Process already running? (/var/run/svc.pid is locked by a process that is just starting)\n", stderr)
	require.NoError(t, c.Process.Signal(unix.SIGINT))
	_ = c.Wait()
	nothingLeft(t)
}

func TestReloadErrorIsLoggedAndTheDaemonGoesOn(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := startSyslogd(t)
	command(t, 0, serviceCommand("start", "DO=reload fails"))
	pid := testbed.One(t, "service")
	command(t, 0, serviceCommand("reload"))
	log.has(t, "daemon.err svc[%d]: reload: bad config", pid)
	assert.Equal(t, pid, testbed.One(t, "service"))
}

// TestNotRootRunsAsItself is a user's daemon, in a directory of the user's.
func TestNotRootRunsAsItself(t *testing.T) {
	dir, uid := private(t), os.Getuid()
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
		return as(serviceCommand(verb, append(env, "DIR="+dir)...))
	}
	path := filepath.Join(dir, "svc.pid")
	holder := func() int {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		pid, err := strconv.Atoi(string(text))
		require.NoError(t, err)
		return pid
	}
	command(t, 0, user("start"))
	pid := holder()
	heldBy(t, path, pid)
	status := testbed.Status(t, pid, 0)
	assert.Equal(t, fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", uid), status["Uid"])
	stdout, _ := command(t, 0, user("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	command(t, 0, user("restart"))
	assert.NotEqual(t, pid, holder())
	pid = holder()
	command(t, 0, user("stop"))
	assert.False(t, testbed.Alive(pid))
	assert.NoFileExists(t, path)
}

func TestRootRefusesAnotherUsersDirectory(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	require.NoError(t, os.Mkdir("/run/user", 0o700))
	require.NoError(t, os.Chown("/run/user", 65534, 65534))
	_, stderr := command(t, 6, serviceCommand("start", "DIR=/run/user"))
	assert.Equal(t, "svc: pidfile directory /run/user: owned by uid 65534, neither root nor us, who could replace the pidfile: chown it\n", stderr)
	nothingLeft(t)
}

func TestRootBecomesTheDaemonUser(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := startSyslogd(t)
	command(t, 0, serviceCommand("start"))
	pid := testbed.One(t, "service")
	for _, tid := range testbed.Threads(t, pid) {
		status := testbed.Status(t, pid, tid)
		assert.Equal(t, "1\t1\t1\t1", status["Uid"])
		assert.Equal(t, "1\t1\t1\t1", status["Gid"])
		assert.Equal(t, "1", status["Groups"])
		assert.Equal(t, "0000000000000000", status["CapEff"])
	}
	assert.Equal(t, "0022", testbed.Status(t, pid, 0)["Umask"])
	log.has(t, "in action: made by uid 0")
	// It cannot remove its file from /run; root's stop does.
	require.NoError(t, unix.Kill(pid, unix.SIGTERM))
	testbed.None(t, "service")
	stdout, _ := command(t, 1, serviceCommand("status"))
	assert.Equal(t, "svc is dead, but its pidfile /var/run/svc.pid is left.\nWhat it logged: journalctl -t svc, or /var/log/syslog or /var/log/messages.\n", stdout)
	command(t, 0, serviceCommand("stop"))
	assert.NoFileExists(t, svcPidfile)
}

func TestBadConfigIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	nop := func(context.Context, struct{}) error { return nil }
	for _, c := range []struct {
		config Config[struct{}]
		says   string
	}{
		{Config[struct{}]{Name: "."}, `daemonize: the daemon's name "." names no file: `},
		{Config[struct{}]{Name: ".."}, `names no file`},
		{Config[struct{}]{Name: "a/b"}, `contains '/'`},
		{Config[struct{}]{Name: "a\x00b"}, `contains a control character`},
		{Config[struct{}]{Name: "a\nb"}, `contains a control character`},
		{Config[struct{}]{Name: strings.Repeat("n", 201)}, `is too long`},
		{Config[struct{}]{PidfileDirectory: "run"}, `PidfileDirectory "run" is not an absolute path`},
		{Config[struct{}]{Umask: 0o1000}, `Umask 01000 is more than`},
		{Config[struct{}]{StopTimeout: -1}, `cannot be negative`},
		{Config[struct{}]{RespawnDelay: -1}, `cannot be negative`},
		{Config[struct{}]{SyslogOptions: 1 << 20}, `SyslogOptions 0x100000: only openlog(3)'s`},
	} {
		_, err := New(nop, &c.config)
		require.Error(t, err)
		assert.Contains(t, err.Error(), c.says)
		assert.Equal(t, 6, ExitCode(err))
	}
	_, err := New[struct{}](nil, nil)
	assert.EqualError(t, err, "daemonize: the action is nil")
	_, err = New(nop, &Config[struct{}]{Name: strings.Repeat("n", 200)})
	assert.NoError(t, err)
}

func TestEmptyNameOfTheProgramIsRefused(t *testing.T) {
	c := testbed.Command("unnamed", "start")
	c.Args[0] = ".."
	_, stderr := command(t, 6, c)
	assert.Contains(t, stderr, `the daemon's name ".." names no file`)
}

var _ = testbed.Helper("unnamed", func() {
	Serviced(func(context.Context, int) error { return nil }, nil)
})

func TestUsage(t *testing.T) {
	const usage = "Usage: svc {start|stop|restart|status|reload|run}\n"
	for _, c := range []struct {
		args  []string
		wrong string
	}{
		{nil, ""}, {[]string{""}, `""`}, {[]string{"begin"}, `"begin"`}, {[]string{"START"}, `"START"`}, {[]string{"start", "stop"}, `"stop"`},
		{[]string{"start", ""}, `""`}, {[]string{"-v", "start"}, `"-v"`}, {[]string{"start", "-v"}, `"-v"`}, {[]string{"\x1b[2J"}, `"\x1b[2J"`},
	} {
		why := ""
		if c.wrong != "" {
			why = "svc: cannot understand " + c.wrong + ": it takes one command; flags of the program's own, if it has any, go before that\n"
		}
		stdout, stderr := command(t, 2, testbed.Command("service", c.args...))
		assert.Equal(t, why+usage, stderr)
		assert.Empty(t, stdout)
	}
	for _, help := range []string{"help", "-h", "-help", "--help"} {
		stdout, stderr := command(t, 0, testbed.Command("service", help))
		assert.Equal(t, usage, stdout, "asked for, so it is no error")
		assert.Empty(t, stderr)
	}
}

func TestMarkerByHandStopsNoStatus(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	command(t, 0, serviceCommand("start"))
	pid := testbed.One(t, "service")
	stdout, _ := command(t, 0, serviceCommand("status", marker+"=1:2"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	_, stderr := command(t, 1, serviceCommand("restart", marker+"=1:2"))
	assert.Contains(t, stderr, "the environment variable DAEMONIZE_BOOT was set")
	assert.Equal(t, pid, testbed.One(t, "service"), "restart that cannot start stops nothing")
	command(t, 0, serviceCommand("stop", marker+"="))
	_, stderr = command(t, 1, serviceCommand("run", marker+"=1:2"))
	assert.Contains(t, stderr, "the environment variable DAEMONIZE_BOOT was set")
	nothingLeft(t)
}

// methods drives a Service by its methods, as a program with a command line of
// its own.
var _ = testbed.Helper("methods", func() {
	s, err := New(func(ctx context.Context, _ int) error { <-ctx.Done(); return nil }, &Config[int]{Name: "svc"})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Status())
	fmt.Println(s.Stop() == ErrNotRunning)
	err = s.Start()
	fmt.Println(err) // never in the daemon
	status, err := s.Status()
	fmt.Println(status.State, status.PID > 0, err)
	fmt.Println(s.Start())
	fmt.Println(s.Reload())
	fmt.Println(s.Stop())
	fmt.Println(s.Status())
})

func TestMethodsForOtherCommandLines(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	stdout, stderr := command(t, 0, testbed.Command("methods"))
	assert.Equal(t, `{not running 0 } <nil>
true
<nil>
running true <nil>
daemonize: a process can become or launch a daemon only once: this is its second call
reload: this daemon has nothing to reload: unsupported operation
<nil>
{not running 0 } <nil>
`, stdout)
	assert.Empty(t, stderr)
	testbed.None(t, "methods")
}

// TestRestartWaitsForThePort: the new daemon binds what the old one had.
func TestRestartWaitsForThePort(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	for _, do := range []string{"listens", "listens and stops slowly"} {
		for range 3 {
			command(t, 0, serviceCommand("restart", "DO="+do))
		}
	}
	heldBy(t, svcPidfile, testbed.One(t, "service"))
}

// TestStoppedSyslogdHoldsNothingUp: a syslog daemon that takes no messages
// blocks whoever sends one, for ever.
func TestStoppedSyslogdHoldsNothingUp(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	testbed.Subreaper(t)
	log := startSyslogd(t)
	log.Signal(t, unix.SIGSTOP)
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(s)
	require.NoError(t, unix.Connect(s, &unix.SockaddrUnix{Name: "/dev/log"}))
	for err = nil; err == nil; {
		_, err = unix.SendmsgN(s, []byte("<14>full"), nil, nil, unix.MSG_DONTWAIT)
	}
	require.Equal(t, unix.EAGAIN, err)

	const lastWords = "panic: once\n"
	require.NoError(t, os.WriteFile("/run/svc.crash", []byte(lastWords), 0o600))
	began := time.Now()
	command(t, 0, serviceCommand("start", "DO=says nothing"))
	pid := testbed.One(t, "service")
	command(t, 0, serviceCommand("stop"))
	assert.Less(t, time.Since(began), 3*time.Second)
	assert.Equal(t, 0, testbed.ExitOf(t, pid).ExitStatus(), "SIGTERM, not SIGKILL")
	nothingLeft(t)
	kept, err := os.ReadFile("/run/svc.crash")
	require.NoError(t, err)
	assert.Equal(t, lastWords, string(kept), "what could not be logged stays for the next start")
	log.Signal(t, unix.SIGCONT)
}

func TestNoNewPrivilegesUnlessAllowed(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	for allowed, want := range map[string]string{"": "1", "yes": "0"} {
		command(t, 0, serviceCommand("restart", "NEW_PRIVILEGES="+allowed))
		pid := testbed.One(t, "service")
		for _, tid := range testbed.Threads(t, pid) {
			assert.Equal(t, want, testbed.Status(t, pid, tid)["NoNewPrivs"], "NEW_PRIVILEGES=%s, thread %d", allowed, tid)
		}
	}
}
