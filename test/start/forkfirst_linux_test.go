// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build cgo && !daemonizego

package start_test

// What package forkfirst does besides the promises of every start.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// forked runs a helper by that way.
func forked(helper, verb string, env ...string) *exec.Cmd {
	c := testbed.Command(helper)
	c.Args = []string{helper, verb}
	c.Env = append(c.Env, env...)
	return c
}

// which says whether it is the process that was started, or one that the constructor made; it
// never is a daemon.
var _ = testbed.Helper("which", func() {
	fmt.Print(os.Getenv("TESTBED_PARENT") != strconv.Itoa(os.Getppid()))
	os.Exit(3)
})

func whichCommand() *exec.Cmd {
	c := testbed.Command("which")
	c.Env = append(c.Env, "TESTBED_PARENT="+strconv.Itoa(os.Getpid()))
	return c
}

func TestForkFirstIsForStartAndRestartAlone(t *testing.T) {
	testbed.NeedLinuxBuild(t, "package forkfirst")
	if !testbed.Isolate(t) {
		return
	}
	for _, args := range [][]string{{"start"}, {"restart"}} {
		c := whichCommand()
		c.Args = append(c.Args, args...)
		out, _ := c.Output()
		assert.Equal(t, "true", string(out), "%q", args)
	}
	for _, args := range [][]string{
		{}, {""}, {"stop"}, {"START"}, {"star"}, {"startx"}, {" start"}, {"restar"}, {"start", ""}, {"start", "start"}, {"", "start"},
		{"start", "restart"}, {"x", "start"}, {"run"}, {strings.Repeat("x", 5000)}, {"start", strings.Repeat("x", 5000)},
	} {
		c := whichCommand()
		c.Args = append(c.Args, args...)
		out, _ := c.Output()
		assert.Equal(t, "false", string(out), "%.40q", args)
		assert.Equal(t, 3, c.ProcessState.ExitCode())
	}
	// A name so long that the verb cannot be read, and none at all.
	for _, name := range []string{strings.Repeat("x", 4090), strings.Repeat("x", 9000)} {
		c := whichCommand()
		c.Args = []string{name, "start"}
		out, _ := c.Output()
		assert.Equal(t, "false", string(out))
	}
	c := whichCommand()
	c.Args = []string{"", "start"}
	out, _ := c.Output()
	assert.Equal(t, "true", string(out))
	c.Process.Wait()
}

// ends prints and ends as it is told, without a call.
var _ = testbed.Helper("ends", func() {
	os.Stdout.WriteString("%s %n out\n")
	os.Stderr.WriteString("%s %n err\n")
	switch os.Getenv("HOW") {
	case "3":
		os.Exit(3)
	case "killed":
		unix.Kill(os.Getpid(), unix.SIGKILL)
	case "terminated":
		signal.Reset(unix.SIGTERM)
		unix.Kill(os.Getpid(), unix.SIGTERM)
		time.Sleep(time.Hour)
	}
})

// ignores-children becomes another helper, forked first, with SIGCHLD ignored.
var _ = testbed.Helper("ignores-children", func() {
	signal.Ignore(unix.SIGCHLD)
	c := forked(os.Getenv("THEN"), "start")
	panic(unix.Exec(c.Path, c.Args, append([]string{"TESTBED_HELPER=" + os.Getenv("THEN")}, os.Environ()...)))
})

func TestForkFirstProgramThatIsNoDaemonEndsAsItself(t *testing.T) {
	testbed.NeedLinuxBuild(t, "package forkfirst")
	for _, c := range []struct {
		how, says string
		code      int
	}{
		{"0", "exit status 0", 1},
		{"3", "exit status 3", 3},
		{"killed", "signal: killed", 1},
		{"terminated", "signal: terminated", 1},
	} {
		for _, verb := range []string{"start", "restart"} {
			t.Run(c.how+" "+verb, func(t *testing.T) {
				if !testbed.Isolate(t) {
					return
				}
				stdout, stderr := testbed.Run(t, c.code, forked("ends", verb, "HOW="+c.how))
				assert.Equal(t, "%s %n out\n", stdout)
				const words = "%s %n err\nends: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first: "
				assert.Equal(t, words+c.says+"\n", digits(stderr, words))
				testbed.None(t, "ends")
			})
		}
	}
	t.Run("SIGCHLD ignored", func(t *testing.T) {
		if !testbed.Isolate(t) {
			return
		}
		c := testbed.Command("ignores-children")
		c.Env = append(c.Env, "THEN=ends", "HOW=killed")
		_, stderr := testbed.Run(t, 1, c)
		assert.True(t, strings.HasSuffix(stderr, ": signal: killed\n"), "%s", stderr)
	})
}

// own-words does what a program with messages of its own does when
// Start fails: it prints, goes on, and ends with a code of its own.
var _ = testbed.Helper("own-words", func() {
	s, err := daemonize.New(func(ctx context.Context, _ int) error { <-ctx.Done(); return nil }, &daemonize.Config[int]{Name: "svc", PidfileDirectory: "/run/not-there"})
	if err != nil {
		panic(err)
	}
	fmt.Println("mine:", s.Start())
	fmt.Println("again:", s.Start() != nil)
	if up := os.Getenv("UP"); up != "" {
		ctx, _ := signal.NotifyContext(context.Background(), unix.SIGTERM)
		os.WriteFile(up, nil, 0o600)
		<-ctx.Done()
		os.WriteFile(up+".told", nil, 0o600)
	}
	switch os.Getenv("HOW") {
	case "killed":
		unix.Kill(os.Getpid(), unix.SIGKILL)
	case "leaves a child":
		testbed.Fork()
	}
	os.Exit(7)
})

func TestForkFirstErrorBeforeTheStartIsTheCallers(t *testing.T) {
	testbed.NeedLinuxBuild(t, "package forkfirst")
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	stdout, stderr := testbed.Run(t, 7, forked("own-words", "start"))
	assert.Empty(t, stderr, "the launcher adds nothing")
	assert.Contains(t, stdout, "/run/not-there")
	assert.True(t, strings.HasSuffix(stdout, "\nagain: true\n"), "%s", stdout)
	testbed.Run(t, 128+9, forked("own-words", "start", "HOW=killed"))

	c := forked("own-words", "start", "HOW=leaves a child")
	c.WaitDelay = 100 * time.Millisecond // the child has our standard error
	testbed.Run(t, 7, c)
	for _, pid := range testbed.Find("own-words") {
		require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	}
	testbed.None(t, "own-words")
}

func TestForkFirstLauncherThatGoesTakesTheProgramAlong(t *testing.T) {
	testbed.NeedLinuxBuild(t, "package forkfirst")
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	up := filepath.Join(t.TempDir(), "up")
	c := forked("own-words", "start", "UP="+up)
	require.NoError(t, c.Start())
	testbed.Eventually(t, func() bool { _, err := os.Stat(up); return err == nil }, "the program")
	require.NoError(t, c.Process.Signal(unix.SIGINT))
	_ = c.Wait()
	testbed.Eventually(t, func() bool { _, err := os.Stat(up + ".told"); return err == nil }, "its SIGTERM")
	testbed.None(t, "own-words")
}

// foreground has a command start that stays in the foreground.
var _ = testbed.Helper("foreground", func() {
	s, err := daemonize.New(func(ctx context.Context, _ int) error {
		fmt.Println("up")
		<-ctx.Done()
		fmt.Println("down")
		return errors.New("told to")
	}, &daemonize.Config[int]{Name: "svc"})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Run(context.Background()))
	os.Exit(5)
})

func TestForkFirstRunGoesOnInTheForeground(t *testing.T) {
	testbed.NeedLinuxBuild(t, "package forkfirst")
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	c := forked("foreground", "start")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	c.Stdout = w
	require.NoError(t, c.Start())
	w.Close()
	b := make([]byte, 3)
	_, err = r.Read(b)
	require.NoError(t, err)
	assert.Equal(t, "up\n", string(b))
	for _, pid := range testbed.Find("foreground") {
		if pid != c.Process.Pid {
			require.NoError(t, unix.Kill(pid, unix.SIGTERM))
		}
	}
	_ = c.Wait()
	assert.Equal(t, 5, c.ProcessState.ExitCode())
	testbed.None(t, "foreground")
}

// cannot-setsid has daemon(3) fail in the child of the first fork.
var _ = testbed.Helper("cannot-setsid", func() {
	testbed.Refuse(unix.EPERM, nil, unix.SYS_SETSID)
	testbed.ExecHelper(os.Args[1:])
})

func TestForkFirstFallsBackToReexecution(t *testing.T) {
	testbed.NeedLinuxBuild(t, "package forkfirst")
	if !testbed.IsolateBothWays(t) {
		return
	}
	out, err := testbed.Command("cannot-setsid", "detacher", "0", "0").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "daemon(3): operation not permitted\n", string(out))
	testbed.None(t, "detacher")
}

// shows tells the descriptors that it has before the call, and who its parent is.
var _ = testbed.Helper("shows", func() {
	p, _ := os.ReadDir("/proc/self/fd")
	for _, e := range p {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		switch kind, _, _ := strings.Cut(to, ":"); {
		case kind == "", kind == "anon_inode", strings.HasPrefix(kind, "/sys/fs/cgroup/"): // closed, or Go's own
		default:
			fmt.Println(e.Name(), kind)
		}
	}
	os.Exit(3)
})

func TestForkFirstChildHasTheTerminalAndTheReport(t *testing.T) {
	testbed.NeedLinuxBuild(t, "package forkfirst")
	if !testbed.Isolate(t) {
		return
	}
	c := forked("shows", "start")
	for range 20 {
		f, err := os.Open("/")
		require.NoError(t, err)
		defer f.Close()
		c.ExtraFiles = append(c.ExtraFiles, f)
	}
	stdout, _ := testbed.Run(t, 3, c)
	assert.Equal(t, "0 /dev/null\n1 pipe\n2 pipe\n3 socket\n4 pipe\n5 pipe\n", stdout)
}
