// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother

package daemonize

// What Linux knows of processes and locks: pidfds, /proc/PID/fdinfo, /proc/locks.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
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

// asUser calls f as that user, in this thread alone, which is what unix.Setresuid
// changes. The kernel then decides whom the
// user may signal.
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

// holdsPidfile proves, where no record lock tells, that the process has the
// exclusive flock(2) lock on the file: one of its descriptors is listed with that
// lock in proc_pid_fdinfo(5). It looks at nothing else of those descriptors: stat(2)
// of another process's file asks its file system, which may be dead.
//
// A process that was started after the pidfile was written is not the daemon: it got
// the daemon's pid later, and perhaps the descriptor from one of its children.
func holdsPidfile(pid int, file *os.File) error {
	path := file.Name()
	key, err := kernelKey(file)
	if err != nil {
		return err
	}
	dir := fmt.Sprintf("/proc/%d/fdinfo/", pid)
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		var info []byte
		if info, err = os.ReadFile(dir + e.Name()); err == nil && hasFlock(string(info), key) {
			return startedBefore(pid, file)
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

// hasFlock finds "lock:	1: FLOCK  ADVISORY  WRITE 640 00:19:1234 0 EOF" in the
// text of an fdinfo file.
func hasFlock(fdinfo, key string) bool {
	for line := range strings.Lines(fdinfo) {
		f := strings.Fields(line)
		if len(f) > 6 && f[0] == "lock:" && f[2] == "FLOCK" && f[4] == "WRITE" && f[6] == key {
			return true
		}
	}
	return false
}

// kernelKey is what the kernel calls the file in lists of locks, such as
// "00:19:1234". Over btrfs and overlayfs stat(2) tells another device number. So it
// takes a record lock for a moment, and reads what that is listed as.
func kernelKey(file *os.File) (string, error) {
	lock := syscall.Flock_t{Type: syscall.F_RDLCK}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock); err != nil {
		return "", noRecordLocks(file, err)
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", file.Fd()))
	lock.Type = syscall.F_UNLCK
	if e := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock); e != nil {
		return "", noRecordLocks(file, e)
	}
	if err != nil {
		return "", fmt.Errorf("cannot see who holds %s: %w", file.Name(), err)
	}
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 6 && f[0] == "lock:" && f[2] == "POSIX" {
			return f[6], nil
		}
	}
	return "", fmt.Errorf("cannot see who holds %s: the kernel lists no locks in /proc/self/fdinfo", file.Name())
}

// startedBefore is nil if the process was started before the file was last
// written. (After the clock was set forward it errs on the side of refusing.)
func startedBefore(pid int, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	const start, hertz = 22 - 3, 100 // of the fields behind the name: proc_pid_stat(5), time(7)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	if len(fields) > start {
		ticks, err = strconv.ParseInt(fields[start], 10, 64)
	}
	var now unix.Timespec
	if err = errors.Join(err, unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)); err != nil || ticks == 0 {
		return fmt.Errorf("cannot tell since when process %d runs: %w", pid, err)
	}
	age := time.Duration(now.Nano()) - time.Duration(ticks)*(time.Second/hertz)
	const coarse = 100 * time.Millisecond // of ticks, and of file systems' times
	if age+coarse < time.Since(info.ModTime()) {
		return errForeignHolder(file.Name(), fmt.Sprintf("is locked, but process %d, which it names, "+
			"was started after it was written: a later process with the daemon's pid, or the clock was set", pid))
	}
	return nil
}

// lockHolder is the pid that /proc/locks has for the daemon whose pidfile is at
// path, for who may not open it: of the record lock on the companion, else of
// the lock on the pidfile. 0 is none.
func lockHolder(path string) (int, error) {
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, err
	}
	find := func(path, kind, mode string) (int, error) {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return 0, err
		}
		key := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
		for line := range strings.Lines(string(text)) {
			// "1: FLOCK  ADVISORY  WRITE 640 00:19:1234 0 EOF"
			if f := strings.Fields(line); len(f) > 5 && f[1] == kind && f[3] == mode && f[5] == key {
				return strconv.Atoi(f[4])
			}
		}
		return 0, nil
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
