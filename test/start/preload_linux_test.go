// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// Starts before main: preloaded libraries, and programs without arguments or environment.

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// preloaded makes a library that does something before the program's own constructors.
func preloaded(t *testing.T, does string) (env string) {
	t.Helper()
	return "LD_PRELOAD=" + testbed.CC(t, does, "-shared", "-fPIC", "-pthread")
}

// isStatic is true in a program without a dynamic loader.
func isStatic(t *testing.T) bool {
	f, err := elf.Open("/proc/self/exe")
	require.NoError(t, err)
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

func TestPreloadedLibraryWithThreads(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/self/task")
	if !testbed.Isolate(t) {
		return
	}
	if testbed.Musl {
		t.Skip("needs glibc: gcc's library is for that")
	}
	cmd := testbed.Command("detacher", "0", "0")
	cmd.Env = append(cmd.Env, preloaded(t, `#include <pthread.h>
#include <unistd.h>
static void *rest(void *arg) { for (;;) pause(); return arg; }
__attribute__((constructor)) static void begin(void) { pthread_t t; pthread_create(&t, 0, rest, 0); }
`))
	out, err := cmd.CombinedOutput()
	if !testbed.UsesLibc || isStatic(t) { // nobody forks, or nobody preloads
		require.NoError(t, err, "%s", out)
		testbed.One(t, "detacher")
		return
	}
	require.Error(t, err)
	assert.Equal(t, "a library has started threads before the program, which fork(2) would end: start without it (LD_PRELOAD?), or build with CGO_ENABLED=0 or -tags daemonizego\n", string(out))
	testbed.None(t, "detacher")
}

// TestPreloadedLibraryThatMovesTheEnvironment: Go reads the one that the kernel made,
// where the marker still is.
func TestPreloadedLibraryThatMovesTheEnvironment(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	if testbed.Musl {
		t.Skip("needs glibc: gcc's library is for that")
	}
	cmd := testbed.Command("shows-env", filepath.Join(t.TempDir(), "env"))
	cmd.Env = append(cmd.Env, preloaded(t, `#include <stdlib.h>
__attribute__((constructor)) static void begin(void) { for (int i = 0; i < 100; i++) setenv((char[]){'V', 'a' + i % 26, 'a' + i / 26, 0}, "x", 1); }
`))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	var env []byte
	testbed.Eventually(t, func() bool {
		env, err = os.ReadFile(cmd.Args[1])
		return err == nil && strings.HasSuffix(string(env), "\nend\n")
	}, "the child")
	assert.NotContains(t, string(env), testdaemon.Marker)
	testbed.One(t, "shows-env")
}

// shows-env is a daemon that writes the environment of a child of its.
var _ = testbed.Helper("shows-env", func() {
	if err := daemonize.Daemon(false, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out, err := testbed.Program("env").Output()
	os.WriteFile(os.Args[1], fmt.Appendf(nil, "%s%v %v\nend\n", out, err, os.Environ()), 0o600)
	testbed.UntilTerm()
})

// TestNoArgumentsAndNoEnvironment: execve(2) of a whole program with neither.
func TestNoArgumentsAndNoEnvironment(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	still := filepath.Join(t.TempDir(), "stillalive")
	out, err := testbed.Program("go", "build", "-o", still, "github.com/madhadron/daemonize/examples/stillalive").CombinedOutput()
	require.NoError(t, err, "%s", out)
	bare := testbed.CC(t, `#include <unistd.h>
int main(int argc, char **argv) { char *none[] = { 0 }; return execve(argv[1], argc > 2 ? argv + 2 : none, none); }
`)
	_, stderr := testbed.Run(t, 2, testbed.Program(bare, still))
	assert.Contains(t, stderr, "Usage: stillalive {start|")
	_, stderr = testbed.Run(t, 0, testbed.Program(bare, still, "stillalive", "start"))
	assert.Empty(t, stderr)
	pid := testbed.One(t, "stillalive")
	testbed.HeldBy(t, "/run/stillalive.pid", pid)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	require.NoError(t, err)
	assert.Regexp(t, "^(DAEMONIZE_BOOT=[0-9:]*\x00)?$", string(env), "as it was at exec")
	testbed.Run(t, 0, testbed.Program(bare, still, "stillalive", "stop"))
	testbed.None(t, "stillalive")
}
