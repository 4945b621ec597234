//go:build unix

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

// stillHolds is false if it can be seen that the process does not hold the
// pidfile at path: the file names one that has died, and somebody else has
// locked it.
func stillHolds(path string, pid int) bool {
	f, err := openPidfile(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return deletedHolder(path) == pid
	}
	if err != nil {
		return true
	}
	defer f.Close()
	ours, err := holdsLock(pid, f)
	return ours || err != nil
}

// probe says what the pidfile at path proves. A daemon that is dying, or
// being replaced, may have let go of the file but not of the lock: that passes.
func probe(path string) (Status, error) {
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(time.Millisecond) {
		status, err := tryProbe(path)
		if again := transientError(""); !errors.As(err, &again) || time.Now().After(deadline) {
			return status, err
		}
	}
}

func tryProbe(path string) (Status, error) {
	f, err := openPidfile(path, os.O_RDONLY)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if pid := deletedHolder(path); pid != 0 {
			return Status{State: Running, PID: pid}, nil
		}
		return Status{State: Stopped}, nil
	case errors.Is(err, fs.ErrPermission):
		return probeUnprivileged(path, err)
	case err != nil:
		return Status{State: Unknown}, err
	}
	defer f.Close()
	held, err := isHeld(f)
	if err != nil {
		return Status{State: Unknown}, err
	}
	if !held {
		return Status{State: Dead}, nil
	}
	pid, named := readPID(f)
	if !named {
		return Status{State: Running}, nil
	}
	if ours, err := holdsLock(pid, f); err == nil && !ours {
		return Status{State: Unknown}, errForeignHolder(path, pid)
	}
	return Status{State: Running, PID: pid}, nil
}

// errForeignHolder is a lock whose holder is not to be seen.
func errForeignHolder(path string, pid int) error {
	return transientError(fmt.Sprintf("%s is locked, but not by process %d here, which it names: a daemon of another container holds it, a child that the daemon left, or somebody else who may read it", path, pid))
}

// probeUnprivileged asks the kernel's list of locks: the file is not ours to open.
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

// holder is a daemon proved to hold its pidfile.
type holder struct {
	pid   int
	file  *os.File // nil if it was removed meanwhile
	path  string
	pidfd int // -1 where there is none
}

// findHolder proves who holds the pidfile at path: it reads the pid, takes
// hold of that process, then checks that lock and pid are what they were. Its
// error is ErrNotRunning if nobody does. Without a pid yet, it waits for
// it up to the deadline.
func findHolder(path string, deadline time.Time) (*holder, error) {
	for {
		h, err := tryHolder(path)
		if again := transientError(""); !errors.As(err, &again) || time.Now().After(deadline) {
			return h, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func tryHolder(path string) (*holder, error) {
	f, err := openPidfile(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return deletedHolderProved(path)
	}
	if err != nil {
		return nil, err
	}
	h := &holder{file: f, path: path, pidfd: -1}
	var named bool
	h.pid, named = readPID(f)
	held, err := isHeld(f)
	switch {
	case err != nil:
	case !held:
		err = ErrNotRunning
	case !named:
		err = transientError(path + " is locked, but names no process: it is starting, or another program's")
	case h.pid == 1:
		err = fmt.Errorf("the daemon is PID 1, the init of its container: stop the container instead")
	default:
		h.pidfd, err = pidfdOpen(h.pid)
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // nobody, or a thread
			err = errForeignHolder(path, h.pid) // unless it is just dying
		}
		if err == nil {
			err = h.verify()
		}
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func deletedHolderProved(path string) (*holder, error) {
	pid := deletedHolder(path)
	if pid <= 1 {
		return nil, ErrNotRunning
	}
	h := &holder{pid: pid, path: path, pidfd: -1}
	var err error
	if h.pidfd, err = pidfdOpen(pid); err != nil || h.verify() != nil {
		h.close()
		return nil, ErrNotRunning
	}
	return h, nil
}

// prove is nil if the daemon still is what it was when it was found: the lock
// is held, the file names pid, and it is that process here that holds it.
func (h *holder) verify() error {
	if h.file == nil {
		if deletedHolder(h.path) != h.pid {
			return errRaced
		}
		return nil
	}
	held, err := isHeld(h.file)
	if err != nil {
		return err
	}
	if pid, _ := readPID(h.file); !held || pid != h.pid {
		return errRaced
	}
	ours, err := holdsLock(h.pid, h.file)
	if err != nil {
		return fmt.Errorf("cannot prove that pid %d holds %s: %w", h.pid, h.path, err)
	}
	if !ours {
		return errForeignHolder(h.path, h.pid)
	}
	return nil
}

func (h *holder) locked() bool {
	if h.file == nil {
		return deletedHolder(h.path) == h.pid
	}
	held, err := isHeld(h.file)
	return held || err != nil
}

func (h *holder) close() {
	if h.file != nil {
		h.file.Close()
	}
	if h.pidfd >= 0 {
		unix.Close(h.pidfd)
	}
}

// signal sends one to the daemon. A pidfd stays with its process; without
// one, the check comes right before kill(2). ErrNotRunning: it is gone.
func (h *holder) signal(sig syscall.Signal) error {
	var err error
	if h.pidfd >= 0 {
		err = pidfdSignal(h.pidfd, sig)
	} else if h.verify() != nil {
		err = unix.ESRCH
	} else {
		err = unix.Kill(h.pid, sig)
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
	// The lock goes last, after the descriptor that prove looks for.
	for h.locked() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
	return true
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

// tidy removes a pidfile that nobody holds. It locks it for that moment; O_APPEND
// tells others that no daemon does, see flockOfFD.
func tidy(path string, beside []string) (removed bool) {
	f, err := openPidfile(path, os.O_RDONLY|os.O_APPEND)
	if err != nil {
		return false
	}
	p := &pidfile{path: path, file: f, claim: -1}
	if free, err := flock(f, unix.LOCK_EX); err == nil && free && p.isInPlace() {
		for _, path := range beside {
			removeEmpty(path)
		}
		removed = os.Remove(path) == nil
	}
	f.Close()
	return removed
}

// removeEmpty removes a file that is like a pidfile, and empty.
func removeEmpty(path string) {
	f, err := openPidfile(path, os.O_RDONLY)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		_ = os.Remove(path)
	}
}
