//go:build unix && !linux

package daemonize

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// These systems have no pidfd, and no list of locks to read.

func pidfdOpen(pid int) (int, error)                  { return -1, nil }
func pidfdSignal(pidfd int, sig syscall.Signal) error { return unix.ENOSYS }
func pidfdWait(pidfd int, deadline time.Time) bool    { return false }
func lockHolder(info fs.FileInfo) (int, error)        { return 0, unix.ENOSYS }
func deletedHolder(path string) int                   { return 0 }
