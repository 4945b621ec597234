// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && (!linux || daemonizeother)

package daemonize

// What os_linux.go has, on other systems. Linux compiles it with the tag daemonizeother,
// so that the tests can run it.

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// startedFrom is the program's file as it was when the process started.
var startedFrom = func() fs.FileInfo {
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	info, _ := os.Stat(path)
	return info
}()

// checkExecutable cannot tell.
func checkExecutable() error { return nil }

// executable is what to run again: a path, which by now may lead to another program, and
// on OpenBSD may be what a search of PATH finds.
func executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err == nil && (startedFrom == nil || !os.SameFile(info, startedFrom)) {
		err = fmt.Errorf("%s was replaced since this program started: start the new one", path)
	}
	return path, err
}

// isLocked: these systems do not tell.
func isLocked(int) bool { return false }

// sharesPort: for these systems that is not known.
func sharesPort(int) bool { return true }

func pathOf(int) string { return "" }

// isRunning: these systems tell only who waits for good. What the child waits for has the report.
func isRunning(_ *os.Process, report *os.File) bool { return isOpen(report) }

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

// isNull is true for a character device that has nothing to read. Its numbers differ from
// system to system, and on FreeBSD from boot to boot. /dev/zero, a disk and a terminal,
// which what the daemon prints would reach, have something, or say EAGAIN or EIO.
func isNull(fd int, st *unix.Stat_t) bool {
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return false
	}
	n, err := unix.Read(fd, make([]byte, 1))
	return n == 0 && err == nil
}

func dup2(from, to int) error { return unix.Dup2(from, to) }

// secureMode is true in a set-user-ID or set-group-ID program.
func secureMode() bool { return setUserID() }

// peerPID is the process that made the other end of a socket, false if it is not to be
// known. FreeBSD, OpenBSD, NetBSD and illumos tell the build with cgo.
func peerPID(fd int) (int, bool) {
	if runtime.GOOS != "darwin" {
		return 0, false
	}
	const solLocal, localPeerPID = 0, 2 // unix(4): the last process that used the other end
	pid, err := unix.GetsockoptInt(fd, solLocal, localPeerPID)
	return pid, err == nil
}

// isSystemRun is true for macOS's own /var/run, which belongs to root and is writable by the
// group daemon. Whoever is in that group may remove and rename files there, but a
// daemon's record-lock file names the pidfile that it belongs to: one daemon's cannot pass
// for another's. Linux: for the tests.
func isSystemRun(dir string, st *syscall.Stat_t) bool {
	own := map[string]string{"darwin": "/private/var/run", "linux": "/run"}[runtime.GOOS]
	path, err := filepath.EvalSymlinks(dir)
	return err == nil && path == own && st.Uid == 0 && st.Gid == 1 && st.Mode&0o7777 == 0o775
}

// monotonic: only systemd asks for it.
func monotonic() []string { return nil }

// asUser: what a thread is cannot be changed alone here, and the whole process must
// not be.
func asUser(uid int, f func() error) error {
	return fmt.Errorf("the files belong to uid %d: on this system only that user may do it: %w", uid, syscall.EPERM)
}
