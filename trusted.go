// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

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

// trustedFile is open, and a regular file that no third party can have put there or write to.
type trustedFile struct {
	*os.File
	info fs.FileInfo // when it was opened
}

// openTrusted opens nothing else.
func openTrusted(path string, flags int) (*trustedFile, error) {
	// A look before: opening a device may do something, and its name is the
	// better message. What counts is the look after.
	if flags&os.O_EXCL == 0 {
		if info, err := os.Lstat(path); err == nil {
			if err := checkTrusted(path, info); err != nil {
				return nil, err
			}
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
		err = checkTrusted(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &trustedFile{f, info}, nil
}

// owner is the uid that the file belongs to.
func (f *trustedFile) owner() int { return ownerOf(f.info) }

// isInPlace is true while the path leads to the file.
func (f *trustedFile) isInPlace() bool { return f.isAt(f.Name()) }

func (f *trustedFile) isAt(path string) bool {
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(now, f.info)
}

// makePrivate is for a file that may have been there before: who may read it may lock it.
func (f *trustedFile) makePrivate() error {
	if f.info.Mode().Perm() == 0o600 {
		return nil
	}
	if err := f.Chmod(0o600); err != nil {
		return fmt.Errorf("%s: %w", fileKind(f.Name()), err)
	}
	return nil
}

// rewrite replaces the contents, through a descriptor of its own that is closed again at
// once. The file must be in place.
func (f *trustedFile) rewrite(text string) error {
	path := f.Name()
	w, err := openTrusted(path, os.O_WRONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return errRaced
	}
	if err != nil {
		return err
	}
	if !os.SameFile(w.info, f.info) {
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

// remove deletes the file if it is in place. Its locks stay until it is closed.
func (f *trustedFile) remove() (removed bool) {
	return f.isInPlace() && os.Remove(f.Name()) == nil
}

// removeIf removes the trusted file at path if may says so.
func removeIf(path string, may func(*trustedFile) bool) {
	f, err := openTrusted(path, os.O_RDONLY)
	if err != nil {
		return
	}
	defer f.Close()
	if may(f) {
		f.remove()
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

// checkTrusted refuses what is no file of ours, by the name of what it is.
// Root may also look at what a user has in a directory of his own, where no third party
// can write: see holder.signal for what root does with it.
func checkTrusted(path string, info fs.FileInfo) error {
	owner := 0
	if uid := ownerOf(info); uid != 0 {
		if owner = os.Geteuid(); owner == 0 {
			dir, err := os.Stat(filepath.Dir(path))
			if err == nil && ownerOf(dir) == uid && dir.Mode()&0o022 == 0 {
				owner = uid
			}
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
