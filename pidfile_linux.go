// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother

package daemonize

// What Linux knows of processes and locks: pidfds, /proc/PID/fdinfo, /proc/locks.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pidfdOpen is pidfd_open(2); -1 without an error where there is none: Linux
// before 5.3, or a seccomp filter that refuses it.
func pidfdOpen(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch err {
	case nil:
		return fd, nil
	case unix.ENOSYS, unix.EPERM, unix.EACCES:
		return -1, nil
	}
	return -1, os.NewSyscallError("pidfd_open", err)
}

func pidfdSignal(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

// pidfdWait is true once the process has ended.
func pidfdWait(pidfd int, deadline time.Time) bool {
	for {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int((left+time.Millisecond-1)/time.Millisecond))
		if n > 0 {
			return true
		}
		if err != unix.EINTR {
			return false
		}
	}
}

// findLock returns the pid and the file of a lock that /proc/locks lists, or, behind
// "lock:", proc_pid_fdinfo(5): "1: FLOCK  ADVISORY  WRITE 640 00:19:1234 0 EOF".
// The file "" is any; the pid "" means that no such lock is listed.
func findLock(text []byte, kind, mode, file string) (pid, name string) {
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(strings.TrimPrefix(line, "lock:"))
		if len(f) > 5 && f[1] == kind && f[3] == mode && (file == "" || f[5] == file) {
			return f[4], f[5]
		}
	}
	return "", ""
}

// holdsPidfile proves, where no record lock tells, that the process has the
// exclusive flock(2) lock on the file: one of its descriptors is listed with that
// lock in proc_pid_fdinfo(5). It looks at nothing else of those descriptors: stat(2)
// of another process's file asks its file system, which may be dead.
func holdsPidfile(pid int, file *os.File) error {
	path := file.Name()
	name, err := kernelName(file)
	if err != nil {
		return err
	}
	dir := fmt.Sprintf("/proc/%d/fdinfo/", pid)
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		var info []byte
		if info, err = readProc(dir + e.Name()); err == nil {
			if taker, _ := findLock(info, "FLOCK", "WRITE", name); taker != "" {
				return nil
			}
		}
		if errors.Is(err, fs.ErrPermission) {
			break
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s is locked and names process %d, but nobody holds the record lock of %s: "+
			"that this process is the daemon cannot be seen (%w): look at it, then end it by hand (kill %d), "+
			"or try again with CAP_SYS_PTRACE", path, pid, companionPath(path), err, pid)
	}
	return errForeignHolder(path, fmt.Sprintf("is locked, but not by process %d here, which it names: "+
		"a daemon of another container holds it, a child that the daemon left, or somebody else who may read it", pid))
}

// kernelName is what the kernel calls the file in lists of locks, such as
// "00:19:1234". Over btrfs and overlayfs stat(2) returns another device number. So it
// takes a record lock for a moment, and reads what that is listed as.
func kernelName(file *os.File) (string, error) {
	set := func(kind int16) error {
		if err := recordLock(file, syscall.F_SETLK, &syscall.Flock_t{Type: kind}); err != nil {
			return noRecordLocks(file, err)
		}
		return nil
	}
	if err := set(syscall.F_RDLCK); err != nil {
		return "", err
	}
	info, err := readProc(fmt.Sprintf("/proc/self/fdinfo/%d", file.Fd()))
	if err = errors.Join(err, set(syscall.F_UNLCK)); err != nil {
		return "", fmt.Errorf("cannot see who holds %s: %w", file.Name(), err)
	}
	_, name := findLock(info, "POSIX", "READ", "")
	if name == "" {
		return "", fmt.Errorf("cannot see who holds %s: the kernel lists no locks in /proc/self/fdinfo", file.Name())
	}
	return name, nil
}

// lockHolder is the pid that /proc/locks has for the daemon whose pidfile is at
// path, for who may not open it: of the record lock on the companion, else of
// the lock on the pidfile. 0 is none.
func lockHolder(path string) (int, error) {
	text, err := readProc("/proc/locks")
	if err != nil {
		return 0, err
	}
	find := func(path, kind, mode string) (int, error) {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return 0, err
		}
		pid, _ := findLock(text, kind, mode, fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino))
		if pid == "" {
			return 0, nil
		}
		return strconv.Atoi(pid)
	}
	if pid, err := find(companionPath(path), "POSIX", "READ"); err == nil && pid > 0 {
		return pid, nil
	}
	pid, err := find(path, "FLOCK", "WRITE")
	if pid != 0 || err != nil {
		return pid, err
	}
	var system unix.Statfs_t
	if err := unix.Statfs(path, &system); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	switch uint32(system.Type) {
	case unix.TMPFS_MAGIC, unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC:
		return 0, nil
	}
	return 0, unix.ENOTSUP // its device number may be another one than stat(2) tells
}
