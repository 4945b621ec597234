//go:build unix && !linux && !(cgo && !daemonizego)

package daemonize

// What the pure-Go stages of a start need of other systems than Linux.

import "golang.org/x/sys/unix"

// peerIs is true if fd is a socket at all: these systems do not tell whose.
func peerIs(fd, _ int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil
}

// nameProcess: the copy was run by its own path.
func nameProcess() {}

// leaveSessionKeyring: there are none.
func leaveSessionKeyring() {}

// cleanSignals cannot, without libc: what the launcher's parent ignored or
// blocked stays so.
func cleanSignals() (release func()) { return func() {} }
