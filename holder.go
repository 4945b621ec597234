// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Who holds the pidfile: the proof, signals, the end of a daemon.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The proof of who the daemon is: the pid that F_GETLK names for the companion,
// which must be the one that the pidfile names, if that is there. A process that is
// to be signalled is pinned by a pidfd, and then F_GETLK is asked again. Where
// nobody has locked the companion (an earlier release's daemon, BSD's pidfile(3), a
// companion that somebody removed), the flock(2) lock of the pidfile is left. On
// Linux /proc/PID/fd tells whether the process that the pidfile names has it; where
// that cannot be seen, nobody is signalled.

// evidence is what a look at the two files proved.
type evidence struct {
	state State
	pid   int // of a running daemon; 0 while it is starting: it writes its pid late
	owner int // the uid that the pidfile belongs to, or the companion where it is gone
}

// look says what the files of the daemon prove now. A transientError may pass: a
// daemon that is ending, or being replaced, has perhaps released one of its locks.
func look(path string) (evidence, error) {
	unknown := evidence{state: Unknown}
	f, err := openTrusted(path, os.O_RDONLY)
	removed := errors.Is(err, fs.ErrNotExist)
	if err != nil && !removed {
		return unknown, err
	}
	if !removed {
		defer f.Close()
	}
	locker, owner, err := lookAtCompanion(path)
	switch {
	case err != nil:
		return unknown, err
	case removed && locker == 0:
		return evidence{state: Stopped}, nil
	case removed: // under the daemon
		return evidence{Running, locker, owner}, nil
	}
	held, err := isHeld(f.File)
	if err != nil {
		return unknown, err
	}
	pid, named, err := readPID(f.File)
	switch {
	case err != nil:
		return unknown, err // it may name one
	case locker != 0 && named && pid != locker:
		return unknown, errForeignHolder(path, fmt.Sprintf("names process %d, but process %d holds %s: "+
			"look which of them is the daemon, and end it by hand", pid, locker, companionPath(path)))
	case locker == 0 && !held:
		return evidence{state: Dead}, nil
	case locker == 0 && named:
		locker, err = pid, holdsPidfile(pid, f.File)
	case held && !named:
		locker = 0
	}
	if err != nil {
		return unknown, err
	}
	return evidence{Running, locker, f.owner()}, nil
}

// untilSettled repeats what may fail for a moment, up to the deadline.
func untilSettled[T any](deadline time.Time, try func() (T, error)) (T, error) {
	for {
		result, err := try()
		if !isTransient(err) || time.Now().After(deadline) {
			return result, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// probe says what can be proved of the daemon whose pidfile is at path.
func probe(path string) (Status, error) {
	e, err := untilSettled(time.Now().Add(lockTimeout), func() (evidence, error) { return look(path) })
	denied := (*fs.PathError)(nil)
	if errors.As(err, &denied) && denied.Path == path && errors.Is(err, fs.ErrPermission) {
		return probeUnprivileged(path, err)
	}
	return Status{State: e.state, PID: e.pid}, err
}

// runningError is why a start cannot have the lock of the pidfile.
func runningError(path string) error {
	e, err := look(path)
	if err != nil {
		return err
	}
	if e.state != Running {
		return errRaced // it was released since
	}
	return &RunningError{path, e.pid}
}

// errForeignHolder is a lock whose holder is not proved to be the daemon.
func errForeignHolder(path, why string) error { return transientError(path + " " + why) }

func errOtherNamespace(path string) error {
	return errForeignHolder(path, "is locked by a process that has no pid here, such as a daemon of another container")
}

// probeUnprivileged asks the kernel's list of locks: the files are not ours to open.
func probeUnprivileged(path string, denied error) (Status, error) {
	pid, err := lockHolder(path)
	switch {
	case err != nil:
		return Status{State: Unknown}, denied
	case pid == 0:
		return Status{State: Dead}, nil
	}
	return Status{State: Running, PID: pid}, nil
}

// holder is a daemon proved to hold its files.
type holder struct {
	pid   int
	path  string // of the pidfile
	pidfd int    // -1 where there is none
	owner int    // the uid that the files belong to
}

// findHolder proves who the daemon is: it asks, takes hold of that process, and
// asks again. Its error is ErrNotRunning if there is none. A daemon that is starting
// is waited for up to the deadline.
func findHolder(path string, deadline time.Time) (*holder, error) {
	h, err := untilSettled(deadline, func() (*holder, error) { return tryHolder(path) })
	return h, explainRaced(path, err)
}

func tryHolder(path string) (*holder, error) {
	e, err := look(path)
	switch {
	case err != nil:
		return nil, err
	case e.state != Running:
		return nil, ErrNotRunning
	case e.pid == 0:
		return nil, transientError(path + " is locked, but names no process: it is starting, or another program's")
	case e.pid == 1:
		return nil, fmt.Errorf("the daemon is PID 1, the init of its container: stop the container instead")
	}
	h := &holder{pid: e.pid, path: path, pidfd: -1, owner: e.owner}
	h.pidfd, err = pidfdOpen(h.pid)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // nobody, or a thread
		err = errRaced
	}
	if err == nil {
		err = h.verify()
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// verify is nil if the daemon still is the process that was found.
func (h *holder) verify() error {
	e, err := look(h.path)
	if err == nil && e.pid != h.pid {
		return errRaced
	}
	return err
}

func (h *holder) close() {
	if h.pidfd >= 0 {
		unix.Close(h.pidfd)
	}
}

// signal sends one to the daemon. A pidfd stays with its process; without
// one, the check comes right before kill(2). ErrNotRunning: it is gone.
//
// For the files of another user root sends the signal as that user: he can have a
// process of root's, or of a third user's, lock a file of his.
func (h *holder) signal(sig syscall.Signal) error {
	send := func() error {
		switch {
		case h.pidfd >= 0:
			return pidfdSignal(h.pidfd, sig)
		case h.verify() != nil:
			return unix.ESRCH
		}
		return unix.Kill(h.pid, sig)
	}
	var err error
	if os.Geteuid() == 0 && h.owner != 0 {
		err = asUser(h.owner, send)
	} else {
		err = send()
	}
	if err == unix.ESRCH {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("cannot send %s to pid %d: %w (try as root, or as its user)", unix.SignalName(sig), h.pid, err)
	}
	return nil
}

// gone waits for the daemon's end; a zombie has ended.
func (h *holder) gone(deadline time.Time) bool {
	if h.pidfd >= 0 {
		return pidfdWait(h.pidfd, deadline)
	}
	for {
		// While it ends, it has perhaps released one of its locks: an error.
		if e, err := look(h.path); err == nil && e.pid != h.pid {
			// The locks go a moment before the process. A zombie stays longer.
			for end := time.Now().Add(200 * time.Millisecond); unix.Kill(h.pid, 0) == nil && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// killTimeout is how long a process may take to die of SIGKILL.
const killTimeout = 2 * time.Second

// ending is what stopHolder has done.
type ending struct {
	pid     int  // of the daemon that has ended; 0: there was none
	killed  bool // with SIGKILL: it outlived the time after SIGTERM
	removed bool // there was none, but the pidfile of one that had died; it is gone
}

// stopHolder ends the daemon that holds the pidfile at path: SIGTERM, timeout, SIGKILL.
// ErrNotRunning if there is none; a stale pidfile goes in any case, and with it
// the files beside it that are empty.
func stopHolder(path string, timeout time.Duration, beside ...string) (done ending, err error) {
	deadline := time.Now().Add(timeout)
	h, err := findHolder(path, deadline)
	if errors.Is(err, ErrNotRunning) {
		done.removed = tidy(path, beside)
	}
	if err != nil {
		return done, err
	}
	defer h.close()
	done.pid = h.pid
	if done.killed, err = h.end(deadline); err != nil && !errors.Is(err, ErrNotRunning) {
		return done, err
	}
	tidy(path, beside)
	return done, nil
}

// end is true if it took SIGKILL.
func (h *holder) end(deadline time.Time) (killed bool, err error) {
	if err := h.signal(unix.SIGTERM); err != nil {
		return false, err
	}
	_ = h.signal(unix.SIGCONT) // a stopped process does not see SIGTERM
	if h.gone(deadline) {
		return false, nil
	}
	if err := h.signal(unix.SIGKILL); err != nil {
		return false, err // ErrNotRunning: it has just ended by itself
	}
	if !h.gone(time.Now().Add(killTimeout)) {
		return true, fmt.Errorf("pid %d is still there after SIGKILL: see its state in /proc/%d/stat (D: it waits for a device)", h.pid, h.pid)
	}
	return true, nil
}

// tidy removes the files of a daemon that has ended. It locks the pidfile for that
// moment.
func tidy(path string, beside []string) (removed bool) {
	flags := os.O_RDONLY
	if _, err := os.Lstat(companionPath(path)); err == nil {
		flags |= os.O_CREATE // somebody removed the pidfile: the lock is needed all the same
	}
	f, err := openTrusted(path, flags)
	if err != nil {
		return false
	}
	defer f.Close()
	if free, err := flock(f.File, unix.LOCK_EX); err != nil || !free || !f.isInPlace() {
		return false
	}
	if locker, _, err := lookAtCompanion(path); err != nil || locker != 0 {
		return false // a daemon whose pidfile somebody removed, and made anew
	}
	removeIf(companionPath(path), func(f *trustedFile) bool {
		pid, err := recordLockHolder(f.File) // another daemon's, if somebody renamed it
		return err == nil && pid == 0
	})
	for _, path := range beside {
		removeIf(path, func(f *trustedFile) bool { return f.info.Size() == 0 })
	}
	return f.remove() // if nobody has removed it meanwhile, and a new daemon made another
}
