// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// NAME.lock, the companion of the pidfile: the record lock that names the daemon.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A flock(2) lock belongs to an open file: whoever inherits or receives the
// descriptor holds it, too, and the kernel does not say who that is. A record lock
// of fcntl(2) belongs to a process, is not inherited by fork(2) and cannot be handed
// on, and F_GETLK answers with the pid of its holder: to root without any
// capability, without /proc, on every Unix. So it proves who the daemon is.
//
// It has three traps. The lock goes when its process closes any descriptor of the
// file: so the companion is a file of its own, which nobody else has a reason to
// open. F_GETLK never tells a process of its own lock: so the process remembers it.
// On the BSDs and macOS flock(2) and record locks of one process on one file
// collide: so the pidfile is not the place for it.
//
// The companion's line is the daemon's pid and the path of its pidfile. A file that
// was renamed from another daemon's names another path and proves nothing. A process
// that a daemon tricked into locking the file is not the one that the line names.

// companion is one that this process has locked.
type companion struct{ *trustedFile } // read-only, as the pidfile

// ours are the companions that this process holds.
var ours struct {
	sync.Mutex
	files map[string]*trustedFile
}

func companionPath(pidfile string) string { return strings.TrimSuffix(pidfile, ".pid") + ".lock" }

// lockCompanion makes, writes and locks the companion of the pidfile, whose
// exclusive lock we hold. A RunningError: a daemon holds the companion, whose
// pidfile somebody has removed.
func lockCompanion(pidfile string) (*companion, error) {
	path := companionPath(pidfile)
	if holdsCompanion(path) {
		return nil, &RunningError{pidfile, os.Getpid()}
	}
	f, err := openTrusted(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL)
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = openTrusted(path, os.O_RDONLY)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errRaced
	}
	if err != nil {
		return nil, err
	}
	c := &companion{f}
	err = c.lock(pidfile)
	// A daemon that is ending has perhaps released the pidfile, and not this yet.
	for began := time.Now(); isRunningError(err) && time.Since(began) < acquireTimeout; {
		time.Sleep(time.Millisecond)
		err = c.lock(pidfile)
	}
	if err != nil {
		if created && !isTransient(err) {
			f.remove()
		}
		f.Close()
		return nil, err
	}
	ours.Lock()
	defer ours.Unlock()
	if ours.files == nil {
		ours.files = map[string]*trustedFile{}
	}
	ours.files[path] = f
	return c, nil
}

func (c *companion) lock(pidfile string) error {
	switch pid, err := recordLockHolder(c.File); {
	case err != nil:
		return err
	case pid != 0:
		return c.heldBy(pid, pidfile)
	}
	if err := c.makePrivate(); err != nil {
		return err
	}
	// Before the lock: the lock would go with the writing descriptor.
	line := fmt.Sprintf("%d %s\n", os.Getpid(), pidfile)
	if err := c.rewrite(line); err != nil {
		return err
	}
	// A read lock, which a read-only descriptor allows: with one that could write, a
	// daemon that has dropped its privileges could change the line.
	lock := syscall.Flock_t{Type: syscall.F_RDLCK}
	switch err := recordLock(c.File, syscall.F_SETLK, &lock); err {
	case nil:
	case syscall.EAGAIN, syscall.EACCES:
		return errRaced
	default:
		return noRecordLocks(c.File, err)
	}
	// Two starts can come here at once if somebody removed the pidfile of one. The
	// later of the two sees the lock of the other; perhaps both do, and try again.
	if pid, err := recordLockHolder(c.File); err != nil || pid != 0 {
		return errors.Join(err, errRaced)
	}
	if !c.isInPlace() {
		return errRaced
	}
	return nil
}

// heldBy is why we cannot have the companion.
func (c *companion) heldBy(pid int, pidfile string) error {
	switch line := readCompanion(c.File); {
	case pid < 0:
		return errOtherNamespace(c.Name())
	case !line.names(pidfile, 0): // we may write there: it is ours or root's
		return &configError{fmt.Errorf("lock file %s is held by process %d, for the pidfile %.200q: "+
			"somebody renamed it; stop that daemon, then start again", c.Name(), pid, line.pidfile)}
	}
	return &RunningError{pidfile, pid}
}

// remove deletes the file, and releases the lock.
func (c *companion) remove() {
	if c == nil {
		return
	}
	c.trustedFile.remove()
	ours.Lock()
	delete(ours.files, c.Name())
	ours.Unlock()
	c.Close()
}

// holdsCompanion is true if this process holds the companion at path. It opens
// nothing: closing it again would release the lock.
func holdsCompanion(path string) bool {
	ours.Lock()
	defer ours.Unlock()
	for _, f := range ours.files {
		if f.isAt(path) {
			return true
		}
	}
	return false
}

// recordLockHolder is the pid of the process that has a record lock on the file:
// 0 for none, -1 for one that has no pid in this PID namespace. Our own lock does
// not count.
func recordLockHolder(f *os.File) (int, error) {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := recordLock(f, syscall.F_GETLK, &lock); err != nil {
		return 0, noRecordLocks(f, err)
	}
	switch {
	case lock.Type == syscall.F_UNLCK:
		return 0, nil
	case lock.Pid <= 0: // 0 across PID namespaces, -1 for an open file description's lock
		return -1, nil
	}
	return int(lock.Pid), nil
}

// recordLock is fcntl(2), again where a signal comes first: on NFS even F_SETLK and F_GETLK wait.
func recordLock(f *os.File, command int, lock *syscall.Flock_t) (err error) {
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.FcntlFlock(f.Fd(), command, lock)
	}
	return err
}

func noRecordLocks(f *os.File, err error) error {
	return fmt.Errorf("lock file: %w", &fs.PathError{
		Op: "fcntl", Path: f.Name() + " (locks may not be supported there: use a local directory)", Err: err})
}

// companionLine is what a companion says: whose it is, and for which pidfile.
type companionLine struct {
	pid     int
	pidfile string
}

// readCompanion reads the line, which is written before the lock is taken and
// never after. Anything else names nobody.
func readCompanion(f *os.File) companionLine {
	b := make([]byte, 4096+16) // PATH_MAX and a pid
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return companionLine{}
	}
	text, _ := strings.CutSuffix(string(b[:n]), "\n")
	digits, path, _ := strings.Cut(text, " ")
	pid, ok := parsePID([]byte(digits))
	if !ok {
		return companionLine{}
	}
	return companionLine{pid, path}
}

// names tells whether the line, of a file of that owner, names the pidfile at path,
// perhaps by another name of its directory: /run and /var/run are often one. A path
// that another user has written is not looked at: its file system may hang.
func (l companionLine) names(path string, owner int) bool {
	if l.pidfile == path {
		return true
	}
	if filepath.Base(l.pidfile) != filepath.Base(path) || owner != 0 && owner != os.Geteuid() {
		return false
	}
	a, errA := os.Stat(filepath.Dir(l.pidfile))
	b, errB := os.Stat(filepath.Dir(path))
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// lookAtCompanion returns the pid that holds the companion of the pidfile at path,
// and the uid that the file belongs to. The pid is 0 if nobody does, or somebody for
// another pidfile.
func lookAtCompanion(pidfile string) (pid, owner int, err error) {
	path := companionPath(pidfile)
	if holdsCompanion(path) {
		return os.Getpid(), os.Geteuid(), nil
	}
	f, err := openTrusted(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	pid, err = recordLockHolder(f.File)
	if err != nil || pid == 0 {
		return 0, 0, err
	}
	line := readCompanion(f.File)
	switch {
	case pid < 0:
		return 0, 0, errOtherNamespace(path)
	case !line.names(pidfile, f.owner()):
		return 0, 0, nil
	case line.pid != pid:
		return 0, 0, errForeignHolder(path, fmt.Sprintf("is locked by process %d, but names process %d: "+
			"a daemon of another container, or a process that locks whatever it is told to", pid, line.pid))
	}
	return pid, f.owner(), nil
}
