// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother

package daemonize

// What Linux has of its own: /proc/self/exe, close_range(2), AT_SECURE.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
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

// checkExecutable refuses to run another program than this one: /proc/self/exe is the
// dynamic loader where that was given our path, and a host program where this is a plugin.
// What /proc does not tell proves nothing.
func checkExecutable() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := readProc("/proc/self/maps")
	if err != nil {
		return nil
	}
	here := uint64(reflect.ValueOf(checkExecutable).Pointer())
	for line := range strings.Lines(string(maps)) {
		from, rest, _ := strings.Cut(line, "-")
		to, rest, _ := strings.Cut(rest, " ")
		start, _ := strconv.ParseUint(from, 16, 64)
		end, _ := strconv.ParseUint(to, 16, 64)
		if here < start || here >= end {
			continue
		}
		_, path, ok := strings.Cut(strings.TrimSuffix(rest, "\n"), "/")
		path = "/" + path
		// A packed program runs from memory, and maps escapes a newline.
		if !ok || path == exe || strings.HasPrefix(path, "/memfd:") || strings.Contains(path, "\\") {
			return nil
		}
		return fmt.Errorf("daemonize: start runs %s again, which /proc/self/exe names, but this code is in %s: "+
			"start the program by its own path, not through the dynamic loader ld.so(8); a plugin can only use the verb run", exe, path)
	}
	return nil
}

// readProc is os.ReadFile for proc(5), with a third of its system calls.
func readProc(path string) ([]byte, error) {
	fd, err := -1, error(unix.EINTR)
	for err == unix.EINTR {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for text := make([]byte, 0, 4<<10); ; text = slices.Grow(text, 4<<10) {
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return text, nil
		default:
			text = text[:len(text)+n]
		}
	}
}

// isLocked is true if this process holds a lock on what fd is open on: see proc(5)
// on fdinfo.
func isLocked(fd int) bool {
	text, _ := readProc(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	return bytes.Contains(text, []byte("\nlock:"))
}

// sharesPort is true where others may listen on the socket's address as well.
func sharesPort(fd int) bool {
	shared, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	return err != nil || shared != 0
}

// pathOf is what the descriptor was opened as.
func pathOf(fd int) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return path
}

// isRunning is true as long as our child has not ended.
func isRunning(child *os.Process, _ *os.File) bool {
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

// monotonic is the assignment that goes with RELOADING=1.
func monotonic() []string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return nil
	}
	return []string{fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)}
}

// asUser calls f as that user, in this thread alone, which is what unix.Setresuid
// changes. The kernel then decides whom the user may signal.
func asUser(uid int, f func() error) error {
	runtime.LockOSThread()
	if err := unix.Setresuid(uid, uid, 0); err != nil {
		runtime.UnlockOSThread()
		return os.NewSyscallError("setresuid", err)
	}
	err := f()
	if unix.Setresuid(0, 0, 0) == nil {
		runtime.UnlockOSThread() // else the thread ends with the goroutine
	}
	return err
}
