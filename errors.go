// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// Kinds of errors, and their exit codes.

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
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

// ExitCode is the exit code with which [Service.Command] ends for an error of
// this package, for programs that have a command line of their own. The codes are the
// LSB's for init scripts: 0 for nil, 3 not implemented (Reload without Config.Reload
// and Config.OutputFile), 4 not permitted, 6 not configured (what New refuses;
// accounts, directories and pidfiles that cannot be used), 7 not running
// ([ErrNotRunning]). A [*StartError] has its own exit code. All other errors are 1,
// a [*RunningError] too.
//
// The LSB says that a stop of a daemon that does not run is done, so Command ends
// with 0 there: after Stop, ask errors.Is(err, ErrNotRunning) before you call
// ExitCode. For Status, use [State.ExitCode].
func ExitCode(err error) int {
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
	case errors.Is(err, ErrNotRunning):
		return exitNotRunning
	}
	return exitFailed
}

const errNoReload unsupportedError = "reload: this daemon has nothing to reload"

// unsupportedError is a constant: fmt.Errorf would run in every start before main.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) + ": " + errors.ErrUnsupported.Error() }

func (unsupportedError) Unwrap() error { return errors.ErrUnsupported }

// fatalError ends a daemon that respawns.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

// Fatal marks an error that another run of the action cannot mend. An action that
// returns it ends the daemon despite Config.RespawnDelay. errors.Is and errors.As see
// err in it. Fatal(nil) is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

// tellsOfStop is true if an action that was told to stop has ended with an error that
// only says so. There is no common type for these: http.ErrServerClosed is a plain
// errors.New, net.ErrClosed is internal to the runtime's poller, and importing their
// packages would cost every program's boot. What they have in common is Go's way to
// write an error: the cause comes last, and its last word says what happened
// (package net keeps its text for programs that look for it). So that is the
// rule, for the innermost cause. It is strict where it must be: all of several
// joined errors have to be such, and a cause that adds anything is a failure.
// told is the error of the action's context.
func tellsOfStop(err, told error) bool {
	if err == told {
		return err != nil
	}
	switch e := err.(type) {
	case nil:
		return false
	case interface{ Unwrap() []error }:
		causes := e.Unwrap()
		return len(causes) > 0 && !slices.ContainsFunc(causes, func(err error) bool { return !tellsOfStop(err, told) })
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			return tellsOfStop(cause, told)
		}
	case interface{ Sys() any }: // an exec.ExitError: CommandContext has ended the child
		status, ok := e.Sys().(syscall.WaitStatus)
		stops := []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL}
		return ok && status.Signaled() && slices.Contains(stops, status.Signal())
	}
	cause := err.Error()
	cause = cause[strings.LastIndex(cause, ": ")+1:] // an error whose text was wrapped by %v
	words := strings.Fields(strings.ToLower(cause))
	denies := func(w string) bool { return w == "not" || w == "cannot" || w == "failed" }
	if len(words) == 0 || slices.ContainsFunc(words, denies) {
		return false // "the file could not be closed"
	}
	switch last := words[len(words)-1]; last {
	case "closed", "stopped", "shutdown", "canceled", "cancelled":
		return true
	case "down":
		return strings.HasSuffix(cause, "shut down")
	case "connection", "file", "pipe": // "use of closed network connection"
		return slices.Contains(words, "closed")
	}
	return false
}

// StartError is why a start failed, as its launcher saw it. [Service.Start],
// [Service.Restart] and [Detach] return it. [Service.Run] returns it where
// PrivilegedAction failed, or the action before it called [Ready].
type StartError struct {
	Reason   string // what was attempted, on what, and why it failed
	PID      int    // of the daemon that failed; 0: it never came to be
	Stderr   []byte // what it wrote to standard error: 64 KiB before the call and after it at most
	ExitCode int    // of the LSB's: 1 failed, 4 not permitted, 6 not configured

	status int  // the exit status of a daemon that ended without a report, if known
	atCall bool // it had reached the call that makes it a daemon
}

// Error is the reason, without Stderr.
func (e *StartError) Error() string { return e.Reason }

// RunningError says that another process holds the pidfile. [Service.Start],
// [Service.Restart] and [Service.Run] return it. If they cannot see that process,
// because it is in another container, say, they return another error.
type RunningError struct {
	Pidfile string
	PID     int // of that process; 0 if it is starting, and has not written its pid yet
}

// Error is pydaemonize's sentence.
func (e *RunningError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("PID file exists. Process already running? (%s is locked by a process that is just starting)", e.Pidfile)
	}
	return fmt.Sprintf("PID file exists. Process already running? (pid %d holds %s)", e.PID, e.Pidfile)
}

// ErrNotRunning says that no process holds the pidfile. [Service.Stop] and
// [Service.Reload] return it.
var ErrNotRunning = errors.New("daemonize: the daemon is not running")

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

// badConfig is the error for a value that cannot be used.
func badConfig(format string, args ...any) error {
	return &configError{fmt.Errorf("daemonize: "+format, args...)}
}

var errSecondCall = errors.New("daemonize: a process can become or launch a daemon only once: this is its second call")

// --- What a pidfile proves of a daemon ---

// State is what can be proved of a daemon by its pidfile. The zero value is
// Unknown. As text, in JSON say, it is "unknown", "running", "dead" or "stopped".
type State int

const (
	Unknown State = iota // cannot tell
	Running              // its process holds the pidfile
	Dead                 // it left its pidfile and is gone
	Stopped              // there is no pidfile
)

// stateWords are a State's name as text, what status prints of it, and the LSB's exit
// code of status.
type stateWords struct {
	name, words string
	exitCode    int
}

var states = [...]stateWords{
	Unknown: {"unknown", "in an unknown state", 4},
	Running: {"running", "running", 0},
	Dead:    {"dead", "dead, but its pidfile is left", 1},
	Stopped: {"stopped", "not running", 3},
}

// valid is s, or Unknown for a number that is no State.
func (s State) valid() State {
	if s < 0 || int(s) >= len(states) {
		return Unknown
	}
	return s
}

// String returns the state in words, such as "not running".
func (s State) String() string { return states[s.valid()].words }

// ExitCode is the LSB's exit code for the verb status: 0 Running, 1 Dead, 3
// Stopped, 4 Unknown.
func (s State) ExitCode() int { return states[s.valid()].exitCode }

// MarshalText returns the name of the state. It never fails.
func (s State) MarshalText() ([]byte, error) { return []byte(states[s.valid()].name), nil }

// UnmarshalText reads what MarshalText has written. Any other text is an error.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.IndexFunc(states[:], func(w stateWords) bool { return w.name == string(text) })
	if i < 0 {
		return fmt.Errorf("daemonize: %.40q is no state of a daemon: unknown, running, dead or stopped", text)
	}
	*s = State(i)
	return nil
}

// Status is the answer of Service.Status. In JSON it is an object such as
// {"state":"running","pid":4711}.
type Status struct {
	State State `json:"state"`
	PID   int   `json:"pid,omitempty"` // of the daemon when Running; 0 if it is starting or not known

	// Crash is what the Go runtime printed first when the last daemon
	// crashed; the next start logs all of it. "": no daemon crashed, this one
	// runs, or we may not read the crash file.
	Crash string `json:"crash,omitempty"`
}
