// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && !(cgo && !daemonizego)

package daemonize

// What the pure-Go stages of a start need of Linux.

import (
	"os"
	"runtime"
	"strings"
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
