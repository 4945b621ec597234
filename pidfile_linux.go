//go:build linux && !daemonizeother

package daemonize

// What Linux knows of locks and processes: pidfds, /proc/locks, /proc/PID/fdinfo.

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

// flockOfFD is the procLocksKey of what the descriptor of the process has locked with
// the exclusive flock(2) lock of a daemon, else "": proc_pid_fdinfo(5) lists a
// descriptor's locks, and the flags that tell those of tidy.
func flockOfFD(pid int, fd string) (string, error) {
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(info)) {
		if octal, is := strings.CutPrefix(line, "flags:\t"); is {
			if flags, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 32); err == nil && flags&unix.O_APPEND != 0 {
				return "", nil
			}
		}
		// "lock:	1: FLOCK  ADVISORY  WRITE 640 00:19:1234 0 EOF"
		if f := strings.Fields(line); len(f) > 6 && f[0] == "lock:" && f[2] == "FLOCK" && f[4] == "WRITE" {
			return f[6], nil
		}
	}
	return "", nil
}

// holds is true if the process that is pid here has file open and the
// exclusive lock on it. A pidfile that is shared with another container may name a
// pid of that one's. Without /proc there is no telling, and it is true.
func holdsLock(pid int, file *os.File) (bool, error) {
	ours, err := file.Stat()
	if err != nil {
		return false, err
	}
	fds := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(fds)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := os.Stat("/proc/self")
		return errors.Is(err, fs.ErrNotExist), nil
	}
	denied := err
	for _, e := range entries {
		info, err := os.Stat(fds + e.Name())
		if err == nil && os.SameFile(info, ours) {
			var lock string
			if lock, err = flockOfFD(pid, e.Name()); lock != "" {
				return true, nil
			}
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
	}
	if errors.Is(denied, fs.ErrPermission) {
		return holdsLockUnseen(pid, ours, denied)
	}
	return false, denied
}

// holdsLockUnseen is holds where we may not look into the process, as root may not
// without CAP_SYS_PTRACE, in containers above all. The kernel's list of locks names
// who took the lock. That it is this process, and not a later one of that pid
// (a child of the daemon may have kept the lock), shows by its start, which
// must be before the pidfile was written.
func holdsLockUnseen(pid int, file fs.FileInfo, denied error) (bool, error) {
	locks, err := writeLocks()
	if err != nil {
		return false, err
	}
	by, listed := locks[procLocksKey(file)]
	if !listed { // not under that device number
		return false, fmt.Errorf("%w; is CAP_SYS_PTRACE missing?", denied)
	}
	if by != pid {
		return false, nil
	}
	started, err := startOf(pid)
	if err == nil && started.After(file.ModTime().Add(100*time.Millisecond)) {
		err = fmt.Errorf("%w; it was started after the pidfile was written, or the clock was set since: CAP_SYS_PTRACE would tell", denied)
	}
	return err == nil, err
}

// startOf is when the process started, to some hundredths of a second.
func startOf(pid int) (time.Time, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}, err
	}
	const start, hertz = 22 - 3, 100 // of the fields behind the name; see proc_pid_stat(5) and time(7)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= start {
		return time.Time{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	ticks, err := strconv.ParseInt(fields[start], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Time{}, os.NewSyscallError("clock_gettime", err)
	}
	return time.Now().Add(time.Duration(ticks)*(time.Second/hertz) - time.Duration(now.Nano())), nil
}

// procLocksKey is how /proc/locks names a file, "MAJOR:MINOR:INODE", unless it is on
// a file system whose device number stat(2) does not tell, as btrfs and
// overlayfs.
func procLocksKey(file fs.FileInfo) string {
	return fmt.Sprintf("%s%d", deviceKey(file), file.Sys().(*syscall.Stat_t).Ino)
}

// deviceKey is the beginning of a procLocksKey.
func deviceKey(file fs.FileInfo) string {
	dev := uint64(file.Sys().(*syscall.Stat_t).Dev)
	return fmt.Sprintf("%02x:%02x:", unix.Major(dev), unix.Minor(dev))
}

// writeLocks lists the pids that have exclusive flock(2) locks, by the file's
// procLocksKey.
func writeLocks() (map[string]int, error) {
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil, err
	}
	locks := map[string]int{}
	for line := range strings.Lines(string(text)) {
		// "1: FLOCK  ADVISORY  WRITE 640 00:19:1234 0 EOF"
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			locks[f[5]] = pid
		}
	}
	return locks, nil
}

// lockHolder is the pid that has the exclusive lock on the file at path, 0 for
// none. Where there may be no procLocksKey, it says nothing.
func lockHolder(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	locks, err := writeLocks()
	if err != nil {
		return 0, err
	}
	pid := locks[procLocksKey(info)]
	var system unix.Statfs_t
	if err := unix.Statfs(path, &system); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	if magic := uint32(system.Type); pid == 0 && magic != unix.TMPFS_MAGIC && magic != unix.EXT4_SUPER_MAGIC && magic != unix.XFS_SUPER_MAGIC {
		return 0, unix.ENOTSUP
	}
	return pid, nil
}

// claim binds an abstract socket (unix(7)) that is named after the pidfile, and
// returns it. The daemon keeps it for life. It is a hint, no more: whoever
// can bind it knows that no daemon in this network namespace has the
// pidfile, or had it before somebody removed it, and is spared a look into
// /proc/locks, which takes the kernel up to 17 ms. -1: it is taken, perhaps by
// somebody else.
func claim(path string) int {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return -1
	}
	fd, err := unixSocket(unix.SOCK_STREAM)
	if err != nil {
		return -1
	}
	name := fnv.New128a() // a name may be longer than an address
	_, _ = io.WriteString(name, filepath.Join(dir, filepath.Base(path)))
	if unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("@daemonize/%x", name.Sum(nil))}) != nil {
		unix.Close(fd)
		return -1
	}
	return fd
}

// deletedHolder is the pid of a process that holds a file which was removed
// from path, as far as we may see: 0 if there is none.
func deletedHolder(path string) int {
	if fd := claim(path); fd >= 0 {
		unix.Close(fd)
		return 0
	}
	return findDeletedHolder(path)
}

func findDeletedHolder(path string) int {
	locks, err := writeLocks()
	if err != nil || len(locks) == 0 {
		return 0
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return 0
	}
	parent, err := os.Stat(dir)
	if err != nil {
		return 0
	}
	was := filepath.Join(dir, filepath.Base(path)) + " (deleted)"
	// Anyone may have the claim, locks and descriptors, as many as they like.
	deadline := time.Now().Add(lockTimeout)
	for _, pid := range lockers(locks) {
		fds := fmt.Sprintf("/proc/%d/fd/", pid)
		entries, err := os.ReadDir(fds)
		if err != nil {
			continue // not ours to look at
		}
		for _, e := range entries {
			if to, err := os.Readlink(fds + e.Name()); err == nil && to == was && wasPidfile(pid, e.Name(), parent) {
				return pid
			}
			if time.Now().After(deadline) {
				return 0
			}
		}
	}
	return 0
}

// lockers are the processes that have locks, each once.
func lockers(locks map[string]int) []int {
	return slices.Compact(slices.Sorted(maps.Values(locks)))
}

// wasPidfile is true if that descriptor of the process is a removed pidfile
// from the directory, which it has locked and which names it. Anyone can have
// that path in a mount namespace of their own, with a file of root's there that
// they may read, or only name (O_PATH): they cannot lock what only root may read.
// Another container, which may share the directory or the name of the claim, has
// other pids.
func wasPidfile(pid int, fd string, directory fs.FileInfo) bool {
	// Held fast: the process may put one file after the other there while we look.
	pin, err := unix.Open(fmt.Sprintf("/proc/%d/fd/%s", pid, fd), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(pin)
	pinned := fmt.Sprintf("/proc/self/fd/%d", pin)
	info, err := os.Stat(pinned)
	if err != nil || info.Mode().Perm()&0o077 != 0 || info.Sys().(*syscall.Stat_t).Nlink != 0 || checkPidfile(pinned, info) != nil {
		return false
	}
	f, err := os.Open(pinned) // a regular file, as we know
	if err != nil {
		return false
	}
	defer f.Close()
	if named, _ := readPID(f); named != pid {
		return false
	}
	if held, err := isHeld(f); err != nil || !held {
		return false
	}
	lock, _ := flockOfFD(pid, fd)
	// Over overlayfs stat(2) may tell another device of a file than of its directory.
	same := info.Sys().(*syscall.Stat_t).Dev == directory.Sys().(*syscall.Stat_t).Dev
	return lock != "" && (same || strings.HasPrefix(lock, deviceKey(directory)))
}
