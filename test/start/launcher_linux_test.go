// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// What the launcher shows, and how it ends.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
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

// isDaemon is true in main of the process that is to be the daemon, which has a session of its
// own: that of the tests is outside of their namespace.
func isDaemon() bool { return testbed.Must(unix.Getsid(0)) != 0 }

// starter does what its first argument says, around Detach.
var _ = testbed.Launcher("starter", func() {
	say := func() {
		fmt.Println("out before")
		fmt.Fprintln(os.Stderr, "err before")
	}
	switch os.Args[1] {
	case "exit0":
		if isDaemon() {
			say()
			os.Exit(0)
		}
	case "return":
		if isDaemon() {
			say()
			return
		}
	case "panic":
		if isDaemon() {
			panic("early trouble")
		}
	case "fatal":
		if isDaemon() {
			log.SetFlags(0)
			log.Fatal("cannot read the config")
		}
	case "prints":
		say()
	}
	ready, err := daemonize.Detach(false, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch os.Args[1] {
	case "fails":
		fmt.Fprintln(os.Stderr, "what led to it")
		ready(errors.New("the port is taken"))
		ready(nil)
		os.Exit(3)
	case "runs":
		ready(&daemonize.RunningError{Pidfile: "/its/own.pid", PID: 7})
		os.Exit(3)
	case "dies":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "late":
		fmt.Fprintln(os.Stderr, "a warning")
		time.Sleep(time.Second / 2)
	case "hangs":
		os.WriteFile(os.Args[2], []byte("up"), 0o600)
		testbed.UntilTerm()
	case "flood":
		for range 3000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 99))
		}
		ready(errors.New("enough"))
		os.Exit(1)
	}
	ready(nil)
	ready(errors.New("too late"))
	testbed.UntilTerm()
})

func TestLauncherTellsTheTruth(t *testing.T) {
	for _, c := range []struct {
		what   string
		code   int
		stderr string // %d: the daemon's pid
		daemon bool

		out, err string // forked first, main runs at the terminal
		how      string // it ended
	}{
		{what: "ready", daemon: true},
		{what: "late", daemon: true, stderr: "a warning\n"},
		{what: "fails", code: 1, stderr: "what led to it\nstarter: the port is taken\n"},
		{what: "runs", code: 1, stderr: "starter: PID file exists. Process already running? (pid 7 holds /its/own.pid)\n"},
		{what: "dies", code: 1, stderr: "starter: the daemon (pid %d) died before it was ready, after it reached the call that makes it a daemon\n", how: ": signal: killed"},
		{what: "exit0", code: 1, stderr: "err before\nstarter: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first\n", out: "out before\n", how: ": exit status 0"},
		{what: "return", code: 1, stderr: "err before\nstarter: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first\n", out: "out before\n", how: ": exit status 0"},
		{what: "fatal", code: 1, stderr: "cannot read the config\nstarter: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first\n", how: ": exit status 1"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if !testbed.IsolateBothWays(t) {
				return
			}
			cmd := testbed.Command("starter", c.what)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run()
			assert.Equal(t, c.code, cmd.ProcessState.ExitCode())
			if !testbed.ForksFirst() {
				c.out, c.err = "", ""
			}
			assert.Equal(t, c.out, stdout.String())
			if text, ok := strings.CutSuffix(c.stderr, "\n"); ok && testbed.StatusTold() {
				c.stderr = text + c.how + "\n"
			}
			assert.Equal(t, c.err+c.stderr, digits(stderr.String(), c.stderr))
			if c.daemon {
				testbed.One(t, "starter")
			} else {
				testbed.None(t, "starter")
			}
		})
	}
}

// digits puts %d for the pid in what was said if it stands so in what is wanted.
func digits(said, wanted string) string {
	if !strings.Contains(wanted, "(pid %d)") {
		return said
	}
	before, after, ok := strings.Cut(said, "(pid ")
	if !ok {
		return said
	}
	return before + "(pid %d)" + strings.TrimLeft(after, "0123456789")[1:]
}

func TestLauncherShowsThePanic(t *testing.T) {
	testbed.NeedStatusTold(t)
	if !testbed.IsolateBothWays(t) {
		return
	}
	cmd := testbed.Command("starter", "panic")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "panic: early trouble\n\ngoroutine 1 [")
	const how = ": exit status 2"
	assert.Contains(t, string(out), "main returned, exited or panicked first"+how+"\n")
	testbed.None(t, "starter")
}

func TestLauncherShowsTheFirstOfMuchOutput(t *testing.T) {
	if !testbed.Isolate(t) { // forked first, all of it goes to the terminal
		return
	}
	out, err := testbed.Command("starter", "flood").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "xxxx\n[234464 more bytes]\n"[10:])
	assert.True(t, strings.HasSuffix(string(out), "\nstarter: enough\n"))
	assert.Less(t, len(out), 70_000)
}

func TestEarlyOutputIsSeenOnce(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	cmd := testbed.Command("starter", "prints")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run())
	assert.Equal(t, "out before\n", stdout.String())
	assert.Equal(t, "err before\n", stderr.String())
}

// again records where and with what main runs, each time.
var _ = testbed.Launcher("again", func() {
	f, err := os.OpenFile("runs", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "relative path:", err)
		os.Exit(9)
	}
	marked := os.Getenv(testdaemon.Marker)
	fmt.Fprintf(f, "%s|%s|%q|%q\n", os.Getenv("GROWS"), filepath.Base(testbed.Must(os.Getwd())), os.Args[1:], marked)
	f.Close()
	os.Setenv("GROWS", os.Getenv("GROWS")+"+")
	if err := os.Chdir("sub"); err != nil {
		os.Exit(8)
	}
	if err := daemonize.Daemon(false, true); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("in the daemon, at the launcher's terminal")
	testbed.UntilTerm()
})

func TestMainFindsWhatTheLauncherFound(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	dir := filepath.Join(t.TempDir(), "here")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "runs"), nil, 0o644))
	cmd := testbed.Command("again", "a b", "", "--c=\n")
	cmd.Dir, cmd.Env = dir, append(cmd.Env, "GROWS=x")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Run()
	write.Close()
	b := make([]byte, 1000)
	n, _ := io.ReadAtLeast(read, b, 42)
	require.NoError(t, err, "%s", b[:n])
	assert.Equal(t, "in the daemon, at the launcher's terminal\n", string(b[:n]), "noclose")
	runs, err := os.ReadFile(filepath.Join(dir, "runs"))
	require.NoError(t, err)
	const run = `x|here|["a b" "" "--c=\n"]|""` + "\n"
	times := map[bool]int{true: 1, false: 2}[testbed.ForksFirst()]
	assert.Equal(t, strings.Repeat(run, times), string(runs))
}

func TestNoDaemonStaysWhenTheLauncherGoesBeforeReady(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGKILL} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			if !testbed.IsolateBothWays(t) {
				return
			}
			up := filepath.Join(t.TempDir(), "up")
			cmd := testbed.Command("starter", "hangs", up)
			require.NoError(t, cmd.Start())
			testbed.Eventually(t, func() bool { _, err := os.Stat(up); return err == nil }, "the daemon")
			require.NoError(t, cmd.Process.Signal(sig))
			_ = cmd.Wait()
			testbed.None(t, "starter")
		})
	}
}

// replaced overwrites its own path with another program, then calls Daemon.
var _ = testbed.Helper("replaced", func() {
	self := os.Args[1]
	if os.Rename("/run/other", self) != nil && !isDaemon() {
		os.Exit(9)
	}
	if err := daemonize.Daemon(false, false); err != nil {
		log.Fatal(err)
	}
	testbed.UntilTerm()
})

// TestReplacedProgramStartsItself: an upgrade that happens between.
func TestReplacedProgramStartsItself(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/self/exe")
	if !testbed.Isolate(t) {
		return
	}
	other, err := os.ReadFile("/bin/false")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("/run/other", other, 0o755))
	c := testbed.Command("replaced", "/run/program")
	binary, err := os.ReadFile(c.Path)
	require.NoError(t, err)
	c.Path = "/run/program"
	require.NoError(t, os.WriteFile(c.Path, binary, 0o755))
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", testbed.One(t, "replaced")))
	require.NoError(t, err)
	assert.Equal(t, "/run/program (deleted)", to, "what ran, not what is there now")
}
