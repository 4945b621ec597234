// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// A service by its verbs, as an administrator types them.

import (
	"context"
	"fmt"
	"os"
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

func TestServiceFromStartToStop(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")

	_, stderr := testbed.Run(t, 2, testbed.Command("service"))
	assert.Equal(t, "Usage: svc {start|stop|restart|status|reload|run}\n", stderr)
	stdout, _ := testbed.Run(t, 3, testdaemon.Command("status"))
	assert.Equal(t, "svc is not running.\n", stdout)
	_, stderr = testbed.Run(t, 0, testdaemon.Command("stop"))
	assert.Equal(t, "svc: Could not find PID file to stop. Is the process running?\n", stderr)

	stdout, stderr = testbed.Run(t, 0, testdaemon.Command("start"))
	assert.Empty(t, stdout+stderr)
	pid := testbed.One(t, "service")
	testbed.HeldBy(t, testdaemon.Pidfile, pid)
	stdout, _ = testbed.Run(t, 0, testdaemon.Command("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)

	_, stderr = testbed.Run(t, 1, testdaemon.Command("start"))
	assert.Equal(t, fmt.Sprintf("svc: PID file exists. Process already running? (pid %d holds /var/run/svc.pid)\n", pid), stderr)
	assert.Equal(t, pid, testbed.One(t, "service"))

	stdout, stderr = testbed.Run(t, 0, testdaemon.Command("reload"))
	assert.Empty(t, stdout+stderr)
	log.Has(t, "daemon.notice svc[%d]: reloading", pid)

	stdout, stderr = testbed.Run(t, 0, testdaemon.Command("restart"))
	assert.Empty(t, stdout+stderr)
	second := testbed.One(t, "service")
	assert.NotEqual(t, pid, second)
	testbed.HeldBy(t, testdaemon.Pidfile, second)

	stdout, stderr = testbed.Run(t, 0, testdaemon.Command("stop"))
	assert.Empty(t, stdout+stderr)
	testdaemon.NothingLeft(t)
	_, _ = testbed.Run(t, 0, testdaemon.Command("restart")) // starts what was down
	testbed.One(t, "service")
	_, _ = testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)

	log.Has(t, "daemon.notice svc[%d]: Starting.", pid)
	log.Has(t, "daemon.info svc[%d]: run 1: made by uid 0", pid)
	log.Has(t, "daemon.notice svc[%d]: Exiting.", pid)
	log.Has(t, "daemon.notice svc[%d]: Starting.", second)
}

func TestServiceWithoutSyslogd(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)
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
			if !testbed.IsolateRoot(t) {
				return
			}
			testbed.Subreaper(t)
			log := testbed.StartSyslogd(t, "busybox")
			_, stderr := testbed.Run(t, 0, testdaemon.Command("start", "DO="+c.do, "AS=root"))
			assert.Empty(t, stderr, "it was ready")
			log.Has(t, "Exiting.")
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
			if testbed.UsesLibc || !testbed.Portable { // else stage 1, if it still lives, reaps the daemon
				assert.Equal(t, c.code, testbed.ExitOf(t, pid).ExitStatus())
			}
			testdaemon.NothingLeft(t)
		})
	}
}

func TestReloadErrorIsLoggedAndTheDaemonGoesOn(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, testdaemon.Command("start", "RELOAD=error"))
	pid := testbed.One(t, "service")
	testbed.Run(t, 0, testdaemon.Command("reload"))
	log.Has(t, "daemon.err svc[%d]: reload: bad config", pid)
	assert.Equal(t, pid, testbed.One(t, "service"))
}

func TestEmptyNameOfTheProgramIsRefused(t *testing.T) {
	c := testbed.Command("unnamed", "start")
	c.Args[0] = ".."
	_, stderr := testbed.Run(t, 6, c)
	assert.Contains(t, stderr, `the daemon's name ".." names no file`)
}

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
		stdout, stderr := testbed.Run(t, 2, testbed.Command("service", c.args...))
		assert.Equal(t, why+usage, stderr)
		assert.Empty(t, stdout)
	}
	for _, help := range []string{"help", "-h", "-help", "--help"} {
		stdout, stderr := testbed.Run(t, 0, testbed.Command("service", help))
		assert.Equal(t, usage, stdout, "asked for, so it is no error")
		assert.Empty(t, stderr)
	}
}

// methods drives a Service by its methods, as a program with a command line of
// its own.
var _ = testbed.Helper("methods", func() {
	s, err := daemonize.New(func(ctx context.Context, _ int) error { <-ctx.Done(); return nil }, &daemonize.Config[int]{Name: "svc"})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Status())
	fmt.Println(s.Stop() == daemonize.ErrNotRunning)
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
	if !testbed.IsolateRoot(t) {
		return
	}
	stdout, stderr := testbed.Run(t, 0, testbed.Command("methods"))
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
	if !testbed.IsolateRoot(t) {
		return
	}
	for _, do := range []string{"listens", "listens and stops slowly"} {
		for range 3 {
			testbed.Run(t, 0, testdaemon.Command("restart", "DO="+do))
		}
	}
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
}

// TestStoppedSyslogdDelaysNeitherStartNorStop: a syslog daemon that takes no messages
// blocks whoever sends one, for ever.
func TestStoppedSyslogdDelaysNeitherStartNorStop(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Subreaper(t)
	log := testbed.StartSyslogd(t, "busybox")
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
	testbed.Run(t, 0, testdaemon.Command("start", "DO=says nothing"))
	pid := testbed.One(t, "service")
	testbed.Run(t, 0, testdaemon.Command("stop"))
	assert.Less(t, time.Since(began), 30*time.Second)
	assert.Equal(t, 0, testbed.ExitOf(t, pid).ExitStatus(), "SIGTERM, not SIGKILL")
	testdaemon.NothingLeft(t)
	kept, err := os.ReadFile("/run/svc.crash")
	require.NoError(t, err)
	assert.Equal(t, lastWords, string(kept), "what could not be logged stays for the next start")
	log.Signal(t, unix.SIGCONT)
}
