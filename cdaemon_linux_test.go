package daemonize

// The C alone, in a plain program, and before it is Go's: testdata/harness.c.

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// harness compiles testdata/harness.c: the C without Go.
func harness(t testing.TB, flags ...string) string {
	t.Helper()
	return testbed.CC(t, `#include "`+must(filepath.Abs("testdata/harness.c"))+`"`, append(flags, "-g", "-Wextra")...)
}

// TestConstructorInAPlainProgram goes through all its early returns.
func TestConstructorInAPlainProgram(t *testing.T) {
	t.Run("sanitizers", func(t *testing.T) {
		program := harness(t, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
		out, err := exec.Command(program).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Empty(t, string(out))
	})
	t.Run("valgrind", func(t *testing.T) {
		valgrind := testbed.Package(t, "valgrind", "valgrind")
		out, err := exec.Command(valgrind, "-q", "--error-exitcode=9", "--leak-check=full", harness(t)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Empty(t, string(out))
	})
	t.Run("linters", func(t *testing.T) {
		tidy, check := testbed.Package(t, "clang-tidy", "clang-tidy"), testbed.Package(t, "cppcheck", "cppcheck")
		checks := "-checks=clang-analyzer-*,bugprone-*,cert-*,performance-*,portability-*," +
			"-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-cert-dcl37-c,-cert-dcl51-cpp," + // _GNU_SOURCE
			"-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling" // no libc here has memcpy_s
		for _, libc := range []string{"", "/usr/include/x86_64-linux-musl"} {
			args := []string{"-quiet", "-warnings-as-errors=*", checks, "cdaemon.c", "--", "-Wall", "-Wextra"}
			if libc != "" {
				if _, err := os.Stat(libc); err != nil {
					continue
				}
				args = append(args, "-nostdinc", "-isystem", libc)
			}
			out, err := exec.Command(tidy, args...).CombinedOutput()
			assert.NoError(t, err, "%s", out)
		}
		out, err := exec.Command(check, "-q", "--error-exitcode=1", "--enable=warning,performance,portability", "-D__linux__", "cdaemon.c").CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
}

// plainMarker is the marker's grammar, said once more.
var plainMarker = regexp.MustCompile(`^([0-9]+):([0-9]+)$`)

// FuzzMarker asks the C, and in a build without it the Go half as well.
func FuzzMarker(f *testing.F) {
	for _, text := range []string{"", ":", "2:3", "1:3", "2:2", "002:0003", "2147483647:2147483647", "2147483648:3", "21474836470:3", "2:3:4", " 2:3", "2:+3", "2:3\n", "９:3", strings.Repeat("9", 100) + ":3"} {
		f.Add(text)
	}
	c := exec.Command(harness(f), "marker")
	in, err := c.StdinPipe()
	require.NoError(f, err)
	out, err := c.StdoutPipe()
	require.NoError(f, err)
	require.NoError(f, c.Start())
	f.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	answers := bufio.NewReader(out)
	f.Fuzz(func(t *testing.T, text string) {
		text, _, _ = strings.Cut(text, "\x00") // an environment has none
		want := "no\n"
		if m := plainMarker.FindStringSubmatch(text); m != nil {
			pid, err1 := strconv.ParseUint(m[1], 10, 31)
			fd, err2 := strconv.ParseUint(m[2], 10, 31)
			if err1 == nil && err2 == nil && pid > 1 && fd > 2 {
				want = fmt.Sprintf("%d %d\n", pid, fd)
			}
		}
		_, err := fmt.Fprintf(in, "%s\x00", text)
		require.NoError(t, err)
		got, err := answers.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, want, got, "%q", text)
		if inGo, known := goMarker(text); known {
			assert.Equal(t, want, inGo, "%q", text)
		}
	})
}

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
	if !testbed.Isolate(t) {
		return
	}
	if isMusl() {
		t.Skip("needs glibc: gcc's library is for that")
	}
	cmd := testbed.Command("detacher", "0", "0")
	cmd.Env = append(cmd.Env, preloaded(t, `#include <pthread.h>
#include <unistd.h>
static void *rest(void *arg) { for (;;) pause(); return arg; }
__attribute__((constructor)) static void begin(void) { pthread_t t; pthread_create(&t, 0, rest, 0); }
`))
	out, err := cmd.CombinedOutput()
	if !usesLibc || isStatic(t) { // nobody forks, or nobody preloads
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
	if isMusl() {
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
	assert.NotContains(t, string(env), marker)
	testbed.One(t, "shows-env")
}

// shows-env is a daemon that writes the environment of a child of its.
var _ = testbed.Helper("shows-env", func() {
	if err := Daemon(false, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out, err := exec.Command("env").Output()
	os.WriteFile(os.Args[1], fmt.Appendf(nil, "%s%v %v\nend\n", out, err, os.Environ()), 0o600)
	untilTerm()
})

// TestNoArgumentsAndNoEnvironment: execve(2) of a whole program with neither.
func TestNoArgumentsAndNoEnvironment(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	still := filepath.Join(t.TempDir(), "stillalive")
	out, err := exec.Command("go", "build", "-o", still, "./examples/stillalive").CombinedOutput()
	require.NoError(t, err, "%s", out)
	bare := testbed.CC(t, `#include <unistd.h>
int main(int argc, char **argv) { char *none[] = { 0 }; return execve(argv[1], argc > 2 ? argv + 2 : none, none); }
`)
	_, stderr := command(t, 2, exec.Command(bare, still))
	assert.Contains(t, stderr, "Usage: stillalive {start|")
	_, stderr = command(t, 0, exec.Command(bare, still, "stillalive", "start"))
	assert.Empty(t, stderr)
	pid := testbed.One(t, "stillalive")
	heldBy(t, "/run/stillalive.pid", pid)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	require.NoError(t, err)
	assert.Regexp(t, "^(DAEMONIZE_BOOT=[0-9:]*\x00)?$", string(env), "as it was at exec")
	command(t, 0, exec.Command(bare, still, "stillalive", "stop"))
	testbed.None(t, "stillalive")
}

// hostile starts a set-user-ID copy of counted with all that a launcher gives.
var _ = testbed.Helper("hostile", func() {
	a, b, err := socketPairFiles()
	if err != nil {
		panic(err)
	}
	cmd := testbed.Command("counted", os.Args[2])
	cmd.Path = os.Args[1]
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d:3", marker, os.Getpid()))
	cmd.ExtraFiles = []*os.File{b}
	cmd.Stderr = os.Stderr
	err = cmd.Run()
	a.Close()
	if err != nil {
		os.Exit(1)
	}
})

func TestSetuidProgramBelievesNoMarker(t *testing.T) {
	testbed.NeedRoot(t)
	if !testbed.Isolate(t) {
		return
	}
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir("/run/count", 0o700))
	for mode, says := range map[os.FileMode]string{
		0o755:                 "", // as a control: without the bit it becomes a daemon
		0o755 | os.ModeSetuid: "DAEMONIZE_BOOT was set, but not for this process",
	} {
		copied := fmt.Sprintf("/run/copy%d", mode)
		require.NoError(t, os.WriteFile(copied, binary, 0o755))
		require.NoError(t, os.Chmod(copied, mode))
		require.NoError(t, os.Chown("/run/count", 65534, 65534))
		cmd := testbed.As(t, 65534, testbed.Command("hostile", copied, "/run/count/n"))
		out, err := cmd.CombinedOutput()
		if says == "" {
			require.NoError(t, err, "%s", out)
		} else {
			require.Error(t, err)
			assert.Equal(t, 3, strings.Count(string(out), says), "%s", out)
		}
		testbed.None(t, "counted")
	}
}
