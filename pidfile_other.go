// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && (!linux || daemonizeother)

package daemonize

// Systems without pidfds and lists of locks.

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func pidfdOpen(pid int) (int, error)                  { return -1, nil }
func pidfdSignal(pidfd int, sig syscall.Signal) error { return unix.ENOSYS }
func pidfdWait(pidfd int, deadline time.Time) bool    { return false }
func lockHolder(path string) (int, error)             { return 0, unix.ENOSYS }

// holdsPidfile cannot be proved where no record lock tells.
func holdsPidfile(pid int, file *os.File) error {
	path := file.Name()
	return errForeignHolder(path, fmt.Sprintf("is locked and names process %d, but nobody holds the record lock of %s: "+
		"that this process is the daemon cannot be proved; look at it, then end it by hand (kill %d)", pid, companionPath(path), pid))
}
