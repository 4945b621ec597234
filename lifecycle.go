//go:build unix

package daemonize

// The life of a daemon: lock, privileged action, drop of privileges, action, signals, end.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startInDaemon is Start in the daemon; it returns the exit code. p is nil but in one
// that forked first.
func (s *service) startInDaemon(p *progress) int {
	reporter, err := attach(s.config.Name, false, false, func() {
		s.releasePidfile()
		os.Exit(exitFailed)
	})
	if err != nil {
		return exitFailed // the launcher knows
	}
	reporter.onStage, reporter.onVerdict = p.lastSeen, p.end
	err = s.runDaemon(reporter)
	if err != nil {
		reporter.fail(exitCode(err), err) // unless it was ready before
		return exitFailed
	}
	return exitDone
}

// startReporter is where a start reports to: the launcher, or in run a supervisor.
type startReporter interface {
	stage(how string)
	ready()
}

// runDaemon is the life of the daemon: from the lock to the last message.
func (s *service) runDaemon(reporter startReporter) (err error) {
	reporter.stage("before it locked its pidfile")
	syscall.Umask(int(s.config.Umask))
	account, err := resolveAccount(s.config.Name, s.config.User, s.config.Group)
	if err != nil {
		return err
	}
	lock, err := s.lock()
	if err != nil {
		return err
	}
	s.held.Store(lock) // nil in run, where it cannot be written
	defer s.releasePidfile()

	Openlog(s.config.Name, s.config.SyslogOptions, s.config.SyslogFacility)
	logNotice(LOG_NOTICE, "Starting.")
	defer func() {
		s.notify.stopping()
		if err != nil {
			logNotice(LOG_ERR, err.Error())
			s.logged = true
		}
		logNotice(LOG_NOTICE, "Exiting.")
	}()
	over := sync.OnceFunc(s.untilReady())
	defer over()
	if lock != nil {
		crash, err := keepCrashes(s.pidfile)
		if err != nil {
			s.notices = append(s.notices, "what the Go runtime prints in a crash will not be kept: "+err.Error())
		}
		s.crash.Store(crash)
	}
	for _, notice := range s.notices {
		logNotice(LOG_WARNING, notice)
	}
	const privileged = "while it ran its privileged action"
	reporter.stage(privileged)
	sink := func(text string) {
		s.notify.send("STATUS=" + text)
		reporter.stage(privileged + ": " + text) // once it is ready, nobody listens
	}
	statusSink.Store(&sink)
	defer statusSink.Store(nil)
	if err := recoverPanic(s.privileged); err != nil {
		// Whatever it is, it is the program's own failure: never 4 or 6.
		return &StartError{Reason: "privileged action: " + err.Error(), ExitCode: exitFailed}
	}
	reporter.stage("before it wrote its pidfile")
	ctx, hangups, stop := s.handleSignals() // from here on stop finds us
	defer stop()
	over()
	if lock != nil {
		err := lock.writePID()
		if errors.Is(err, errRaced) {
			err = fmt.Errorf("write pidfile %s: it was removed or replaced since this start locked it, or PrivilegedAction has changed the root directory", s.pidfile)
		}
		if err != nil && (!s.inForeground || !unwritable(err)) {
			return err
		}
		if err != nil { // the lock alone keeps a second one from running
			logNotice(LOG_WARNING, noPidfile+err.Error())
		}
	}
	reporter.stage("while it dropped its privileges")
	if err := account.drop(s.config.AllowNewPrivileges); err != nil {
		return err
	}
	reporter.stage("after it dropped its privileges")
	if ctx.Err() != nil {
		return errToldToStop
	}
	reporter.ready()
	go s.serveReloads(ctx, hangups) // not before the drop: Reload is not for root to run
	return s.runAction(ctx)
}

// releasePidfile removes the pidfile, once, and the crash file first: it goes with the
// lock.
func (s *service) releasePidfile() {
	if lock := s.held.Swap(nil); lock != nil {
		s.crash.Swap(nil).remove()
		lock.remove()
	}
}

// handleSignals returns the action's context, which SIGTERM and SIGINT end,
// and the requests to reload.
func (s *service) handleSignals() (ctx context.Context, hangups <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	s.signals = make(chan os.Signal, 8)
	// Notify, not Ignore, for SIGHUP: children would inherit ignored.
	signal.Notify(s.signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	hup := make(chan struct{}, 1)
	go func() {
		for sig := range s.signals {
			if sig != unix.SIGHUP {
				s.notify.stopping()
				cancel()
				if sig == unix.SIGINT && s.inForeground {
					signal.Reset(unix.SIGINT) // a second Ctrl-C means it
				}
				continue
			}
			select {
			case hup <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return ctx, hup, cancel
}

// ignoreSignals undoes handleSignals, for the caller of Run; else the process
// ends next, and catches them to its end.
func (s *service) ignoreSignals() {
	if s.signals != nil {
		signal.Stop(s.signals)
		close(s.signals)
	}
}

func (s *service) serveReloads(ctx context.Context, hangups <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if s.config.Reload == nil {
			continue
		}
		s.notify.reloading()
		if err := recoverPanic(func() error { return s.config.Reload(ctx) }); err != nil {
			logNotice(LOG_ERR, "reload: "+err.Error())
		}
		if ctx.Err() == nil {
			s.notify.send("READY=1")
		}
	}
}

// runAction runs the action, again and again where it respawns.
func (s *service) runAction(ctx context.Context) error {
	for {
		err := recoverPanic(func() error { return s.action(ctx) })
		var fatal *fatalError
		switch {
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			return nil // it was told to
		case err == nil, s.config.RespawnDelay == 0, ctx.Err() != nil, errors.As(err, &fatal):
			return err
		}
		logNotice(LOG_ERR, "unexpected error: "+err.Error())
		logNotice(LOG_NOTICE, "restarting in "+seconds(s.config.RespawnDelay))
		SetStatus("unexpected error, restarting in " + seconds(s.config.RespawnDelay))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.config.RespawnDelay):
		}
		SetStatus("")
	}
}

func seconds(d time.Duration) string {
	if n := d.Seconds(); n != math.Trunc(n) || n == 1 {
		return d.String()
	}
	return fmt.Sprintf("%d seconds", int64(d.Seconds()))
}

// recoverPanic turns a panic and runtime.Goexit of f into errors. f runs in a
// goroutine of its own, as Goexit takes its goroutine along.
func recoverPanic(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("it ended its goroutine (runtime.Goexit)")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
			done <- err
		}()
		err = f()
	}()
	return <-done
}

// logTimeout is how long a message of ours may hold us up: a stopped
// syslogd blocks syslog(3) for ever, and a stop must not wait for it.
const logTimeout = 250 * time.Millisecond

// logNotice logs a message of the library's own. It is false if that took too long.
func logNotice(priority Priority, text string) bool {
	done := make(chan struct{})
	go func() {
		Syslog(priority, text)
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(logTimeout):
		return false
	}
}
