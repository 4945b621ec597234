// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// A service in the foreground; reload, respawning, progress.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

func TestRunIsTheDaemonInTheForeground(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	dir := "DIR=" + testdaemon.Directory(t)
	pidfile := strings.TrimPrefix(dir, "DIR=") + "/svc.pid"
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
		r := testbed.RunInForeground(t, testdaemon.Command("run", dir))
		testbed.Eventually(t, func() bool { return testbed.PIDIn(t, pidfile) == r.Process.Pid }, "its own pid, over a stale one")
		r.Says("run 1: made by uid")
		p := testbed.Look(t, r.Process.Pid)
		assert.Equal(t, "/", p.Cwd)
		assert.Equal(t, "0022", p.Status["Umask"])
		assert.Equal(t, os.Getpid(), p.PPID)
		if os.Geteuid() == 0 {
			assert.Equal(t, "1\t1\t1\t1", p.Status["Uid"], "daemon")
		}
		assert.Regexp(t, `(?m)^svc\[\d+\]: Starting\.$`, r.Stderr)

		code, said := testdaemon.Do(t, "status", dir)
		assert.Equal(t, 0, code, "%s", said)
		code, said = testdaemon.Do(t, "run", dir)
		assert.Equal(t, 1, code)
		assert.Equal(t, fmt.Sprintf("svc: PID file exists. Process already running? (pid %d holds %s)\n", r.Process.Pid, pidfile), said)

		r.Kill(sig)
		assert.Equal(t, 0, r.Exits(), "%s", r.Stderr)
		assert.Regexp(t, `(?m)^svc\[\d+\]: Exiting\.$`, r.Stderr)
		if os.Geteuid() != 0 {
			assert.NoFileExists(t, pidfile)
			assert.NoFileExists(t, strings.TrimSuffix(pidfile, ".pid")+".crash")
		}
	}
}

func TestRunEndsWithTheActionsError(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	dir := "DIR=" + testdaemon.Directory(t)
	code, said := testdaemon.Do(t, "run", dir, "DO=error")
	assert.Equal(t, 1, code)
	assert.Equal(t, 1, strings.Count(said, "lost the thread"), "once: %s", said)
	code, said = testdaemon.Do(t, "run", dir, "DO=privileged fails")
	assert.Equal(t, 1, code)
	assert.Equal(t, 1, strings.Count(said, "privileged action: port 80 is taken"), "%s", said)
}

func TestSecondCtrlCEndsRunAtOnce(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+testdaemon.Directory(t), "DO=ignores TERM"))
	r.Says("run 1")
	testbed.Eventually(t, func() bool {
		_ = r.Process.Signal(unix.SIGINT)
		return r.Ended()
	}, "its end")
	assert.Equal(t, unix.SIGINT, r.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestRunEndsCleanlyBeforeItIsReady(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	dir := testdaemon.Directory(t)
	r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+dir, "DO=privileged hangs"))
	r.Says("hanging")
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 1, r.Exits())
	assert.Contains(t, r.Stderr.String(), "told to stop before it was ready")
	assert.NoFileExists(t, dir+"/svc.pid")
	assert.NoFileExists(t, dir+"/svc.crash")
}

func TestRunGoesOnWithoutAPidfile(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	dirs := map[string]string{"missing": filepath.Join(t.TempDir(), "missing"), "forbidden": t.TempDir(), "read-only": t.TempDir(), "full": t.TempDir(), "no room": t.TempDir()}
	if os.Geteuid() == 0 {
		delete(dirs, "forbidden") // nothing is, for root
		require.NoError(t, unix.Mount("tmpfs", dirs["read-only"], "tmpfs", unix.MS_RDONLY, "mode=755"))
		require.NoError(t, unix.Mount("tmpfs", dirs["full"], "tmpfs", 0, "mode=755,nr_inodes=1"))
		require.NoError(t, unix.Mount("tmpfs", dirs["no room"], "tmpfs", 0, "mode=755,size=4k"))
		require.ErrorIs(t, os.WriteFile(dirs["no room"]+"/fill", make([]byte, 1<<20), 0o600), unix.ENOSPC)
		t.Cleanup(func() {
			for _, name := range []string{"read-only", "full", "no room"} {
				assert.NoError(t, unix.Unmount(dirs[name], 0))
			}
		})
	} else {
		delete(dirs, "read-only")
		delete(dirs, "full")
		delete(dirs, "no room")
		require.NoError(t, os.Chmod(dirs["forbidden"], 0o500))
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+dir))
			r.Says("run 1")
			assert.Contains(t, r.Stderr.String(), "no pidfile")
			assert.Contains(t, r.Stderr.String(), dir)
			second, said := testdaemon.Do(t, "run", "DIR="+dir, "DO=error")
			assert.Equal(t, 1, second)
			assert.NotContains(t, said, "already running?")
			r.Kill(unix.SIGTERM)
			assert.Equal(t, 0, r.Exits())
		})
	}
}

func TestRunBesideADaemonIsRefusedEvenWhereItCannotWrite(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	code, said := testdaemon.Do(t, "start")
	require.Equal(t, 0, code, said)
	pid := testbed.PIDIn(t, "/run/svc.pid")
	other := testdaemon.Command("run")
	testbed.As(t, 65534, other)
	code, said = testbed.Finish(t, other)
	if testbed.Portable { // no list of locks tells who has the file: that it cannot be read is all
		assert.Equal(t, 4, code)
		assert.Contains(t, said, "pidfile: open /var/run/svc.pid: permission denied")
	} else {
		assert.Equal(t, 1, code)
		assert.Contains(t, said, fmt.Sprintf("PID file exists. Process already running? (pid %d", pid))
	}
	code, said = testdaemon.Do(t, "stop")
	assert.Equal(t, 0, code, said)
}

func TestRunAsPID1(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/PID/fd")
	if testbed.Musl {
		t.Skip("needs glibc: over musl the drop needs the /proc of its PID namespace, which is not mounted here")
	}
	if !testbed.IsolateRoot(t) {
		return
	}
	for _, do := range []string{"", "privileged hangs"} {
		c := testdaemon.Command("run", "DO="+do)
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		r := testbed.RunInForeground(t, c)
		if do == "" {
			r.Says("run 1: made by uid")
			text, err := os.ReadFile("/run/svc.pid")
			require.NoError(t, err)
			assert.Equal(t, "1", string(text))
			code, said := testdaemon.Do(t, "stop", "STOP_TIMEOUT_MS=100")
			assert.Equal(t, 1, code)
			assert.Contains(t, said, "but names process 1: a daemon of another container")
			inside := testdaemon.Command("stop")
			nsenter := testbed.Program(testbed.Package(t, "nsenter", "util-linux"),
				append([]string{"-t", strconv.Itoa(r.Process.Pid), "-p", inside.Path}, inside.Args[1:]...)...)
			nsenter.Env = inside.Env
			code, said = testbed.Finish(t, nsenter)
			assert.Equal(t, 1, code)
			assert.Equal(t, "svc: the daemon is PID 1, the init of its container: stop the container instead\n", said)
		} else {
			r.Says("hanging")
		}
		r.Kill(unix.SIGTERM)
		assert.Equal(t, map[string]int{"": 0, "privileged hangs": 1}[do], r.Exits(), "%s", r.Stderr)
	}
}

// after-run is a program that goes on after Run.
var _ = testbed.Helper("after-run", func() {
	s, err := daemonize.New(func(ctx context.Context, _ int) error {
		defer func() { <-ctx.Done() }()
		return unix.Kill(os.Getpid(), unix.SIGTERM)
	}, &daemonize.Config[int]{Name: "svc", PidfileDirectory: os.Getenv("DIR")})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "returned", s.Run(context.Background()))
	select {}
})

func TestRunGivesTheSignalsBack(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	c := testbed.Command("after-run")
	c.Env = append(c.Env, "DIR="+testdaemon.Directory(t))
	r := testbed.RunInForeground(t, c)
	r.Says("returned ")
	r.Kill(unix.SIGTERM)
	assert.Equal(t, -1, r.Exits())
	assert.Equal(t, unix.SIGTERM, r.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestReload(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	for how, wanted := range map[string]string{"ok": "reloading as uid 1", "error": "reload: bad config", "panic": "reload: panic: bad reload"} {
		log.Forget()
		code, said := testdaemon.Do(t, "start", "RELOAD="+how)
		require.Equal(t, 0, code, said)
		pid := testbed.PIDIn(t, "/run/svc.pid")
		code, said = testdaemon.Do(t, "reload", "RELOAD="+how)
		assert.Equal(t, 0, code, said)
		log.WaitFor(t, wanted)
		assert.True(t, testbed.Alive(pid))

		log.Forget()
		code, said = testdaemon.Do(t, "reload", "RELOAD=none") // the same daemon seen by a program without Reload
		assert.Equal(t, 3, code)
		assert.Contains(t, said, "svc: reload: this daemon has nothing to reload")
		code, _ = testdaemon.Do(t, "stop")
		assert.Equal(t, 0, code)
		log.WaitFor(t, "Exiting.")
		assert.NotContains(t, log.Text(), "reloading", "it was not signalled")
	}
	code, said := testdaemon.Do(t, "reload", "RELOAD=ok")
	assert.Equal(t, 7, code)
	assert.Equal(t, "svc is not running.\n", said)
}

func TestHangupIsIgnoredWithoutReload(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+testdaemon.Directory(t), "RELOAD=none"))
	r.Says("run 1")
	r.Kill(unix.SIGHUP)
	testbed.Eventually(t, func() bool {
		s := testbed.Status(t, r.Process.Pid, 0)
		return s["SigPnd"] == "0000000000000000" && s["ShdPnd"] == "0000000000000000"
	}, "delivery")
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits())
}

func TestFailedActionRunsAgain(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	code, said := testdaemon.Do(t, "run", "DIR="+testdaemon.Directory(t), "DO=fails three times", "RESPAWN=30ms")
	assert.Equal(t, 0, code, "nil ends it")
	wanted := []string{
		"Starting.", "run 1: made by uid", "unexpected error: first", "restarting in 30ms",
		"run 2: made by uid", "unexpected error: panic: second", "internal/testdaemon/service_linux.go", "restarting in 30ms",
		"run 3: made by uid", "unexpected error: it ended its goroutine (runtime.Goexit)", "restarting in 30ms",
		"run 4: made by uid", "Exiting.",
	}
	rest := said
	for _, w := range wanted {
		_, after, found := strings.Cut(rest, w)
		require.True(t, found, "%q in its place in:\n%s", w, said)
		rest = after
	}
}

func TestSIGTERMEndsTheWaitAtOnce(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+testdaemon.Directory(t), "DO=error", "RESPAWN=40s"))
	r.Says("restarting in 40 seconds")
	start := time.Now()
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits())
	assert.Less(t, time.Since(start), 30*time.Second)
	assert.NotContains(t, r.Stderr.String(), "run 2")
}

func TestFatalEndsIt(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	code, said := testdaemon.Do(t, "run", "DIR="+testdaemon.Directory(t), "DO=fatal", "RESPAWN=40s")
	assert.Equal(t, 1, code)
	assert.Contains(t, said, "]: wrapped: no config")
	assert.NotContains(t, said, "restarting")
	assert.NoError(t, daemonize.Fatal(nil))
}

func TestProgressOnATerminal(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	slow := func(verb string, env ...string) *testbed.Terminal {
		term := testbed.NewTerminal(t, 120)
		c := testdaemon.Command(verb, env...)
		c.Stderr = term.File
		require.NoError(t, c.Run(), "%s", testbed.Lazy(term.Text))
		return term
	}
	goesAway := func(term *testbed.Terminal) {
		t.Helper()
		testbed.Eventually(t, func() bool { return term.Text() != "" && slices.Equal(term.Screen(), []string{""}) }, "the line to go away: %q", testbed.Lazy(term.Text))
	}
	term := slow("start", "DO=all is slow")
	goesAway(term)
	assert.Regexp(t, `svc: waiting for the daemon, last seen while it ran its privileged action: loading \[2J the index: \d+ s`, term.Text(), "whichever second it is on a slow machine")
	term = slow("stop")
	goesAway(term)
	assert.Regexp(t, `svc: waiting for the daemon to end \(SIGKILL after 4 seconds\): \d+ s`, term.Text())

	for _, verb := range []string{"start", "stop"} {
		began := time.Now()
		term = slow(verb)
		if time.Since(began) < time.Second {
			assert.Empty(t, term.Text(), "quick: nothing to say")
		}
	}

	code, said := testdaemon.Do(t, "start", "DO=start is slow")
	assert.Equal(t, 0, code)
	assert.Empty(t, said, "quiet on a pipe")
	code, _ = testdaemon.Do(t, "stop")
	assert.Equal(t, 0, code)

	narrow := testbed.NewTerminal(t, 20)
	c := testdaemon.Command("start", "DO=start is slow")
	c.Stderr = narrow.File
	require.NoError(t, c.Run())
	goesAway(narrow)
	assert.Regexp(t, `^svc: waiting for th\r`, narrow.Text(), "a line that wraps would stay")
	code, _ = testdaemon.Do(t, "stop")
	assert.Equal(t, 0, code)
}
