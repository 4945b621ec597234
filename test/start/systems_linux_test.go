// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// What other systems do, on Linux with the tag daemonizeother; and sandboxes.

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"unsafe"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// no-seccomp refuses seccomp(2), without no_new_privs, to what it becomes.
var _ = testbed.Helper("no-seccomp", func() {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SECCOMP},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const setModeFilter, tsync = 1, 1
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, tsync, uintptr(unsafe.Pointer(&program))); e != 0 {
		panic(e)
	}
	testbed.ExecHelper(os.Args[1:])
})

func TestStartWhereSeccompIsRefused(t *testing.T) {
	testbed.NeedLinuxBuild(t, "no_new_privs")
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	testbed.Run(t, 0, testbed.Command("no-seccomp", "service", "start"))
	pid := testbed.One(t, "service")
	assert.Equal(t, "1", testbed.Status(t, pid, 0)["NoNewPrivs"])
	assert.Equal(t, "1\t1\t1\t1", testbed.Status(t, pid, 0)["Uid"])
	testbed.Run(t, 0, testbed.Command("no-seccomp", "service", "restart"))
	testbed.Run(t, 0, testbed.Command("no-seccomp", "service", "stop"))
	testdaemon.NothingLeft(t)
}

func TestLimitOfDescriptorsDoesNotMatter(t *testing.T) {
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	leak, err := os.Open("/etc/passwd")
	require.NoError(t, err)
	defer leak.Close()
	// With 64 no list is known to be complete: all are tried, as where there is none.
	for _, most := range []uint64{limit.Max, 64} {
		c := testbed.Command("limited", strconv.FormatUint(most, 10), "service", "start")
		c.ExtraFiles = []*os.File{leak, leak, leak} // 3 becomes the report socket
		code, said := testbed.Finish(t, c)          // within 20 seconds
		require.Equal(t, 0, code, said)
		pid := testbed.One(t, "service")
		for fd, to := range testbed.Look(t, pid).FDs {
			assert.NotEqual(t, "/etc/passwd", to, "limit %d, descriptor %d", most, fd)
		}
		testbed.Run(t, 0, testdaemon.Command("stop"))
	}
}

// A path may lead to another program by now: macOS and the BSDs have no /proc/self/exe.
func TestReplacedProgramIsNotStarted(t *testing.T) {
	if !testbed.Portable {
		t.Skip("needs the tag daemonizeother: see TestReplacedProgramStartsItself")
	}
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
	require.Error(t, err)
	assert.Contains(t, string(out), "/run/program was replaced since this program started: start the new one")
	testbed.None(t, "replaced")
}

// macOS has /var/run of root and group 1, mode 0775; any other group is a third party.
func TestMacsRunDirectoryIsAccepted(t *testing.T) {
	if !testbed.Portable {
		t.Skip("needs the tag daemonizeother: Linux's own /run is root's alone")
	}
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	for gid, want := range map[int]int{1: 0, 2: 6} {
		require.NoError(t, unix.Mount("run", "/run", "tmpfs", 0, fmt.Sprintf("mode=0775,gid=%d", gid)))
		code, said := testdaemon.Do(t, "start")
		assert.Equal(t, want, code, "gid %s: %s", strconv.Itoa(gid), said)
		if want == 0 {
			testbed.Run(t, 0, testdaemon.Command("stop"))
		} else {
			assert.Contains(t, said, "writable by others (mode 0775)")
		}
		require.NoError(t, unix.Unmount("/run", unix.MNT_DETACH))
	}
}
