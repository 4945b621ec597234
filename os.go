//go:build unix

package daemonize

// Descriptors, alike on every system; os_linux.go and os_other.go have what differs.

import (
	"os"

	"golang.org/x/sys/unix"
)

// setUserID is true in a set-user-ID or set-group-ID program.
func setUserID() bool { return os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() }

// pollable makes a socket a file whose calls Close interrupts, and which has deadlines.
func pollable(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, true) // else they need a thread, no more
	return os.NewFile(uintptr(fd), name)
}
