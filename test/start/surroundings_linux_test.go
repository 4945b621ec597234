// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// Starts where something is missing or broken.

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestInternalLinkingIsAnErrorAtOnce(t *testing.T) {
	if !testbed.UsesLibc {
		t.Skip("needs cgo: apt-get install gcc libc6-dev; CGO_ENABLED=1 go test")
	}
	if testbed.Musl {
		t.Skip("needs glibc: Go's linker knows no other")
	}
	if !testbed.IsolateBothWays(t) {
		return
	}
	still := filepath.Join(t.TempDir(), "still")
	out, err := testbed.Program("go", "build", "-ldflags=-linkmode=internal", "-o", still, "github.com/madhadron/daemonize/examples/stillalive").CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := testbed.Program(still, "start")
	stderr, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Equal(t, "stillalive: the C constructor that calls daemon(3) did not run: the program was linked with -ldflags=-linkmode=internal; link without it, or build with CGO_ENABLED=0 or -tags daemonizego\n", string(stderr))
	testbed.None(t, still)
	cmd = testbed.Program(still, "start")
	cmd.Env = append(os.Environ(), testdaemon.Marker+"=2:3")
	stderr, err = cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(stderr), "did not run")
	testbed.None(t, still)
	out, err = testbed.Program(still, "status").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "stillalive is not running.\n", string(out))
}

func TestBrokenSurroundings(t *testing.T) {
	for _, c := range []struct {
		name, says string
		breaks     func(*testing.T)
	}{
		{"no /proc", "/proc/self/exe: no such file or directory", func(t *testing.T) {
			require.NoError(t, unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""))
			t.Cleanup(func() { _ = unix.Unmount("/proc", unix.MNT_DETACH) })
		}},
		{"no /dev/null", "open /dev/null: no such file or directory", func(t *testing.T) {
			require.NoError(t, unix.Unmount("/dev/null", unix.MNT_DETACH))
			require.NoError(t, os.Remove("/dev/null"))
		}},
		{"/dev/null is a regular file", "open /dev/null: no such device", func(t *testing.T) {
			require.NoError(t, unix.Unmount("/dev/null", unix.MNT_DETACH))
		}},
		{"/dev/null is another device", "open /dev/null: no such device", func(t *testing.T) {
			require.NoError(t, unix.Mount("/dev/zero", "/dev/null", "", unix.MS_BIND, ""))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !testbed.IsolateBothWays(t) {
				return
			}
			// Ours are prepared before anything breaks.
			cmd := testbed.Command("detacher", "0", "0")
			read, write, err := os.Pipe()
			require.NoError(t, err)
			null, err := os.Open("/dev/null")
			require.NoError(t, err)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = null, write, write
			c.breaks(t)
			require.NoError(t, cmd.Start())
			write.Close()
			out, err := io.ReadAll(read)
			require.NoError(t, err)
			require.Error(t, cmd.Wait())
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			assert.Contains(t, string(out), "daemonize: start: ")
			assert.Contains(t, string(out), c.says)
		})
	}
}

func TestFewDescriptorsAreAClearErrorOrEnough(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	var clear, enough int
	for n := 4; n < 20; n++ {
		cmd := testbed.Command("limited", strconv.Itoa(n), "detacher", "0", "0")
		out, err := cmd.CombinedOutput()
		if err == nil {
			enough++
			require.NoError(t, unix.Kill(testbed.One(t, "detacher"), unix.SIGKILL))
		} else {
			clear++
			assert.Regexp(t, "[Tt]oo many open files|Error 24|failed with 24", string(out), "%d descriptors", n)
		}
		testbed.None(t, "detacher")
	}
	assert.NotZero(t, clear)
	assert.NotZero(t, enough)
}

func TestForkThatFailsInDaemon3IsTold(t *testing.T) {
	if !testbed.UsesLibc {
		t.Skip("needs cgo: apt-get install gcc libc6-dev; CGO_ENABLED=1 go test")
	}
	if !testbed.IsolateBothWays(t) {
		return
	}
	out, err := testbed.Command("cannot-fork", "detacher", "0", "0").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "daemon(3): resource temporarily unavailable: the limit of processes is reached (RLIMIT_NPROC, see ulimit -u; or the control group's pids.max)\n", string(out))
	testbed.None(t, "detacher")
}
