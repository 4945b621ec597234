//go:build unix

package daemonize

// Detach, Daemon and Daemonize, and the daemon's side of a start: from the call until ready.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// detached is set once this process has become the daemon, or has launched
// one: main runs again up to the first call, so a second one cannot be told
// from it.
var detached atomic.Bool

// Detach becomes a daemon, as daemon(3) does, and lets the program say when
// it is up. The launcher, which is the process that was started, waits in
// Detach and does not return from it: it ends with status 0 once the daemon
// calls ready(nil); it prints err and ends with status 1 once the daemon
// calls ready(err). If the daemon exits before, the launcher ends with the daemon's
// exit status, or says so and ends with 1 if that was 0, if a signal killed it, or on
// systems other than Linux with cgo, which do not tell. It waits without a limit, so call
// ready. If the launcher goes away
// first, the daemon ends, too. Only the first call of ready counts. It ends
// nobody but the launcher: after ready(err) the program should exit.
//
// The daemon is a copy of the program that runs main again up to this call,
// with the same arguments, environment and working directory. It is no
// session leader and has no controlling terminal. It has none of the launcher's
// descriptors but, with noclose, the standard ones. Unless nochdir is true its
// working directory is /. Unless noclose is true, standard input, output and
// error are /dev/null; until it is ready, what it writes to standard error
// reaches the launcher, which shows it if the start fails. The umask stays as it
// is.
//
// An error in the process that was started means that there is no daemon: it is
// PID 1 or runs set-user-ID (an fs.ErrPermission), a resource is missing,
// fork(2) failed, the program was linked without its constructor, the marker
// variable was not set by a launcher, it has called Detach before, or the copy
// never became the daemon (a [*StartError]). An error in the daemon has reached
// the launcher already: exit. No privilege is needed.
func Detach(nochdir, noclose bool) (ready func(error), err error) {
	if !isDaemon() {
		err := launch(noclose, 0, func(string) {})
		if err == nil {
			os.Exit(exitDone)
		}
		failed := (*StartError)(nil)
		if errors.As(err, &failed) {
			os.Stderr.Write(failed.Stderr)
		}
		if failed != nil && failed.PID != 0 {
			if failed.status <= 0 || !failed.atCall { // else the program chose its status, and its words
				fmt.Fprintln(os.Stderr, message(programName(), failed))
			}
			os.Exit(max(failed.status, failed.ExitCode))
		}
		return nil, err
	}
	if err := checkForkedFirst(); err != nil {
		return nil, declineStart(err)
	}
	s, err := attach(programName(), nochdir, noclose, true, func() { os.Exit(exitFailed) })
	if err != nil {
		return nil, err
	}
	return func(err error) {
		if err != nil {
			s.fail(exitFailed, errors.New(err.Error())) // no *RunningError, which would return in the launcher
			return
		}
		s.ready(context.Background())
	}, nil
}

// Daemon is daemon(3): it returns nil in the daemon, while the process that
// called it ends with status 0. See [Detach] for the rest.
func Daemon(nochdir, noclose bool) error {
	ready, err := Detach(nochdir, noclose)
	if err != nil {
		return err
	}
	ready(nil)
	return nil
}

// Daemonize does the bare minimum to become a daemon, Daemon(false, false),
// and then calls action. It returns nil when action returns.
func Daemonize(action func()) error {
	if err := Daemon(false, false); err != nil {
		return err
	}
	action()
	return nil
}

// starter is the daemon's side of a start: from the call until ready.
type starter struct {
	name           string // what messages are signed with
	report         *os.File
	noclose        bool
	forked         bool               // by package forkfirst: the launcher is C
	ownStatus      bool               // the launcher is to end with our exit status
	onLauncherGone func()             // ends the process when the launcher has gone away
	onStage        func(stage string) // hears how far it has come, if forked
	onVerdict      func()             // is called before the verdict, perhaps twice

	mu   sync.Mutex // guards done: one verdict, by whoever comes first
	done bool
}

// attach is the rest of daemon(3), at the call, in the daemon. An error has
// been reported.
func attach(name string, nochdir, noclose, ownStatus bool, onLauncherGone func()) (*starter, error) {
	if !detached.CompareAndSwap(false, true) {
		return nil, errSecondCall
	}
	s := &starter{name: name, report: pollable(boot.report, "report"), noclose: noclose, forked: forkedFirst(), ownStatus: ownStatus,
		onLauncherGone: onLauncherGone, onStage: func(string) {}, onVerdict: func() {}}
	s.stage("after it reached the call that makes it a daemon")
	if err := s.enter(nochdir); err != nil {
		s.fail(exitFailed, err)
		return nil, err
	}
	go s.watch()
	return s, nil
}

// enter changes directory and standard descriptors. Standard error stays the
// launcher's pipe until ready.
func (s *starter) enter(nochdir bool) error {
	if !nochdir {
		if err := os.Chdir("/"); err != nil {
			return err
		}
	}
	switch {
	case s.noclose && s.forked:
		return nil // we have them
	case s.noclose:
		return receiveStdio(s.report)
	}
	return toNull(0, 1)
}

// watch ends the daemon if the launcher goes away before the verdict. It
// sleeps in the network poller: no thread, and Close wakes it.
func (s *starter) watch() {
	b := make([]byte, 8)
	for {
		if n, err := s.report.Read(b); n == 0 || err != nil {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.onLauncherGone()
	}
}

// stage tells the launcher how far the start has come: it is what it says of
// a daemon that dies next.
func (s *starter) stage(how string) {
	f := frame{kind: frameStage, text: how}
	if s.ownStatus {
		f.code = 1
	}
	if s.forked {
		f.text = s.stageForkedFirst(how)
	}
	_ = writeFrame(s.report, f)
	failpoint(how)
}

// ready lets the launcher end with status 0 and takes standard error from it.
// If the launcher is gone, so are we.
func (s *starter) ready(context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	s.onVerdict()
	if !s.noclose {
		// First: once the launcher has gone, writing to its pipe kills.
		if err := toNull(2); err != nil {
			s.refuse(exitFailed, err)
			s.onLauncherGone()
			return
		}
	}
	if s.verdict(frame{kind: frameReady}) != nil {
		s.onLauncherGone()
	}
}

// fail has the launcher show err and end with status code.
func (s *starter) fail(code int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.refuse(code, err)
	}
}

// refuse is fail. The caller holds mu.
func (s *starter) refuse(code int, err error) {
	f := frame{kind: frameFailed, code: uint8(code), text: err.Error()}
	if s.forked {
		f.text = ""
		s.refuseForkedFirst(err)
	} else if running := (*RunningError)(nil); errors.As(err, &running) {
		f = frame{kind: frameRunning, num: int32(running.PID), text: running.Pidfile}
	}
	_ = s.verdict(f) // a launcher that is gone needs none
}

// verdict sends the last message. The caller holds mu.
func (s *starter) verdict(f frame) error {
	s.done = true
	err := writeFrame(s.report, f)
	_ = sysCloseInForks(forkReport, -1)
	s.report.Close()
	return err
}
