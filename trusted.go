// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// Files and directories that only root and one user can have made: how the pidfile, its
// companion, the crash file and the output file are opened, written and removed.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// openPidfile opens nothing but a regular file that no third party can have
// put there or write to.
func openPidfile(path string, flags int) (*os.File, error) {
	// A look before: opening a device may do something, and its name is the
	// better message. What counts is the look after.
	if info, err := os.Lstat(path); err == nil {
		if err := checkPidfile(path, info); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.ENOENT) && flags&os.O_CREATE == 0 {
		return nil, err
	}
	if errors.Is(err, fs.ErrPermission) && flags&os.O_CREATE != 0 {
		return nil, fmt.Errorf("%s: %w (start it as root, or set PidfileDirectory to a directory of yours)", fileKind(path), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fileKind(path), err)
	}
	info, err := f.Stat()
	if err == nil {
		err = checkPidfile(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// rewrite replaces the contents of the file at path, which must be that of f.
func rewrite(path string, f *os.File, text string) error {
	w, err := openPidfile(path, os.O_WRONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return errRaced
	}
	if err != nil {
		return err
	}
	if !sameFile(w, f) {
		w.Close()
		return errRaced
	}
	if err = w.Truncate(0); err == nil {
		_, err = w.WriteString(text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write %s: %w (is the file system full or read-only?)", fileKind(path), err)
	}
	return nil
}

// removeIf removes a file that passes the checks of a pidfile, if may says so.
func removeIf(path string, may func(*os.File) bool) {
	f, err := openPidfile(path, os.O_RDONLY)
	if err != nil {
		return
	}
	defer f.Close()
	if may(f) {
		_ = os.Remove(path)
	}
}

// fileKind is what messages call the file: all files of a daemon are opened with
// the same checks.
func fileKind(path string) string {
	switch filepath.Ext(path) {
	case ".crash":
		return "crash file"
	case ".lock":
		return "lock file"
	}
	return "pidfile"
}

// checkPidfile refuses what is no pidfile of ours, by the name of what it is.
// Root may also look at what a user has in a directory of his own, where no third
// party can write: see holder.signal for what root does with it.
func checkPidfile(path string, info fs.FileInfo) error {
	owner := os.Geteuid()
	if uid := ownerOf(info); owner == 0 && uid != 0 {
		dir, err := os.Stat(filepath.Dir(path))
		if err == nil && ownerOf(dir) == uid && dir.Mode()&0o022 == 0 {
			owner = uid
		}
	}
	return checkFile(fileKind(path), path, info, owner)
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// checkFile refuses what is no file that only root and one user can have put there and
// write to.
func checkFile(kind, path string, info fs.FileInfo, owner int) error {
	refuse := func(what string) error {
		return &configError{fmt.Errorf("%s %s is %s: refused; look who put it there, then remove it", kind, path, what)}
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return refuse("a symbolic link")
	case mode.IsDir():
		return refuse("a directory")
	case mode&fs.ModeNamedPipe != 0:
		return refuse("a FIFO")
	case mode&fs.ModeSocket != 0:
		return refuse("a socket")
	case !mode.IsRegular():
		return refuse("a device")
	case mode.Perm()&0o022 != 0:
		return refuse(fmt.Sprintf("writable by others (mode %#o)", mode.Perm()))
	}
	st := info.Sys().(*syscall.Stat_t)
	switch {
	case st.Nlink > 1:
		return refuse(fmt.Sprintf("one of %d links to the same file", st.Nlink))
	case st.Uid != 0 && int(st.Uid) != owner:
		return refuse(fmt.Sprintf("owned by uid %d, neither root nor us", st.Uid))
	}
	return nil
}

// checkDirectory refuses directories in which a third party could put a
// pidfile in place of ours. It looks at this one alone: those above it are the
// administrator's.
func checkDirectory(dir string) error {
	refuse := func(format string, args ...any) error {
		return &configError{fmt.Errorf("pidfile directory %s: %w", dir, fmt.Errorf(format, args...))}
	}
	if !filepath.IsAbs(dir) {
		return refuse("not an absolute path: the daemon's working directory is /")
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, unix.ENOENT):
		return refuse("does not exist: create it, or set PidfileDirectory")
	case err != nil:
		return fmt.Errorf("pidfile directory: %w", err)
	case !info.IsDir():
		return refuse("not a directory")
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if owner != 0 && owner != os.Geteuid() {
		return refuse("owned by uid %d, neither root nor us, who could replace the pidfile: chown it", owner)
	}
	unsafe := fs.FileMode(0o002)
	if os.Geteuid() == 0 {
		unsafe = 0o022 // users' own directories are often writable by their own group
	}
	if info.Mode()&unsafe != 0 && info.Mode()&fs.ModeSticky == 0 && !isSystemRun(dir, info.Sys().(*syscall.Stat_t)) {
		return refuse("writable by others (mode %#o), who could replace the pidfile: chmod go-w, or set the sticky bit", info.Mode().Perm())
	}
	return nil
}

// isAt is true while the path leads to the file.
func isAt(f *os.File, path string) bool {
	now, err := os.Lstat(path)
	if err != nil {
		return false
	}
	ours, err := f.Stat()
	return err == nil && os.SameFile(now, ours)
}

func sameFile(a, b *os.File) bool {
	ai, err := a.Stat()
	if err != nil {
		return false
	}
	bi, err := b.Stat()
	return err == nil && os.SameFile(ai, bi)
}
