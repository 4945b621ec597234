// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// CC compiles a C program and returns its path. Without a compiler it skips.
func CC(t testing.TB, source string, flags ...string) string {
	t.Helper()
	gcc := Package(t, "gcc", "gcc libc6-dev")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	file, program := filepath.Join(dir, "p.c"), filepath.Join(dir, "p")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o644))
	out, err := exec.Command(gcc, append([]string{"-Wall", "-o", program, file}, flags...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// Find lists the processes with that argv[0], but for zombies and us. One that is ending
// counts, if it is a daemon: that has its name from argv[0].
func Find(argv0 string) []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		line, err := os.ReadFile(d + "/cmdline")
		if err != nil || pid == os.Getpid() {
			continue
		}
		name, _, _ := bytes.Cut(line, []byte{0})
		is := string(name) == argv0
		if len(line) == 0 { // as it ends, its name and its locks outlive its arguments
			comm, _ := os.ReadFile(d + "/comm")
			is = string(comm) == argv0[:min(len(argv0), 15)]+"\n"
		}
		if is && Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// One waits until exactly one process with that argv[0] is left, and
// returns it: a launcher takes a moment to leave.
func One(t testing.TB, argv0 string) int {
	t.Helper()
	var pids []int
	Eventually(t, func() bool { pids = Find(argv0); return len(pids) == 1 }, "one process %s, not %v", argv0, &pids)
	return pids[0]
}

// None waits until no process with that argv[0] is left.
func None(t testing.TB, argv0 string) {
	t.Helper()
	var pids []int
	Eventually(t, func() bool { pids = Find(argv0); return len(pids) == 0 }, "no process %s, not %v", argv0, &pids)
}

// Subreaper makes this process adopt orphans, so that ExitOf can tell how
// a daemon ended.
func Subreaper(t testing.TB) {
	t.Helper()
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
}

// ExitOf waits for an adopted process and returns its status.
func ExitOf(t testing.TB, pid int) unix.WaitStatus {
	t.Helper()
	var status unix.WaitStatus
	Eventually(t, func() bool {
		got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
		require.True(t, err == nil || err == unix.EINTR, "wait4: %v", err)
		return got == pid
	}, "the end of pid %d", pid)
	return status
}

// Refuse has the kernel answer the system calls with errno, in every thread
// of this process and in its descendants. If argument is not nil, only calls
// whose argument (0 to 5) has, under mask, that value.
func Refuse(errno unix.Errno, argument *Argument, calls ...int) {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		and    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
		allow  = 0x7fff0000
		refuse = 0x00050000
	)
	var p []unix.SockFilter
	for _, nr := range calls {
		p = append(p, unix.SockFilter{Code: load, K: 0})
		if argument == nil {
			p = append(p, unix.SockFilter{Code: equal, Jf: 1, K: uint32(nr)})
		} else {
			p = append(p,
				unix.SockFilter{Code: equal, Jf: 4, K: uint32(nr)},
				unix.SockFilter{Code: load, K: 16 + 8*argument.Index},
				unix.SockFilter{Code: and, K: argument.Mask},
				unix.SockFilter{Code: equal, Jf: 1, K: argument.Value})
		}
		p = append(p, unix.SockFilter{Code: answer, K: refuse | uint32(errno)})
	}
	p = append(p, unix.SockFilter{Code: answer, K: allow})
	program := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	const setModeFilter, tsync = 1, 1
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, tsync, uintptr(unsafe.Pointer(&program))); e != 0 {
		panic(fmt.Errorf("seccomp: %w", e))
	}
}

// Argument is a condition on the low half of a system call's argument
// (little-endian machines).
type Argument struct{ Index, Mask, Value uint32 }

// As has the command run as that uid and gid, with no other groups, from a
// copy of the test binary in /run, which go test keeps where only its user
// may look. Use it after Isolate.
func As(t testing.TB, id uint32, c *exec.Cmd) *exec.Cmd {
	t.Helper()
	const binary = "/run/test-binary"
	if _, err := os.Stat(binary); err != nil {
		content, err := os.ReadFile(c.Path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(binary, content, 0o755))
	}
	c.Path, c.Dir = binary, "/"
	c.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	return c
}
