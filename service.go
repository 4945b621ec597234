// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// The face of a service: Serviced, New, Service and its verbs.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Service is a daemon with its verbs. [New] makes one; the zero value is of no
// use. Stop, Reload and Status may be called at any time, Start, Restart and
// Run by one goroutine at a time.
type Service[T any] struct{ s *service }

// service is a Service without its type parameter.
type service struct {
	config     settings
	pidfile    string // its path
	privileged func() error
	action     func(context.Context) error
}

// Serviced is pydaemonize's serviced: it obeys the one verb that the program
// was given as its argument and never returns. See [Service.Command] for the
// verbs and the exit codes; a config that cannot be used is 6. Root's daemon
// drops its privileges; anybody else needs a PidfileDirectory of their own.
func Serviced[T any](action func(ctx context.Context, privileged T) error, config *Config[T]) {
	s, err := New(action, config)
	if err != nil {
		fmt.Fprintln(os.Stderr, message(programName(), declineStart(err)))
		os.Exit(exitNotConfigured)
	}
	os.Exit(s.Command(os.Args[1:]))
}

// New returns a service for programs that have a command line of their own.
// The error says which field of config cannot be used; an action that is nil is
// one, too. New looks at no file and no account, and needs no privilege.
//
// The action's context ends on SIGTERM and SIGINT. The action must return then, else
// stop kills it after Config.StopTimeout. A loop that never looks at its context is
// made to listen by one of these:
//
//	for ctx.Err() == nil { … } // between two steps
//	select { case <-ctx.Done(): return nil; case <-time.After(time.Minute): } // instead of Sleep
//
// What blocks, such as Accept, is ended by context.AfterFunc(ctx, f), where f closes
// what it waits for.
//
// When the action returns, the daemon ends: with exit code 0 after nil, and with 1
// after an error or a panic, which are logged as LOG_ERR. Once the context has ended,
// an error that only tells of the stop is not a failure: the daemon logs it
// as LOG_NOTICE and ends with 0. Such errors are those whose innermost cause
// (errors.Unwrap) says as its last word that something was closed, stopped, shut down
// or canceled, as context.Canceled, [http.ErrServerClosed], net.ErrClosed, fs.ErrClosed
// and sql's "database is closed" do; and the end of a child process by SIGTERM,
// SIGINT or SIGKILL, which exec.CommandContext sends. Of several joined
// errors each must be such. All others stay failures: a Shutdown that exceeds its
// deadline, a disk that is full.
//
// From ready on, package log's default logger writes to syslog with LOG_NOTICE, and
// without date and time, unless the program has given it another writer than
// os.Stderr, or Config.OutputFile is set. With it go package slog's default and
// net/http's error log. A message is in syslog when log.Print returns, and so is
// log.Fatal's before the exit, if the syslog daemon takes records: it waits 250 ms
// for one that does not. In [Service.Run], standard error has it, too.
func New[T any](action func(context.Context, T) error, config *Config[T]) (*Service[T], error) {
	var c Config[T]
	if config != nil {
		c = *config
	}
	if action == nil {
		return nil, badConfig("the action is nil")
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := &service{
		config:     c.settings(),
		pidfile:    filepath.Clean(c.Pidfile),
		privileged: func() error { return nil },
	}
	var result T
	if c.PrivilegedAction != nil {
		s.privileged = func() (err error) {
			result, err = c.PrivilegedAction()
			return err
		}
	}
	s.action = func(ctx context.Context) error { return action(ctx, result) }
	return &Service[T]{s}, nil
}

// Start starts the daemon and returns in the launcher: nil once it is ready, a
// [*RunningError] if it runs already, a [*StartError] with the reason and what
// the daemon wrote to standard error if it failed or died. Other errors are of
// before the start: an fs.ErrPermission, a directory or an account that cannot
// be used. In the daemon it does not return: the process ends with the action.
//
// Ready means that PrivilegedAction has succeeded, the pidfile is locked and
// written, the privileges are dropped and, with Config.ReadyByAction, the action has
// called [Ready]. Start waits for that without a limit, or for Config.StartTimeout.
// If the launcher goes away first, the daemon ends, too. A process can
// launch one daemon only: the copy that becomes it runs main up to the first
// Start. It needs the right to write in PidfileDirectory.
//
// If the Go runtime ends the daemon, after a panic in a goroutine of its own,
// concurrent map writes or a signal in C code that Go called, what it prints is kept
// in NAME.crash beside the pidfile (debug.SetCrashOutput): Status shows what it
// says first, and the next Start or Run writes it, up to 256 KiB, to syslog and
// clears it. GOTRACEBACK=none counts as single there, else nothing would be kept of a
// fatal error; the line "fatal error: …" itself goes to standard error alone. Of a
// signal on a thread that C code made the runtime prints nothing: allow core dumps
// (RLIMIT_CORE, core(5)) to learn of those. A
// clean end leaves no such file; where the daemon's user has no right to unlink
// it, Stop does, if it is empty.
func (s *Service[T]) Start() error { return s.s.start(nil) }

// Stop ends the daemon that holds the pidfile: SIGTERM, and SIGKILL after
// StopTimeout. It returns as soon as the daemon is gone. [ErrNotRunning] if
// there is none; a pidfile left by a daemon that died is removed. One that is
// just starting is waited for, within StopTimeout. A process that outlives
// SIGKILL by 2 seconds is an error.
//
// A daemon that SIGKILL had to end is no error: it is gone. Stop calls Openlog with
// Config's values then, and logs that as LOG_WARNING; Command prints it, too. The
// usual cause is an action that does not look at its context, see [New].
//
// On Linux it signals through a pidfd (pidfd_send_signal(2)) where there is one,
// else by kill(2); the daemon alone, not its children. It needs root, or the
// user who started the daemon; for others the error is an fs.ErrPermission.
func (s *Service[T]) Stop() error {
	_, err := s.s.stop(nil, func(string) {})
	return err
}

// Restart is Stop, if the daemon runs, and Start, with their errors. What can
// be known to keep it from starting again is found before it is stopped.
//
// The action cannot call Start or Restart: the daemon would have to outlive itself. They
// return an error there. A daemon that wants to begin anew returns an error from its
// action, for Config.RespawnDelay or its supervisor; one that has kept its privileges
// may run its own program with the argument restart.
func (s *Service[T]) Restart() error { return s.s.restart(nil, func(string) {}) }

// Reload sends SIGHUP to the daemon that is proved to hold the pidfile. It does
// not wait for Config.Reload to end: the log tells what came of it.
// [ErrNotRunning] if there is no daemon. Where Config.Reload is nil, nothing is
// sent, and the error is an errors.ErrUnsupported. It needs what Stop needs.
func (s *Service[T]) Reload() error { return s.s.reload() }

// Status says whether a daemon holds the pidfile, and its pid; and after a
// crash, to those who may read it, what the Go runtime said first. An error
// goes with Unknown. On Linux, state and pid need no privilege where the pidfile
// is on tmpfs, ext4 or xfs; elsewhere who may not read it may get Unknown and an
// fs.ErrPermission.
func (s *Service[T]) Status() (Status, error) { return s.s.status() }

// Run is the daemon in the foreground, for containers, where it may be PID 1,
// for supervisors and for debugging: this process takes every step of Start
// but those that detach it. The working directory becomes /, the umask
// Config.Umask; standard input, output and error and all descriptors stay. It
// returns what the action returns, nil if that only tells of the stop, see [New]. The action's
// context is made from ctx; SIGTERM and Ctrl-C end it, too, and a second Ctrl-C ends
// the process, as the first one does, and SIGTERM, while PrivilegedAction runs. If
// PrivilegedAction fails, or the action before it was ready (Config.ReadyByAction), it
// is a [*StartError] with the text. Run may be called again. As PID 1 it reaps
// no children but its own: if those leave orphans, put an init before it. It
// needs the privileges that the config asks for; a set-user-ID program is
// refused with an fs.ErrPermission.
//
// What is logged goes to standard error as well, unless systemd's journal reads
// that and would have it twice (JOURNAL_STREAM of systemd.exec(5)). If
// the pidfile cannot be written, because its directory is missing, read-only,
// full or another user's, Run says so and goes on without; but a
// [*RunningError] if another daemon holds it.
//
// A supervisor that set NOTIFY_SOCKET, as systemd does for Type=notify, is told
// when the daemon is ready, reloads and stops, and what [SetStatus] says: see
// sd_notify(3). Sockets that it opened are in [ListenFiles].
func (s *Service[T]) Run(ctx context.Context) error {
	_, err := s.s.runInForeground(ctx)
	return err
}

// Command obeys one verb, start, stop, restart, status, reload or run, and
// prints what an administrator must know. args are those behind the program's
// name, os.Args[1:], or what is left of them after flags. It returns the exit
// code: 0 done, 1 failed, 2 usage, 3 not implemented, 4 not permitted, 6 not
// configured, 7 not running (reload); for status 0 running, 1 dead with a
// pidfile left, 3 stopped, 4 unknown. Stopping a daemon that does not run is
// done. help, -h and --help print the usage to standard output and return 0. In
// the daemon, start and restart do not return. Programs with verbs of their own
// have the same codes from [ExitCode] and [State.ExitCode].
//
// If standard error is a terminal, a start or stop that takes longer than a
// second says there what it waits for, on a line that goes away again.
func (s *Service[T]) Command(args []string) int { return s.s.command(args) }
