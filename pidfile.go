//go:build unix

package daemonize

// The pidfile: open, check, lock, write, remove.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A daemon has two files. NAME.pid is for exclusion: the daemon holds an
// exclusive flock(2) lock on it for life, so a second daemon cannot start, and
// BSD's pidfile(3) sees it. NAME.lock, the companion, is for identity: the daemon
// holds a POSIX record lock on it for life, see companion.go. The kernel releases
// both locks whatever way the daemon ends. So a file that nobody has locked is
// stale.
//
// A start takes a shared lock on NAME.pid first. If that fails, a daemon holds the
// exclusive one. Those who only look take the shared lock, and never keep a start
// from its lock. Under the shared lock no daemon holds the file and none can; then
// the old pid is erased. Only after that the lock becomes exclusive. So the pid of a
// locked file is never that of an earlier daemon.

// pidfile is one that this process has locked.
type pidfile struct {
	path      string
	file      *os.File // read-only: a daemon that could write could name another process for root to stop
	companion *companion
}

// acquireTimeout is how long a start waits for those who have the lock for
// moments: those who look, who remove a stale file, and who start as well.
const acquireTimeout = 100 * time.Millisecond

// lockTimeout is how long a process that is ending or tidying up may have the
// lock: moments, but on a busy machine they are long.
const lockTimeout = time.Second

// acquire creates and locks the pidfile at path and its companion, and erases
// what the pidfile says. A RunningError means that a process holds them.
func acquire(path string) (*pidfile, error) {
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	for began := time.Now(); ; time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) {
		p, err := tryAcquire(path)
		wait := time.Duration(0)
		if isTransient(err) {
			wait = acquireTimeout + lockTimeout
		} else if running := (*RunningError)(nil); errors.As(err, &running) && running.PID == 0 {
			wait = acquireTimeout
		}
		if err == nil || time.Since(began) >= wait {
			if errors.Is(err, errRaced) {
				err = fmt.Errorf("pidfile %s: others keep it locked, or replace it all the time: "+
					"see who has it open (fuser), then start again", path)
			}
			return p, err
		}
	}
}

func tryAcquire(path string) (*pidfile, error) {
	f, err := openPidfile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL)
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = openPidfile(path, os.O_RDONLY|os.O_CREATE)
	}
	if err != nil {
		return nil, err
	}
	p := &pidfile{path: path, file: f}
	if err := p.lock(); err != nil {
		if created && lockFailed(err) && p.isInPlace() {
			_ = os.Remove(path) // nobody can have it locked
		}
		f.Close()
		return nil, err
	}
	if p.companion, err = lockCompanion(path); err != nil {
		p.remove()
		return nil, err
	}
	if err := sysCloseInForks(forkLock, int(f.Fd())); err != nil {
		p.remove()
		return nil, fmt.Errorf("pthread_atfork: %w", err)
	}
	return p, nil
}

func (p *pidfile) lock() error {
	free, err := flock(p.file, unix.LOCK_SH)
	if err != nil {
		return err
	}
	if !free {
		return runningError(p.path)
	}
	// No daemon holds it, and none can while we share it. Who may read it may lock
	// it, and keep us out: an older one may have been left readable.
	if err := p.file.Chmod(0o600); err != nil {
		return fmt.Errorf("pidfile: %w", err)
	}
	if err := p.write(""); err != nil {
		return err
	}
	if free, err = flock(p.file, unix.LOCK_EX); err != nil {
		return err
	}
	if !free || !p.isInPlace() {
		return errRaced
	}
	return nil
}

// writePID names this process in the pidfile.
func (p *pidfile) writePID() error { return p.write(strconv.Itoa(os.Getpid())) }

// write replaces what the pidfile says, through a descriptor of its own that
// is closed again at once.
func (p *pidfile) write(text string) error { return rewrite(p.path, p.file, text) }

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

// remove deletes the companion and the pidfile if they are still ours, and
// releases the locks: the companion first, which only the holder of the pidfile's
// lock may make and remove. A daemon without the right to delete leaves both.
func (p *pidfile) remove() {
	p.companion.remove()
	if p.isInPlace() {
		_ = os.Remove(p.path)
	}
	_ = sysCloseInForks(forkLock, -1)
	p.file.Close()
}

// isInPlace is true while the path leads to the file that we hold.
func (p *pidfile) isInPlace() bool { return isAt(p.file, p.path) }

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

// flock takes the lock if it is free.
func flock(f *os.File, how int) (free bool, err error) {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case err == unix.EWOULDBLOCK:
			return false, nil
		case err != unix.EINTR:
			return false, fmt.Errorf("lock pidfile: %w", &fs.PathError{Op: "flock", Path: f.Name() + " (locks may not be supported there: use a local directory)", Err: err})
		}
	}
}

// lockFailed is true if flock(2) itself did not work.
func lockFailed(err error) bool {
	failed := (*fs.PathError)(nil)
	return errors.As(err, &failed) && failed.Op == "flock"
}

// isHeld is true while a daemon holds the file.
func isHeld(f *os.File) (bool, error) {
	free, err := flock(f, unix.LOCK_SH)
	if free {
		err = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
	return !free && err == nil, err
}

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

// parsePID reads a pidfile's contents: digits without a leading zero, and at
// most one newline, as other programs write it.
func parsePID(text []byte) (int, bool) {
	digits := strings.TrimSuffix(string(text), "\n")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || digits[0] == '0' {
		return 0, false
	}
	return int(n), true
}

// readPID is the pid that f names; false for anything else that it holds.
func readPID(f *os.File) (int, bool) {
	b := make([]byte, 16) // longer is garbage
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return 0, false
	}
	return parsePID(b[:n])
}
