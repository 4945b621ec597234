//go:build unix

package daemonize

// Kinds of errors, and their exit codes.

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Exit codes, from the LSB's chapter on init scripts.
const (
	exitDone          = 0
	exitFailed        = 1
	exitUsage         = 2
	exitNotDone       = 3 // not implemented
	exitNotPermitted  = 4
	exitNotConfigured = 6
	exitNotRunning    = 7
)

// exitCode is the LSB's for an error.
func exitCode(err error) int {
	var failed *StartError
	var config *configError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &failed):
		return failed.ExitCode
	case errors.As(err, &config):
		return exitNotConfigured
	case errors.Is(err, fs.ErrPermission):
		return exitNotPermitted
	case errors.Is(err, errNoReload):
		return exitNotDone
	}
	return exitFailed
}

var errNoReload = fmt.Errorf("reload: this daemon has nothing to reload: %w", errors.ErrUnsupported)

// fatalError ends a daemon that respawns.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

// Fatal marks an error that running the action again cannot mend: it ends the
// daemon despite Config.RespawnDelay. errors.Is and errors.As see the error in
// it. Fatal(nil) is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

// StartError is why a start failed, as its launcher saw it. [Service.Start] and
// [Service.Restart] return it, and [Service.Run] for a PrivilegedAction that
// failed.
type StartError struct {
	Reason   string // what was attempted, on what, and why it failed
	PID      int    // of the daemon that failed; 0: it never came to be
	Stderr   []byte // what it wrote to standard error, the first 64 KiB
	ExitCode int    // of the LSB's: 1 failed, 4 not permitted, 6 not configured

	status int  // the exit status of a daemon that ended without a report, if known
	atCall bool // it had reached the call that makes it a daemon
}

// Error is the reason, without Stderr.
func (e *StartError) Error() string { return e.Reason }

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

// transientError is an error that may pass in moments: perhaps somebody just
// moved.
type transientError string

func (e transientError) Error() string { return string(e) }

func isTransient(err error) bool {
	transient := transientError("")
	return errors.As(err, &transient)
}

func isRunningError(err error) bool {
	running := (*RunningError)(nil)
	return errors.As(err, &running)
}

const errRaced transientError = "the pidfile was removed or replaced just now"

// configError is an error of the configuration, not of this run: an account,
// a name, a directory or a pidfile that cannot be used.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }

func (e *configError) Unwrap() error { return e.err }

// unwritable is true if a directory, a file system or a quota refuses files.
func unwritable(err error) bool {
	for _, errno := range []unix.Errno{unix.ENOENT, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

var errSecondCall = errors.New("daemonize: a process can become or launch a daemon only once: this is its second call")
