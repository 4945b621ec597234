//go:build unix && (!linux || daemonizeother)

package daemonize

// Systems without pidfds and a list of locks.

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// These systems have no pidfd, and no list of locks to read.

func pidfdOpen(pid int) (int, error)                  { return -1, nil }
func pidfdSignal(pidfd int, sig syscall.Signal) error { return unix.ENOSYS }
func pidfdWait(pidfd int, deadline time.Time) bool    { return false }
func lockHolder(path string) (int, error)             { return 0, unix.ENOSYS }
func claim(path string) int                           { return -1 }
func findDeletedHolder(path string) int               { return 0 }
func deletedHolder(path string) int                   { return 0 }

func holdsLock(pid int, file *os.File) (bool, error) { return true, nil }
