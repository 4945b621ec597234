//go:build linux && !daemonizeother

package daemonize

// What Linux has of its own: /proc/self/exe, close_range(2), AT_SECURE.

import (
	"errors"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// executable is what to run again: the file that we run, even if it has been
// replaced, which its path would not be.
func executable() (string, error) {
	if _, err := os.Stat("/proc/self/exe"); err != nil && !errors.Is(err, unix.EACCES) {
		return "", err
	}
	return "/proc/self/exe", nil
}

// setCloseOnExec marks every descriptor but the standard ones.
func setCloseOnExec() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	// Linux before 5.11, or a seccomp filter.
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range fds {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

func socketpair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

// unixSocket makes a socket of unix(7), close on exec.
func unixSocket(kind int) (int, error) {
	return unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
}

// isNull is true for the device that /dev/null must be.
func isNull(_ int, st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == unix.Mkdev(1, 3)
}

// dup2 is dup2(2), which newer architectures lack.
func dup2(from, to int) error {
	if from == to {
		return nil
	}
	return unix.Dup3(from, to, 0)
}

// isSystemRun: the system's own /run is root's alone.
func isSystemRun(string, *syscall.Stat_t) bool { return false }

// secureMode is true in a set-user-ID, set-group-ID or file-capability program.
func secureMode() bool {
	const atSecure = 23
	auxv, err := unix.Auxv()
	if err != nil {
		return setUserID()
	}
	for _, entry := range auxv {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return false
}
