// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// A start that waits for its action, and one that takes too long.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// readier is a daemon that is ready when its action says so. DO says how it gets on.
var _ = testbed.Helper("readier", func() {
	do := os.Getenv("DO")
	mark := func() { _ = os.WriteFile("/run/mark/at", []byte(fmt.Sprint(os.Getpid())), 0o600) }
	if do == "main hangs" && os.Mkdir("/run/mark/once", 0o700) != nil { // the launcher was here: in the copy
		mark()
		time.Sleep(time.Hour)
	}
	config := &daemonize.Config[int]{
		Name: "readier", User: "daemon", PidfileDirectory: "/run", SyslogOptions: daemonize.LOG_PID,
		ReadyByAction: do != "not asked", StopTimeout: 2 * time.Second,
		PrivilegedAction: func() (int, error) {
			_ = os.MkdirAll("/run/mark", 0o700)
			_ = os.Chown("/run/mark", 1, 1)
			if do == "privileged hangs" {
				daemonize.SetStatus("looking for a port")
				mark()
				time.Sleep(time.Hour)
			}
			runtime.LockOSThread()
			return unix.Gettid(), nil
		},
		Reload: func(context.Context) error { daemonize.Syslog(daemonize.LOG_NOTICE, "reloading"); return nil },
	}
	config.StartTimeout, _ = time.ParseDuration(os.Getenv("START_TIMEOUT"))
	config.RespawnDelay, _ = time.ParseDuration(os.Getenv("RESPAWN"))
	var s *daemonize.Service[int]
	tries := 0
	s, err := daemonize.New(func(ctx context.Context, tid int) error {
		tries++
		daemonize.Syslogf(daemonize.LOG_NOTICE, "try %d, same thread: %t", tries, tid == unix.Gettid())
		fmt.Fprintln(os.Stderr, "opening the database")
		switch do {
		case "not asked":
			daemonize.Ready()
		case "error":
			return errors.New("the database is gone")
		case "nil":
			return nil
		case "panic":
			panic("no database")
		case "goexit":
			runtime.Goexit()
		case "exit":
			os.Exit(3)
		case "killed":
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		case "waits", "hangs":
			daemonize.SetStatus("loading")
			mark()
			if do == "hangs" {
				time.Sleep(time.Hour)
			}
			<-ctx.Done()
			daemonize.Ready() // too late
			return ctx.Err()
		case "restarts":
			daemonize.Syslogf(daemonize.LOG_NOTICE, "start: %v", s.Start())
			daemonize.Syslogf(daemonize.LOG_NOTICE, "restart: %v", s.Restart())
			daemonize.Syslogf(daemonize.LOG_NOTICE, "run: %v", s.Run(ctx))
			daemonize.Ready()
		case "fails later":
			done := make(chan bool)
			go func() { daemonize.Ready(); daemonize.Ready(); close(done) }()
			<-done
			return errors.New("lost it")
		case "slow":
			time.Sleep(300 * time.Millisecond)
			_ = os.WriteFile("/run/mark/ready", nil, 0o600)
			daemonize.Ready()
		default:
			daemonize.Ready()
		}
		<-ctx.Done()
		return nil
	}, config)
	if err != nil {
		panic(err)
	}
	os.Exit(s.Command(os.Args[1:]))
})

func readier(verb string, env ...string) *exec.Cmd {
	c := testbed.Command("readier", verb)
	c.Env = append(c.Env, env...)
	return c
}

func TestReadyByAction(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	testbed.Run(t, 0, readier("start", "DO=slow"))
	assert.FileExists(t, "/run/mark/ready", "start waited")
	log.WaitFor(t, "try 1, same thread: true")
	pid := testbed.PIDIn(t, "/run/readier.pid")
	assert.Equal(t, []int{pid}, testbed.Find("readier"), "nothing else stays")
	assert.Equal(t, 1, testbed.Look(t, pid).PPID)
	testbed.Run(t, 0, readier("reload"))
	log.WaitFor(t, "reloading")
	testbed.Run(t, 0, readier("stop"))

	testbed.Run(t, 0, readier("start", "DO=not asked"))
	testbed.Run(t, 0, readier("stop"))

	// After Ready, a failure is the daemon's.
	log.Forget()
	testbed.Run(t, 0, readier("start", "DO=fails later", "RESPAWN=100ms"))
	log.WaitFor(t, "unexpected error: lost it")
	log.WaitFor(t, "try 2, same thread: true")
	testbed.Run(t, 0, readier("stop"))
	testbed.None(t, "readier")
}

func TestActionThatIsNeverReady(t *testing.T) {
	testbed.NeedStatusTold(t)
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	for do, says := range map[string]string{
		"error":  "readier: action: the database is gone\n",
		"nil":    "readier: action: it returned before it called Ready\n",
		"panic":  "readier: action: panic: no database\n",
		"goexit": "readier: action: it ended its goroutine (runtime.Goexit)\n",
		"exit":   "before its action called Ready: exit status 3\n",
		"killed": "before its action called Ready: signal: killed\n",
	} {
		for _, verb := range []string{"start", "run"} {
			if code := map[string]int{"exit": 3, "killed": -1}[do]; code != 0 && verb == "run" {
				continue // it is the process
			}
			log.Forget()
			_, stderr := testbed.Run(t, 1, readier(verb, "DO="+do, "RESPAWN=10ms"))
			assert.Contains(t, stderr, "opening the database\n", "%s %s", verb, do)
			if verb == "start" {
				assert.Contains(t, stderr, says, do)
			} else {
				assert.Contains(t, stderr, strings.TrimPrefix(says, "readier: "), do)
				assert.Equal(t, 1, strings.Count(stderr, strings.TrimSuffix(says, "\n")[len("readier: "):]), "said once")
			}
			log.WaitFor(t, "try 1")
			assert.NotContains(t, log.Text(), "restarting in", "no respawn before it was ready")
			testbed.None(t, "readier")
		}
	}
}

// waitingStart is one whose daemon has left its pid, and that pid.
func waitingStart(t *testing.T, verb string, env ...string) (c *exec.Cmd, stderr *bytes.Buffer, pid int) {
	t.Helper()
	c, stderr = readier(verb, env...), &bytes.Buffer{}
	c.Stderr = stderr
	require.NoError(t, os.RemoveAll("/run/mark"))
	require.NoError(t, os.Mkdir("/run/mark", 0o700))
	require.NoError(t, c.Start())
	return c, stderr, testbed.PIDIn(t, "/run/mark/at")
}

func TestStopBeforeTheActionIsReady(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	for _, verb := range []string{"start", "run"} {
		c, stderr, pid := waitingStart(t, verb, "DO=waits")
		stdout, _ := testbed.Run(t, 0, readier("status"))
		assert.Equal(t, fmt.Sprintf("readier is running (pid %d).\n", pid), stdout)
		testbed.Run(t, 0, readier("stop"))
		_ = c.Wait()
		assert.Equal(t, 1, c.ProcessState.ExitCode())
		assert.Contains(t, stderr.String(), "it was told to stop before it was ready\n")
		log.WaitFor(t, "it was told to stop before it was ready")
		testbed.None(t, "readier")
	}
}

func TestInterruptedWaitForTheActionLeavesNothing(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	for _, do := range []string{"waits", "hangs"} {
		for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGKILL} {
			c, _, _ := waitingStart(t, "start", "DO="+do)
			require.NoError(t, c.Process.Signal(sig))
			_ = c.Wait()
			testbed.None(t, "readier")
		}
	}
}

func TestSignalsWhileAStartGoesOn(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	for _, verb := range []string{"start", "run"} {
		for _, do := range []string{"privileged hangs", "hangs"} {
			c, stderr, pid := waitingStart(t, verb, "DO="+do)
			require.NoError(t, unix.Kill(pid, unix.SIGHUP))
			require.NoError(t, unix.Kill(pid, unix.SIGHUP))
			if do == "hangs" {
				_ = c.Process.Kill()
				_ = c.Wait()
				testbed.None(t, "readier")
				continue
			}
			require.NoError(t, unix.Kill(pid, unix.SIGTERM))
			_ = c.Wait()
			assert.Equal(t, 1, c.ProcessState.ExitCode())
			assert.Contains(t, stderr.String(), "it was told to stop before it was ready\n")
			testbed.None(t, "readier")
			assert.NoFileExists(t, "/run/readier.pid")
		}
	}
	assert.NotContains(t, log.Text(), "reloading")

	// One that comes early is served later.
	c := readier("run", "DO=slow")
	require.NoError(t, c.Start())
	log.Forget()
	log.WaitFor(t, "try 1")
	require.NoError(t, c.Process.Signal(unix.SIGHUP))
	log.WaitFor(t, "reloading")
	testbed.Run(t, 0, readier("stop"))
	require.NoError(t, c.Wait())
}

func TestStartTimeout(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	for do, stage := range map[string]string{
		"privileged hangs": "while it ran its privileged action: looking for a port",
		"hangs":            "before its action called Ready: loading",
	} {
		for _, verb := range []string{"start", "run"} {
			log.Forget()
			began := time.Now()
			_, stderr := testbed.Run(t, 1, readier(verb, "DO="+do, "START_TIMEOUT=1500ms"))
			assert.Regexp(t, `the daemon \(pid \d+\) was not ready within 1.5s \(StartTimeout\): it was last seen `+stage+"\n", stderr)
			assert.Less(t, time.Since(began), 8*time.Second)
			log.WaitFor(t, "was not ready within 1.5s")
			testbed.None(t, "readier")
			if do == "privileged hangs" {
				assert.NoFileExists(t, "/run/readier.pid", "it removed it itself")
			}
		}
	}
	// Nor does it strike later.
	testbed.Run(t, 0, readier("start", "START_TIMEOUT=5s", "DO=slow"))
	pid := testbed.PIDIn(t, "/run/readier.pid")
	testbed.Run(t, 0, readier("stop"))
	assert.False(t, testbed.Alive(pid))

	testbed.Run(t, 6, testbed.Command("negative", "start"))
}

var _ = testbed.Helper("negative", func() {
	daemonize.Serviced(func(context.Context, int) error { return nil }, &daemonize.Config[int]{Name: "negative", StartTimeout: -1})
})

// TestStartTimeoutOfAProcessThatDoesNotEndItself: the launcher kills it, whoever it has
// become. Forked first, there is no launcher in Go.
func TestStartTimeoutOfAProcessThatDoesNotEndItself(t *testing.T) {
	testbed.NeedRoot(t)
	if !testbed.Isolate(t) {
		return
	}
	for _, do := range []string{"hangs", "main hangs"} {
		c, stderr, pid := waitingStart(t, "start", "DO="+do, "START_TIMEOUT=1s")
		require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
		require.Error(t, c.Wait())
		assert.Equal(t, 1, c.ProcessState.ExitCode())
		assert.Regexp(t, `readier: the daemon \(pid \d+\) was not ready within 1s \(StartTimeout\): it was last seen .*, and was killed\n`, stderr.String())
		assert.Equal(t, do == "main hangs", strings.Contains(stderr.String(), "before it reached the call that makes it one"), "%s", stderr)
		testbed.Eventually(t, func() bool { return !testbed.Alive(pid) }, "the end of %d", pid) // init reaps it
		testbed.None(t, "readier")
	}
}

func TestDaemonCannotStartAnother(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	for _, verb := range []string{"start", "run"} {
		log.Forget()
		c := readier(verb, "DO=restarts")
		require.NoError(t, c.Start())
		for _, what := range []string{"start", "restart", "run"} {
			log.WaitFor(t, what+": daemonize: a process can become or launch a daemon only once")
		}
		testbed.Run(t, 0, readier("stop"))
		require.NoError(t, c.Wait())
	}
}

// embedder runs a service in itself, twice, and ends each run by a context.
var _ = testbed.Helper("embedder", func() {
	for i := range 2 {
		ctx, cancel := context.WithCancel(context.Background())
		s, err := daemonize.New(func(ctx context.Context, _ int) error {
			time.AfterFunc(50*time.Millisecond, cancel)
			<-ctx.Done()
			if i == 1 {
				return errors.New("daemonize: second")
			}
			return ctx.Err()
		}, &daemonize.Config[int]{Name: "embedder", User: "root", PidfileDirectory: "/no/such"})
		if err != nil {
			panic(err)
		}
		fmt.Println(s.Run(ctx))
		cancel()
	}
	daemonize.Ready() // nobody to tell
	fmt.Println(daemonize.Notify("WATCHDOG=1"))
})

func TestRunEndsWithItsContext(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	stdout, stderr := testbed.Run(t, 0, testbed.Command("embedder"))
	assert.Equal(t, "<nil>\ndaemonize: second\nfalse <nil>\n", stdout)
	assert.Equal(t, 2, strings.Count(stderr, "no pidfile, so"), "one notice a run: %s", stderr)
	assert.Contains(t, stderr, "embedder: second\n", "no prefix in the log")
}

// launches starts its daemon and goes on as a program with descriptors of its own.
var _ = testbed.Helper("launches", func() {
	var st unix.Stat_t
	fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	s, err := daemonize.New(func(ctx context.Context, _ int) error {
		daemonize.Syslogf(daemonize.LOG_NOTICE, "has it: %t", unix.Fstat(fd, &st) == nil && len(os.Args) > 5)
		<-ctx.Done()
		return nil
	}, &daemonize.Config[int]{Name: "launches", User: "root", PidfileDirectory: "/run", PrivilegedAction: func() (int, error) {
		if os.Getenv("DO") == "fail" {
			return 0, errors.New("no")
		}
		return 0, nil
	}})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Start())
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	fmt.Println(flags, err)
	var children []string
	for _, pid := range slices.Concat(testbed.Find("launches")) {
		if pid != os.Getpid() && os.Getppid() != pid {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if strings.Contains(string(status), fmt.Sprintf("PPid:\t%d\n", os.Getpid())) {
				children = append(children, fmt.Sprint(pid))
			}
		}
	}
	fmt.Println("children", children)
	_, err = unix.Wait4(-1, nil, unix.WNOHANG, nil)
	fmt.Println(err)
})

// TestStartLeavesTheProgramAsItWas: neither the daemon nor what began it is its child.
func TestStartLeavesTheProgramAsItWas(t *testing.T) {
	testbed.NeedRoot(t)
	if !testbed.Isolate(t) {
		return
	}
	for _, do := range []string{"", "fail"} {
		c := testbed.Command("launches")
		c.Env = append(c.Env, "DO="+do)
		stdout, _ := testbed.Run(t, 0, c)
		failed := map[string]string{"": "<nil>", "fail": "privileged action: no"}[do]
		assert.Equal(t, failed+"\n0 <nil>\nchildren []\nno child processes\n", stdout)
		testbed.Eventually(t, func() bool { return len(testbed.Find("launches")) == map[string]int{"": 1}[do] }, "the daemon alone")
		for _, pid := range testbed.Find("launches") {
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
		}
		testbed.None(t, "launches")
	}
}
