// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// State and Status: what a pidfile proves of a daemon.

import (
	"fmt"
	"slices"
)

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

// String is the state as status prints it.
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
	// crashed; the next start logs all of it. "": it did not, or we may not
	// see it.
	Crash string `json:"crash,omitempty"`
}
