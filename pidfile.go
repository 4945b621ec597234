//go:build unix

package daemonize

// The pidfile: lock, write, read, prove who holds it, signal, remove.

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

// The pidfile is a lock first and a text second. The daemon holds an
// exclusive flock(2) on it for life; whatever way it dies, the kernel lets go
// of it. So a file that nobody has locked is stale by proof, and a pid
// is believed only while the lock is held.
//
// A start takes a shared lock first. If that fails, a daemon holds the
// exclusive one; those who only look share theirs and never get in the way. Under the
// shared lock, while no daemon holds the file and none can, the old pid is
// erased; only then the lock becomes exclusive. So the pid of a locked file
// is never that of an earlier daemon.

// RunningError says that another process holds the pidfile. [Service.Start],
// [Service.Restart] and [Service.Run] return it. If that process is not to be
// seen, in another container, say, they return another error.
type RunningError struct {
	Pidfile string
	PID     int // 0 if it has not written it yet
}

// Error is pydaemonize's sentence.
func (e *RunningError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("PID file exists. Process already running? (%s is locked by a process that is just starting)", e.Pidfile)
	}
	return fmt.Sprintf("PID file exists. Process already running? (pid %d holds %s)", e.PID, e.Pidfile)
}

// ErrNotRunning says that no process holds the pidfile. [Service.Stop] and
// [Service.Reload] return it. The text is pydaemonize's.
//
//lint:ignore ST1005 a sentence, for people
var ErrNotRunning = errors.New("Could not find PID file to stop. Is the process running?")

// State is what can be proved of a daemon by its pidfile.
type State int

// States, with the exit codes of the verb status, which are the LSB's.
const (
	Running State = 0 // its process holds the pidfile
	Dead    State = 1 // it left its pidfile and is gone
	Stopped State = 3 // there is no pidfile
	Unknown State = 4 // cannot tell
)

// String is the state as status prints it.
func (s State) String() string {
	switch s {
	case Running:
		return "running"
	case Dead:
		return "dead, but its pidfile is left"
	case Stopped:
		return "not running"
	}
	return "in an unknown state"
}

// Status is the answer of Service.Status.
type Status struct {
	State State
	PID   int // of the daemon when Running; 0 if it is starting or not known

	// Crash is the first line that the Go runtime printed when the last
	// daemon crashed; the next start logs all of it. "": it did not, or
	// we may not see it.
	Crash string
}

// pidfile is one that this process has locked.
type pidfile struct {
	path  string
	file  *os.File // read-only: a daemon that could write could name another process for root to stop
	claim int      // see claim; -1 for none
}

// acquire creates and locks the pidfile at path and erases what it says. A
// RunningError means that a process holds it.
func acquire(path string) (*pidfile, error) {
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	// Others may hold it for moments: those who look, who tidy up, and who start.
	const patience = 100 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) {
		p, err := tryAcquire(path)
		var running *RunningError
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, errAgain) && time.Now().Before(deadline.Add(lockPatience)):
		case errors.As(err, &running) && running.PID == 0 && time.Now().Before(deadline):
		case errors.As(err, &running) && running.PID != 0 && !stillHolds(path, running.PID):
			if time.Now().After(deadline.Add(lockPatience)) {
				return nil, elsewhere(path, running.PID)
			}
		case errors.Is(err, errAgain):
			return nil, fmt.Errorf("pidfile %s: others keep it locked, or replace it all the time: see who has it open (fuser), then start again", path)
		default:
			return nil, err
		}
	}
}

// lockPatience is how long somebody who is dying or tidying up may have the
// lock: moments, but on a busy machine they are long.
const lockPatience = time.Second

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
	ours, err := holds(pid, f)
	return ours || err != nil
}

// tryAgain is what is wrong if it stays so: perhaps somebody else just moved.
type tryAgain string

func (e tryAgain) Error() string { return string(e) }

const errAgain tryAgain = "the pidfile was removed or replaced just now"

func tryAcquire(path string) (*pidfile, error) {
	f, err := openPidfile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL)
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = openPidfile(path, os.O_RDONLY|os.O_CREATE)
	}
	if err != nil {
		return nil, err
	}
	p := &pidfile{path: path, file: f, claim: -1}
	if err := p.lock(); err != nil {
		if created && lockFailed(err) && p.isInPlace() {
			_ = os.Remove(path) // nobody can have it locked
		}
		f.Close()
		return nil, err
	}
	if p.claim = claim(path); p.claim < 0 {
		if pid := findDeletedHolder(path); pid != 0 {
			p.remove()
			return nil, &RunningError{path, pid} // somebody removed it under a live daemon
		}
		p.claim = claim(path) // who had it perhaps only looked
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
		pid, _ := readPID(p.file)
		return &RunningError{p.path, pid}
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
		return errAgain
	}
	return nil
}

// write replaces what the pidfile says, through a descriptor of its own that
// is closed again at once.
func (p *pidfile) write(text string) error {
	w, err := openPidfile(p.path, os.O_WRONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return errAgain
	}
	if err != nil {
		return err
	}
	if !sameFile(w, p.file) {
		w.Close()
		return errAgain
	}
	if err = w.Truncate(0); err == nil {
		_, err = w.WriteString(text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write pidfile: %w (is the file system full or read-only?)", err)
	}
	return nil
}

// remove deletes the pidfile if it is still ours, and lets go of the lock.
func (p *pidfile) remove() {
	if p.isInPlace() {
		_ = os.Remove(p.path) // a daemon without the right leaves it: it is stale by proof
	}
	_ = sysCloseInForks(forkLock, -1)
	p.file.Close()
	if p.claim >= 0 {
		unix.Close(p.claim)
	}
}

// isInPlace is true while the path leads to the file that we hold.
func (p *pidfile) isInPlace() bool {
	now, err := os.Lstat(p.path)
	if err != nil {
		return false
	}
	ours, err := p.file.Stat()
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

// fileKind is what people call the file: the crash file is as careful as the pidfile.
func fileKind(path string) string {
	if filepath.Ext(path) == ".crash" {
		return "crash file"
	}
	return "pidfile"
}

// checkPidfile refuses what is no pidfile of ours, by the name of what it is.
func checkPidfile(path string, info fs.FileInfo) error {
	refuse := func(what string) error {
		return &configError{fmt.Errorf("%s %s is %s: refused; look who put it there, then remove it", fileKind(path), path, what)}
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
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
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
	if info.Mode()&unsafe != 0 && info.Mode()&fs.ModeSticky == 0 {
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

// probe says what the pidfile at path proves. A daemon that is dying, or
// being replaced, may have let go of the file but not of the lock: that passes.
func probe(path string) (Status, error) {
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(time.Millisecond) {
		status, err := tryProbe(path)
		if again := tryAgain(""); !errors.As(err, &again) || time.Now().After(deadline) {
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
	if ours, err := holds(pid, f); err == nil && !ours {
		return Status{State: Unknown}, elsewhere(path, pid)
	}
	return Status{State: Running, PID: pid}, nil
}

// elsewhere is a lock whose holder is not to be seen.
func elsewhere(path string, pid int) error {
	return tryAgain(fmt.Sprintf("%s is locked, but not by process %d here, which it names: a daemon of another container holds it, a child that the daemon left, or somebody else who may read it", path, pid))
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
		if again := tryAgain(""); !errors.As(err, &again) || time.Now().After(deadline) {
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
		err = tryAgain(path + " is locked, but names no process: it is starting, or another program's")
	case h.pid == 1:
		err = fmt.Errorf("the daemon is PID 1, the init of its container: stop the container instead")
	default:
		h.pidfd, err = pidfdOpen(h.pid)
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // nobody, or a thread
			err = elsewhere(path, h.pid) // unless it is just dying
		}
		if err == nil {
			err = h.prove()
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
	if h.pidfd, err = pidfdOpen(pid); err != nil || h.prove() != nil {
		h.close()
		return nil, ErrNotRunning
	}
	return h, nil
}

// prove is nil if the daemon still is what it was when it was found: the lock
// is held, the file names pid, and it is that process here that holds it.
func (h *holder) prove() error {
	if h.file == nil {
		if deletedHolder(h.path) != h.pid {
			return errAgain
		}
		return nil
	}
	held, err := isHeld(h.file)
	if err != nil {
		return err
	}
	if pid, _ := readPID(h.file); !held || pid != h.pid {
		return errAgain
	}
	ours, err := holds(h.pid, h.file)
	if err != nil {
		return fmt.Errorf("cannot prove that pid %d holds %s: %w", h.pid, h.path, err)
	}
	if !ours {
		return elsewhere(h.path, h.pid)
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
	} else if h.prove() != nil {
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

// killPatience is how long a process may take to die of SIGKILL.
const killPatience = 2 * time.Second

// stopHolder ends the daemon that holds the pidfile at path: SIGTERM, timeout, SIGKILL.
// ErrNotRunning if there is none; a stale pidfile goes in any case, and with it
// the files beside it that are empty.
func stopHolder(path string, timeout time.Duration, beside ...string) error {
	deadline := time.Now().Add(timeout)
	h, err := findHolder(path, deadline)
	if errors.Is(err, ErrNotRunning) {
		tidy(path, beside)
	}
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.end(deadline); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	tidy(path, beside)
	return nil
}

func (h *holder) end(deadline time.Time) error {
	if err := h.signal(unix.SIGTERM); err != nil {
		return err
	}
	_ = h.signal(unix.SIGCONT) // a stopped process does not see SIGTERM
	if h.gone(deadline) {
		return nil
	}
	if err := h.signal(unix.SIGKILL); err != nil {
		return err
	}
	if !h.gone(time.Now().Add(killPatience)) {
		return fmt.Errorf("pid %d is still there after SIGKILL: see its state in /proc/%d/stat (D: it waits for a device)", h.pid, h.pid)
	}
	return nil
}

// tidy removes a pidfile that nobody holds. It locks it for that moment; O_APPEND
// tells others that no daemon does, see locksFlock.
func tidy(path string, beside []string) {
	f, err := openPidfile(path, os.O_RDONLY|os.O_APPEND)
	if err != nil {
		return
	}
	p := &pidfile{path: path, file: f, claim: -1}
	if free, err := flock(f, unix.LOCK_EX); err == nil && free && p.isInPlace() {
		for _, path := range beside {
			removeEmpty(path)
		}
		_ = os.Remove(path)
	}
	f.Close()
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
