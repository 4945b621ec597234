// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && (!linux || daemonizeother) && !(cgo && !daemonizego)

package daemonize

// What the pure-Go stages of a start need of other systems than Linux.

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerIs is true if fd is a socket and pid made the other end, as far as the system tells.
func peerIs(fd, pid int) bool {
	if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return false
	}
	peer, known := peerPID(fd)
	return !known || peer == pid
}

// nameProcess: the copy was run by its own path.
func nameProcess() {}

// leaveSessionKeyring: there are none.
func leaveSessionKeyring() {}

// cleanSignals cannot, without libc: what the launcher's parent ignored or
// blocked stays so.
func cleanSignals() (release func()) { return func() {} }

// inheritNothing has exec close what the launcher had open, and Go has not.
// closeInherited closes it in this process, once the daemon is there.
func inheritNothing() (closeInherited func(), err error) {
	fds, err := ownDescriptors()
	if err != nil {
		return nil, err
	}
	fds = slices.DeleteFunc(fds, func(fd int) bool {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err != nil || flags&unix.FD_CLOEXEC != 0
	})
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}, nil
}

// ownDescriptors lists those of this process but the standard ones. A limit may be a
// billion or unlimited: it does not tell how many there are.
func ownDescriptors() ([]int, error) {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} { // Solaris and illumos, macOS
		if fds, all := listedDescriptors(dir); all {
			return fds, nil
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, os.NewSyscallError("getrlimit", err)
	}
	const most = 1 << 24 // a quarter of a second
	if uint64(limit.Cur) > most {
		return nil, fmt.Errorf("this system does not list descriptors, and the limit of %d is too high "+
			"to try them all: ulimit -n %d", uint64(limit.Cur), most)
	}
	return polledDescriptors(int(limit.Cur))
}

// polledDescriptors tries all below the limit: poll(2) says of many at once which are none.
func polledDescriptors(limit int) (fds []int, err error) {
	polls := make([]unix.PollFd, min(limit, 1024)) // FD_SETSIZE: no system takes less
	for first := 3; first < limit; first += len(polls) {
		for i := range polls {
			polls[i] = unix.PollFd{Fd: int32(first + i)}
		}
		for err = unix.EINTR; err == unix.EINTR; {
			_, err = unix.Poll(polls, 0)
		}
		if err != nil {
			return nil, os.NewSyscallError("poll", err)
		}
		for _, p := range polls {
			if p.Revents&unix.POLLNVAL == 0 {
				fds = append(fds, int(p.Fd))
			}
		}
	}
	return fds, nil
}

// listedDescriptors are those that the directory lists. all is false if there are
// others: on most BSDs /dev/fd has a fixed number of names.
func listedDescriptors(dir string) (fds []int, all bool) {
	probe, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		return nil, false
	}
	defer unix.Close(probe)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, false
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		switch {
		case err != nil || fd <= 2:
		case fd == probe:
			all = true
		default:
			fds = append(fds, fd)
		}
	}
	return fds, all
}

// endOf waits for the daemon's end and tells its exit code or the signal.
func endOf(daemon int) (code int, signal syscall.Signal, err error) {
	process, err := os.FindProcess(daemon)
	if err != nil {
		return 0, 0, err
	}
	state, err := process.Wait()
	if err != nil {
		return 0, 0, err
	}
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return 0, status.Signal(), nil
	}
	return state.ExitCode(), 0, nil
}
