package daemonize

// What Linux has of its own: /proc/self/exe, close_range(2), AT_SECURE.

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

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

// ownDescriptors lists those of this process but the standard ones.
func ownDescriptors() ([]int, error) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, e := range names {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// closeOnExec marks the descriptors, and others that came meanwhile.
func closeOnExec(fds []int) {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	for _, fd := range fds { // Linux before 5.11, or a seccomp filter
		unix.CloseOnExec(fd)
	}
}

// isLocked is true if this process holds a lock on what fd is open on: see proc(5)
// on fdinfo.
func isLocked(fd int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	return bytes.Contains(text, []byte("\nlock:"))
}

// pathOf is what the descriptor was opened as.
func pathOf(fd int) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return path
}

// isRunning is true as long as our child has not ended.
func isRunning(child *os.Process) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, child.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == 0
}

func socketpair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

// unixSocket makes a socket of unix(7), close on exec.
func unixSocket(kind int) (int, error) {
	return unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
}

// isNull is true for the device that /dev/null must be.
func isNull(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == unix.Mkdev(1, 3)
}

// dup2 is dup2(2), which newer architectures lack.
func dup2(from, to int) error {
	if from == to {
		return nil
	}
	return unix.Dup3(from, to, 0)
}

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
