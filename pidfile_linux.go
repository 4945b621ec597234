package daemonize

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// writeLocks lists the exclusive flock(2) locks of /proc/locks, as their
// holders' pids by "MAJOR:MINOR:INODE".
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

func lockKey(info fs.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
}

// lockHolder is the pid that has the exclusive lock on a file, 0 for none.
func lockHolder(info fs.FileInfo) (int, error) {
	locks, err := writeLocks()
	return locks[lockKey(info)], err
}

// deletedHolder is the pid of a process that holds a file which was removed
// from path, as far as we may see: 0 if there is none.
func deletedHolder(path string) int {
	locks, err := writeLocks()
	if err != nil || len(locks) == 0 {
		return 0
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return 0
	}
	was := filepath.Join(dir, filepath.Base(path)) + " (deleted)"
	for key, pid := range locks {
		fds := fmt.Sprintf("/proc/%d/fd/", pid)
		entries, err := os.ReadDir(fds)
		if err != nil {
			continue // not ours to look at
		}
		for _, e := range entries {
			if to, err := os.Readlink(fds + e.Name()); err != nil || to != was {
				continue
			}
			if info, err := os.Stat(fds + e.Name()); err == nil && info.Sys().(*syscall.Stat_t).Nlink == 0 && lockKey(info) == key {
				return pid
			}
		}
	}
	return 0
}
