// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && !(cgo && !daemonizego)

package daemonize

// What the pure-Go stages of a start need of Linux.

import (
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerIs is true if pid made the other end of the socket. gVisor before 2023 tells of
// every socket that it is the caller's own: there the rest of the marker must do.
func peerIs(fd, pid int) bool {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && (int(peer.Pid) == pid || int(peer.Pid) == os.Getpid())
}

// nameProcess undoes that exec of /proc/self/exe named us "exe". init runs on the main
// thread, whose name is the process's. (/proc/self/comm is not ours to write where we
// may not read our own file.)
func nameProcess() {
	if name, err := unix.BytePtrFromString(programName()); err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
	}
}

// leaveSessionKeyring gives this thread, and what it starts, an empty session keyring if
// we are root: see leave_session_keyring in cdaemon.c.
func leaveSessionKeyring() {
	if os.Geteuid() == 0 {
		_, _, _ = unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	}
}

// cleanSignals gives this thread, and what it starts until release, default
// dispositions and an empty mask: whoever started the launcher may have
// ignored and blocked signals, and Go would keep that. Stage 1 only starts
// stage 2 and waits: it can do without the runtime's own handlers.
func cleanSignals() (release func()) {
	runtime.LockOSThread()
	signals, size := 64, uintptr(8)
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		signals, size = 127, 16
	}
	var zero [64]byte // struct sigaction in any layout: SIG_DFL, no flags, no mask
	for s := 1; s <= signals; s++ {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&zero)), 0, size, 0, 0)
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, new(unix.Sigset_t), nil)
	return runtime.UnlockOSThread
}

// inheritNothing has exec close what the launcher had open. closeInherited closes it in this
// process, once the daemon is there.
func inheritNothing() (closeInherited func(), err error) {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) != nil { // Linux before 5.11, or a seccomp filter
		fds, err := ownDescriptors()
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
	}
	return func() {
		fds, _ := ownDescriptors()
		for _, fd := range fds {
			var st unix.Stat_t // what epoll(7) and eventfd(2) make has no type: Go's own
			if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != 0 {
				unix.Close(fd)
			}
		}
	}, nil
}

// ownDescriptors lists those of this process but the standard ones.
func ownDescriptors() ([]int, error) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, e := range names {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// endOf waits for the daemon's end and tells its exit code or the signal. It does not
// reap it: who adopts the daemon when we end, a supervisor say, wants to know as well.
func endOf(daemon int) (code int, signal syscall.Signal, err error) {
	var info unix.Siginfo
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Waitid(unix.P_PID, daemon, &info, unix.WEXITED|unix.WNOWAIT, nil)
	}
	if err != nil {
		return 0, 0, err
	}
	// si_status follows si_pid and si_uid, which begin at the first word behind three ints.
	const word = unsafe.Sizeof(uintptr(0))
	status := *(*int32)(unsafe.Add(unsafe.Pointer(&info), (3*4+word-1)/word*word+2*4))
	const exited = 1 // CLD_EXITED
	if info.Code == exited {
		return int(status), 0, nil
	}
	return 0, syscall.Signal(status), nil
}
