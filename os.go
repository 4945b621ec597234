// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Descriptors, alike on every system; os_linux.go and os_other.go have what differs.

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"golang.org/x/sys/unix"
)

// setUserID is true in a set-user-ID or set-group-ID program.
func setUserID() bool { return os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() }

// checkBuildMode refuses what is not a program of Go's that can be run again up to the
// same call: its main is another's.
func checkBuildMode() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, s := range info.Settings {
		if s.Key == "-buildmode" && slices.Contains([]string{"c-shared", "c-archive", "plugin", "shared"}, s.Value) {
			return fmt.Errorf("daemonize: start runs the program again, which code built with -buildmode=%s cannot: "+
				"use the verb run under a supervisor, or build a program of its own with -buildmode=exe or pie", s.Value)
		}
	}
	return nil
}

// pollable makes a socket a file whose calls Close interrupts, and which has deadlines.
func pollable(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, true) // else they need a thread, no more
	return os.NewFile(uintptr(fd), name)
}

// unwritable is true if a directory, a file system or a quota refuses files.
func unwritable(err error) bool {
	for _, errno := range []unix.Errno{unix.ENOENT, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// isOpen is true while somebody has the other end of the socket.
func isOpen(socket *os.File) bool {
	conn, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	fds := []unix.PollFd{{Events: unix.POLLIN}}
	_ = conn.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		_, err = unix.Poll(fds, 0)
	})
	return err == nil && fds[0].Revents&unix.POLLHUP == 0
}
