// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Clone makes a child by clone(2) itself, of which no library hears. It has copies of all
// descriptors, sleeps, and returns nowhere.
//
//go:nosplit
func Clone() int {
	pid, _, _ := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	for pid == 0 {
		_, _, _ = syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
	return int(pid)
}
