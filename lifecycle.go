// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The life of a daemon: lock, privileged action, drop of privileges, action, signals, end.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is one run of a service in this process.
type daemon struct {
	*service
	reporter      startReporter
	inForeground  bool // run, not start
	syslogOptions Option
	notify        *notifier // in run, if a supervisor asked for it
	notices       []string  // to log as soon as there is a log
	output        *output
	logged        bool // runDaemon has logged its error

	held      atomic.Pointer[pidfile]
	crash     atomic.Pointer[crashFile] // beside held
	lastStage atomic.Pointer[string]
	decided   atomic.Bool // the start: it is ready, or has failed

	signals  chan os.Signal
	hangups  chan struct{} // SIGHUPs that are to be served
	mayAbort atomic.Bool   // what runs now knows no context
	program  oneGoroutine  // runs the privileged action and the action
}

// startInDaemon is Start in the daemon; it returns the exit code. p is nil but in one
// that forked first.
func (s *service) startInDaemon(p *progress) int {
	d := &daemon{service: s, syslogOptions: s.config.SyslogOptions, output: newOutput()}
	reporter, err := attach(s.config.Name, false, false, false, func() {
		d.releasePidfile()
		os.Exit(exitFailed)
	})
	if err != nil {
		return exitFailed // the launcher knows
	}
	reporter.onStage, reporter.onVerdict = p.lastSeen, p.end
	d.reporter = reporter
	d.output.stdio, reporter.output, reporter.onLine = &reporter.stdio, d.openOutput, d.output.stderrLine
	err = d.run(context.Background())
	if err != nil {
		reporter.fail(ExitCode(err), err) // unless it was ready before
		return exitFailed
	}
	return exitDone
}

// startReporter is where a start reports to: the launcher, or in the foreground a
// supervisor.
type startReporter interface {
	stage(how string)
	ready(context.Context)
	fail(code int, err error)
}

// run is the life of the daemon: from the lock to the last message. The action's
// context is one of parent's.
func (d *daemon) run(parent context.Context) (err error) {
	ctx, stop := d.handleSignals(parent)
	defer stop()
	d.stage("before it locked its pidfile")
	within(logTimeout, func() { // LOG_NDELAY connects, which a hanging syslog daemon blocks
		Openlog(d.config.Name, d.syslogOptions, d.config.SyslogFacility)
	})
	if d.config.StartTimeout > 0 {
		defer time.AfterFunc(d.config.StartTimeout, d.timedOut).Stop()
	}
	syscall.Umask(int(d.config.Umask))
	account, err := resolveAccount(d.config.Name, d.config.User, d.config.Group)
	if err != nil {
		return err
	}
	lock, err := d.lock()
	if err != nil {
		return err
	}
	d.held.Store(lock) // nil in the foreground, where it cannot be written
	defer d.releasePidfile()

	logNotice(LOG_NOTICE, "Starting.")
	defer func() {
		d.notify.stopping()
		limit := 10 * time.Second
		if ctx.Err() != nil {
			limit = d.config.StopTimeout / 2
		}
		idle := logTimeout
		if d.output.end(limit) != nil {
			idle /= 4 // it has waited already
		}
		if err != nil {
			logNotice(LOG_ERR, withoutPrefix(err))
		}
		logNotice(LOG_NOTICE, "Exiting.")
		d.logged = ownLog.flush(idle, limit) == nil && err != nil
	}()
	if lock != nil {
		crash, err := keepCrashes(d.pidfile)
		if err != nil {
			d.notices = append(d.notices, "what the Go runtime prints in a crash will not be kept: "+err.Error())
		}
		d.crash.Store(crash)
	}
	if err := d.openOutputFile(account); err != nil {
		return err
	}
	for _, notice := range d.notices {
		logNotice(LOG_WARNING, notice)
	}
	defer statusSink.Store(nil)
	d.stageWithStatus("while it ran its privileged action")
	defer d.program.end()
	if err := d.program.call(d.privileged); err != nil {
		// Whatever it is, it is the program's own failure: never 4 or 6.
		return &StartError{Reason: "privileged action: " + err.Error(), ExitCode: exitFailed}
	}
	d.stage("before it wrote its pidfile")
	d.mayAbort.Store(false) // stop finds us next
	if lock != nil {
		err := lock.writePID()
		if errors.Is(err, errRaced) {
			err = fmt.Errorf("write pidfile %s: it was removed or replaced since this start locked it, or PrivilegedAction has changed the root directory", d.pidfile)
		}
		if err != nil && (!d.inForeground || !unwritable(err)) {
			return err
		}
		if err != nil { // the lock alone keeps a second one from running
			logNotice(LOG_WARNING, noPidfile+err.Error())
		}
	}
	d.stage("while it dropped its privileges")
	if err := account.drop(d.config.AllowNewPrivileges); err != nil {
		return err
	}
	d.stage("after it dropped its privileges")
	if d.config.ReadyByAction {
		d.stageWithStatus("before its action called Ready")
		ready := func() { d.ready(ctx) }
		readySink.Store(&ready)
		defer readySink.Store(nil)
	} else {
		d.ready(ctx)
	}
	if ctx.Err() != nil && !d.decided.Load() {
		return errToldToStop
	}
	return d.actionEnded(ctx, d.runAction(ctx))
}

// stage says how far the start has come.
func (d *daemon) stage(how string) {
	d.lastStage.Store(&how)
	d.reporter.stage(how)
}

// stageWithStatus is stage, and has SetStatus add its text. Once the daemon is ready,
// the supervisor alone listens.
func (d *daemon) stageWithStatus(how string) {
	d.stage(how)
	sink := func(text string) {
		d.notify.send("STATUS=" + text)
		if !d.decided.Load() {
			d.stage(how + ": " + text)
		}
	}
	statusSink.Store(&sink)
}

// ready ends the start, unless it has ended, or was told to stop. Reloads are served
// from here on: before the drop, Reload would run as root.
func (d *daemon) ready(ctx context.Context) {
	if ctx.Err() == nil && d.decided.CompareAndSwap(false, true) {
		d.takeLog()
		_ = ownLog.flush(logTimeout, logTimeout) // before the action's own messages
		d.reporter.ready(ctx)
		go d.serveReloads(ctx)
	}
}

// actionEnded is what the daemon's end means: err, if it was ready, else a start that
// failed.
func (d *daemon) actionEnded(ctx context.Context, err error) error {
	switch {
	case !d.decided.CompareAndSwap(false, true):
		return err
	case ctx.Err() != nil:
		return errToldToStop
	case err == nil:
		err = errors.New("it returned before it called Ready")
	}
	return &StartError{Reason: "action: " + err.Error(), ExitCode: exitFailed}
}

var errToldToStop = errors.New("it was told to stop before it was ready")

// timedOut ends a start that takes longer than StartTimeout.
func (d *daemon) timedOut() {
	d.abort(errors.New(tooLate(os.Getpid(), d.config.StartTimeout, *d.lastStage.Load())))
}

// abort ends a start, and the process with it: what it waits for knows no context.
func (d *daemon) abort(err error) {
	if !d.decided.CompareAndSwap(false, true) {
		return
	}
	d.notify.stopping()
	logNotice(LOG_ERR, err.Error())
	_ = ownLog.flush(logTimeout, logTimeout)
	d.reporter.fail(exitFailed, err)
	d.releasePidfile()
	os.Exit(exitFailed)
}

// releasePidfile removes the pidfile, once, and the crash file first: it goes with the
// lock.
func (d *daemon) releasePidfile() {
	if lock := d.held.Swap(nil); lock != nil {
		d.crash.Swap(nil).remove()
		lock.remove()
	}
}

// handleSignals returns the action's context, which SIGTERM and SIGINT end. Until the
// privileged action has ended, they end the process: it knows no context, and PID 1 of
// a container would not even get a signal that it does not catch.
func (d *daemon) handleSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	d.signals = make(chan os.Signal, 8)
	d.hangups = make(chan struct{}, 1)
	d.mayAbort.Store(true)
	// Notify, not Ignore, for SIGHUP: children would inherit ignored.
	signal.Notify(d.signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	go func() {
		for sig := range d.signals {
			if sig != unix.SIGHUP {
				cancel()
				if d.mayAbort.Load() {
					d.abort(errToldToStop)
				}
				d.notify.stopping()
				if sig == unix.SIGINT && d.inForeground {
					signal.Reset(unix.SIGINT) // a second Ctrl-C means it
				}
				continue
			}
			select {
			case d.hangups <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return ctx, cancel
}

// ignoreSignals undoes handleSignals, for the caller of Run; else the process
// ends next, and catches them to its end.
func (d *daemon) ignoreSignals() {
	if d.signals != nil {
		signal.Stop(d.signals)
		close(d.signals)
	}
}

func (d *daemon) serveReloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.hangups:
		}
		d.reopenOutput()
		if d.config.Reload == nil {
			continue
		}
		d.notify.reloading()
		err := recoverPanic(func() error { return d.config.Reload(ctx) })
		if err != nil && (ctx.Err() == nil || !tellsOfStop(err, ctx.Err())) {
			logNotice(LOG_ERR, "reload: "+err.Error())
		}
		d.notify.ready(ctx)
	}
}

// runAction runs the action, again and again where it respawns.
func (d *daemon) runAction(ctx context.Context) error {
	for {
		err := d.program.call(func() error { return d.action(ctx) })
		var fatal *fatalError
		switch {
		case ctx.Err() != nil && tellsOfStop(err, ctx.Err()):
			if !errors.Is(err, ctx.Err()) { // that says nothing to an administrator
				logNotice(LOG_NOTICE, "Stopped: "+err.Error())
			}
			return nil
		case err == nil, d.config.RespawnDelay == 0, ctx.Err() != nil, errors.As(err, &fatal):
			return err
		case !d.decided.Load():
			return err // the failure of the start
		}
		logNotice(LOG_ERR, "unexpected error: "+err.Error())
		logNotice(LOG_NOTICE, "restarting in "+seconds(d.config.RespawnDelay))
		SetStatus("unexpected error, restarting in " + seconds(d.config.RespawnDelay))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d.config.RespawnDelay):
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
