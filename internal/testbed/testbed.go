// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

// Package testbed is what the tests share: helper programs that live in the
// test binary, namespaces to run a test in, and a look at a process from
// outside. Only tests import it.
package testbed

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// envHelper names the helper program that a copy of the test binary is to be.
const envHelper = "TESTBED_HELPER"

var helpers = map[string]func(){}

// Helper registers a program under name; Command runs it. Call it from a
// package variable in the file of the test that uses it:
//
//	var _ = testbed.Helper("still", func() { … })
func Helper(name string, program func()) bool {
	if helpers[name] != nil {
		panic("testbed: two helpers called " + name)
	}
	helpers[name] = program
	return true
}

// Main is the body of TestMain. It runs a helper program, the init of a
// namespace or the tests, whichever this process was started to be.
func Main(m *testing.M) {
	if name := os.Getenv(envHelper); name != "" {
		program := helpers[name]
		if program == nil {
			fmt.Fprintf(os.Stderr, "testbed: no helper %q among %q\n", name, slices.Sorted(maps.Keys(helpers)))
			os.Exit(99)
		}
		restoreArgs()
		program()
		os.Exit(0)
	}
	if os.Getenv(envStage) == stageInit {
		namespaceInit()
	}
	systemdStage()
	clean()
	// The tests mostly wait. -parallel=N overrides this.
	_ = flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0)))
	os.Exit(m.Run())
}

// clean has what the tests start find signals and descriptors as a shell's foreground job does.
// A background job of a script is started with SIGINT ignored, and what Go ignores it has its
// children ignore, unless it is notified; descriptors that go test's caller left open would reach
// daemon(3).
func clean() {
	for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	fds, _ := os.ReadDir("/dev/fd")
	for _, entry := range fds {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// Command returns the helper program as a command; argv[0] is "helper", the
// working directory and the environment are the test's. The helper finds args
// in os.Args; argv may hold others, for the way to a daemon.
func Command(helper string, args ...string) *exec.Cmd {
	c := Program(self(), args...)
	var own string
	c.Args, own = argv(helper, args)
	c.Env = append(os.Environ(), envHelper+"="+helper, own, raceEnv())
	return c
}

// Program is exec.Command for what a test starts: it is killed after some minutes, so that no
// Wait lasts for ever.
func Program(path string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(3*time.Minute, cancel)
	c := exec.CommandContext(ctx, path, args...)
	c.WaitDelay = time.Minute // for a descendant that has its standard output
	return c
}

// raceEnv keeps the race detector from sleeping for a second at every exit.
func raceEnv() string { return "GORACE=atexit_sleep_ms=0 " + os.Getenv("GORACE") }

// self is the path of the test binary; os.Executable is right after a chdir.
func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// patience is how long a condition may take, on a machine that is slow and busy.
const patience = 30 * time.Second

// Eventually waits for a condition; it fails the test after half a minute.
func Eventually(t testing.TB, condition func() bool, what string, args ...any) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
		if time.Now().After(end) {
			require.FailNow(t, "waited half a minute for: "+fmt.Sprintf(what, args...))
		}
	}
}

// Package skips the test unless the command is installed; debian is the
// package that has it.
func Package(t testing.TB, command, debian string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Skipf("needs %s: apt-get install %s", command, debian)
	}
	return path
}

// inModule is the package under test as go test takes it in the module's
// directory: "./examples/init".
func inModule() string {
	here, err := os.Getwd()
	if err != nil {
		return "."
	}
	rel, _ := filepath.Rel(Module(), here)
	return "./" + strings.TrimPrefix(rel, ".")
}

// Module is the module's directory, from the package's in which go test runs a test.
func Module() string {
	here, err := os.Getwd()
	if err != nil {
		return "."
	}
	for dir := here; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return here
}

// pattern is the -test.run argument that selects one test or subtest alone.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + quoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

func quoteMeta(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// NeedLinuxBuild skips what only Linux's own files have, where the tag daemonizeother has
// left them out.
func NeedLinuxBuild(t testing.TB, what string) {
	t.Helper()
	if Portable {
		t.Skipf("needs %s, which Linux alone has: run without the tag daemonizeother", what)
	}
}
