//go:build unix && !linux

package daemonize

// What os_linux.go has, on other systems.

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// executable is what to run again.
func executable() (string, error) { return os.Executable() }

// ownDescriptors lists those of this process but the standard ones.
func ownDescriptors() ([]int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, os.NewSyscallError("getrlimit", err)
	}
	var fds []int
	for fd := 3; fd < int(limit.Cur); fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// closeOnExec marks the descriptors.
func closeOnExec(fds []int) {
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
}

// isLocked: these systems do not tell.
func isLocked(int) bool { return false }

func pathOf(int) string { return "" }

// isRunning: these systems tell only who waits for good.
func isRunning(*os.Process) bool { return true }

func socketpair() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	return fds, err
}

// unixSocket makes a socket of unix(7), close on exec.
func unixSocket(kind int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// isNull is true for what may be /dev/null: numbers differ from system to system.
func isNull(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR }

func dup2(from, to int) error { return unix.Dup2(from, to) }

// secureMode is true in a set-user-ID or set-group-ID program.
func secureMode() bool { return setUserID() }
