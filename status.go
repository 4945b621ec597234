//go:build unix

package daemonize

// State and Status: what a pidfile proves of a daemon.

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
