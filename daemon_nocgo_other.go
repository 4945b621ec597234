// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && (!linux || daemonizeother) && !(cgo && !daemonizego)

package daemonize

// What the pure-Go stages of a start need of other systems than Linux.

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerIs is true if fd is a socket and pid made the other end, as far as the system tells.
func peerIs(fd, pid int) bool {
	if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return false
	}
	peer, known := peerPID(fd)
	return !known || peer == pid
}

// nameProcess: the copy was run by its own path.
func nameProcess() {}

// leaveSessionKeyring: there are none.
func leaveSessionKeyring() {}

// cleanSignals cannot, without libc: what the launcher's parent ignored or
// blocked stays so.
func cleanSignals() (release func()) { return func() {} }

// inheritNothing has exec close what the launcher had open, and Go has not.
// closeInherited closes it in this process, once the daemon is there.
func inheritNothing() (closeInherited func(), err error) {
	fds, err := ownDescriptors()
	if err != nil {
		return nil, err
	}
	fds = slices.DeleteFunc(fds, func(fd int) bool {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err != nil || flags&unix.FD_CLOEXEC != 0
	})
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}, nil
}

// endOf waits for the daemon's end and tells its exit code or the signal.
func endOf(daemon int) (code int, signal syscall.Signal, err error) {
	process, err := os.FindProcess(daemon)
	if err != nil {
		return 0, 0, err
	}
	state, err := process.Wait()
	if err != nil {
		return 0, 0, err
	}
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return 0, status.Signal(), nil
	}
	return state.ExitCode(), 0, nil
}
