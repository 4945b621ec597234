// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// The C alone, in plain programs, and before it is Go's: testdata/harness.c.

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	return testbed.CC(t, `#include "`+testbed.Must(filepath.Abs("testdata/harness.c"))+`"`, append(flags, "-g", "-Wextra")...)
}

// TestConstructorInAPlainProgram goes through all its early returns.
func TestConstructorInAPlainProgram(t *testing.T) {
	t.Run("sanitizers", func(t *testing.T) {
		program := harness(t, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
		out, err := testbed.Program(program).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Empty(t, string(out))
	})
	t.Run("valgrind", func(t *testing.T) {
		valgrind := testbed.Package(t, "valgrind", "valgrind")
		out, err := testbed.Program(valgrind, "-q", "--error-exitcode=9", "--leak-check=full", harness(t)).CombinedOutput()
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
			out, err := testbed.Program(tidy, args...).CombinedOutput()
			assert.NoError(t, err, "%s", out)
		}
		out, err := testbed.Program(check, "-q", "--error-exitcode=1", "--enable=warning,performance,portability", "--inline-suppr", "-D__linux__", "cdaemon.c").CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
}

// plainMarker is the marker's grammar, said once more.
var plainMarker = regexp.MustCompile(`^([0-9]+):([0-9]+)$`)

// goMarker is what the build without C makes of a launcher's marker.
var goMarker func(text string) string

// FuzzMarker asks the C, and in a build without it the Go as well.
func FuzzMarker(f *testing.F) {
	for _, text := range []string{"", ":", "2:3", "1:3", "2:2", "002:0003", "2147483647:2147483647", "2147483648:3", "21474836470:3", "2:3:4", " 2:3", "2:+3", "2:3\n", "９:3", strings.Repeat("9", 100) + ":3"} {
		f.Add(text)
	}
	c := exec.Command(harness(f), "marker") // for as long as somebody fuzzes
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
		if goMarker != nil && strings.Count(text, ":") < 2 { // there, stage 1 has a third number
			assert.Equal(t, want, goMarker(text), "%q", text)
		}
	})
}

// forkFirstHarness is a C program in the Go program's place: it is ready, or
// fails, or dies, as $HOW says.
const forkFirstHarness = `#include "cdaemon.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
	int fd;
	const char *how = getenv("HOW");
	struct cd_frame stage = { 's', 0, 5, 0 }, end = { *how, 4, 0, 0 };
	if (cd_boot_result(&fd) != CD_FORKED)
		return 9;
	if (*how == '0')
		return 0;
	if (write(fd, &stage, sizeof stage) != sizeof stage || write(fd, "stage", 5) != 5)
		return 8;
	if (*how == 'd')
		return 3;
	if (*how == 'p') /* half a frame */
		return write(fd, &stage, 3) == 3 ? 5 : 8;
	return write(fd, &end, sizeof end) == sizeof end ? 7 : 8;
}`

func TestForkFirstLauncherUnderValgrind(t *testing.T) {
	valgrind := testbed.Package(t, "valgrind", "valgrind")
	here, err := os.Getwd()
	require.NoError(t, err)
	harness := testbed.CC(t, forkFirstHarness, "-g", "-I"+here,
		filepath.Join(here, "cdaemon.c"), filepath.Join(here, "cdaemon_peer.c"), filepath.Join(here, "cdaemon_stay.c"), filepath.Join(here, "cdaemon_process.c"),
		filepath.Join(here, "cdaemon_exec.c"), filepath.Join(here, "forkfirst/forkfirst.c"))
	for _, c := range []struct {
		how, says string
		code      int
	}{
		{"0", ": exit status 0\n", 1},
		{"d", "stage: exit status 3\n", 1},
		{"p", "stage: exit status 5\n", 1},
		{"r", "", 0},
		{"e", "", 4},
		{"o", "", 7},
	} {
		t.Run(c.how, func(t *testing.T) {
			cmd := testbed.Program(valgrind, "-q", "--leak-check=full", "--error-exitcode=99", harness, "start")
			cmd.Env = append(os.Environ(), "HOW="+c.how)
			_, stderr := testbed.Run(t, c.code, cmd)
			assert.NotContains(t, stderr, "==")
			assert.True(t, strings.HasSuffix(stderr, c.says), "%s", stderr)
			if c.says == "" {
				assert.Empty(t, stderr)
			}
		})
	}
}
