// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

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
	*trustedFile // read-only: a daemon that could write could name another process for root to stop
	companion    *companion
}

// acquireTimeout is how long a start waits where the lock is exclusive and no daemon
// is to be seen that holds it: one that is ending, or not that far yet.
const acquireTimeout = 100 * time.Millisecond

// raceTimeout is how long a start tries on while others have the lock for moments:
// those who look, who remove a stale file, and who start as well. Of a hundred starts
// on a busy machine each may lose the processor within its moment.
const raceTimeout = 5 * time.Second

// lockTimeout is how long a process that is ending or tidying up may have the
// lock: moments, but on a busy machine they are long.
const lockTimeout = time.Second

// acquire creates and locks the pidfile at path and its companion, and erases
// what the pidfile says. A RunningError means that a process holds them.
func acquire(path string) (*pidfile, error) {
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	began := time.Now()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, acquireTimeout) {
		p, err := tryAcquire(path)
		wait := time.Duration(0)
		running := (*RunningError)(nil)
		switch {
		case errors.Is(err, errRaced):
			wait = raceTimeout
		case isTransient(err):
			wait = lockTimeout
		case errors.As(err, &running) && running.PID == 0:
			wait = acquireTimeout
		}
		if err == nil || time.Since(began) >= wait {
			return p, explainRaced(path, err)
		}
		time.Sleep(rand.N(pause)) // the more there are, the rarer they must try
	}
}

// explainRaced says what to do where errRaced did not pass.
func explainRaced(path string, err error) error {
	if errors.Is(err, errRaced) {
		return fmt.Errorf("pidfile %s: others keep it locked, or replace it all the time: "+
			"see who has it open (fuser), then try again", path)
	}
	return err
}

func tryAcquire(path string) (*pidfile, error) {
	f, err := openTrusted(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL)
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = openTrusted(path, os.O_RDONLY|os.O_CREATE)
	}
	if err != nil {
		return nil, err
	}
	p := &pidfile{trustedFile: f}
	if err := p.lock(); err != nil {
		if created && lockFailed(err) {
			f.remove() // nobody can have it locked
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
	free, err := flock(p.File, unix.LOCK_SH)
	if err != nil {
		return err
	}
	if !free {
		return runningError(p.Name())
	}
	// No daemon holds it, and none can while we share it. An older one may have been left
	// readable: whoever may read it could lock it, and keep us out.
	if err := p.makePrivate(); err != nil {
		return err
	}
	if info, err := p.Stat(); err != nil || info.Size() > 0 {
		if err := p.rewrite(""); err != nil {
			return err
		}
	}
	if free, err = flock(p.File, unix.LOCK_EX); err != nil {
		return err
	}
	if !free || !p.isInPlace() {
		return errRaced
	}
	// flock(2) gives the shared lock up before it has the other: a daemon may have come
	// and died meanwhile, whose pid must not stand here under our lock.
	_, named, err := readPID(p.File)
	if named {
		return errRaced
	}
	return err
}

// writePID names this process in the pidfile.
func (p *pidfile) writePID() error { return p.rewrite(strconv.Itoa(os.Getpid())) }

// remove deletes the companion and the pidfile if they are still ours, and
// releases the locks: the companion first, which only the holder of the pidfile's
// lock may make and remove. A daemon without the right to delete leaves both.
func (p *pidfile) remove() {
	p.companion.remove()
	p.trustedFile.remove()
	_ = sysCloseInForks(forkLock, -1)
	p.Close()
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
func readPID(f *os.File) (pid int, named bool, err error) {
	b := make([]byte, 16) // longer is garbage
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	pid, named = parsePID(b[:n])
	return pid, named, nil
}
