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
// use. Any goroutine may call Stop, Reload and Status at any time. One goroutine at a
// time may call Start, Restart or Run.
type Service[T any] struct{ s *service }

// service is a Service without its type parameter.
type service struct {
	config     settings
	pidfile    string // its path
	privileged func() error
	action     func(context.Context) error
}

// Serviced is pydaemonize's serviced: it obeys the one verb that the program
// was given as its argument, and never returns. See [Service.Command] for the
// verbs and the exit codes. A config that cannot be used is exit code 6. A daemon that
// root starts drops its privileges. Anybody else needs a PidfileDirectory of their own.
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
// stop kills the daemon after Config.StopTimeout. A loop can look at its context in one
// of these ways:
//
//	for ctx.Err() == nil { … } // between two steps
//	select { case <-ctx.Done(): return nil; case <-time.After(time.Minute): } // instead of Sleep
//
// A call that blocks, such as Accept, ends if something closes what it waits for: do
// that in a function f, with context.AfterFunc(ctx, f).
//
// When the action returns, the daemon ends: with exit code 0 after nil, and with 1
// after an error or a panic, which are logged as LOG_ERR. Once the context has ended,
// an error that only tells of the stop is not a failure: the daemon logs it
// as LOG_NOTICE and ends with 0. Such an error is one whose innermost cause
// (errors.Unwrap) says as its last word that something was closed, stopped, shut down
// or canceled: context.Canceled, [http.ErrServerClosed], net.ErrClosed, fs.ErrClosed
// and sql's "database is closed" do. Such an error is also the end of a child process by
// SIGTERM, SIGINT or SIGKILL, which exec.CommandContext sends. Of several joined errors
// each must be such. All others stay failures: a Shutdown that exceeds its deadline, a
// disk that is full.
//
// From ready on, package log's default logger writes to syslog with LOG_NOTICE,
// without date and time. Package slog's default logger and net/http's error log write
// there with it. Package log is left alone if the program has given it another writer
// than os.Stderr, or if Config.OutputFile is set. A message is in syslog when
// log.Print returns, and log.Fatal's is before the exit, if the syslog daemon takes
// records. For a syslog daemon that takes none, log.Print waits 250 ms, and then no
// longer. In [Service.Run], package log writes to syslog and to standard error.
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
// [*RunningError] if the daemon runs already, a [*StartError] with the reason and what
// the daemon wrote to standard error if the daemon failed or died. Other errors mean
// that no daemon was launched: an fs.ErrPermission, a directory or an account that
// cannot be used. In the daemon Start does not return: the process ends with the action.
//
// Ready means that PrivilegedAction has succeeded, the pidfile is locked and
// written, the privileges are dropped and, with Config.ReadyByAction, the action has
// called [Ready]. Start waits for that without a limit, or for Config.StartTimeout.
// If the launcher goes away first, the daemon ends, too. A process can launch one
// daemon only: the copy that becomes the daemon runs main up to the first Start. Start
// needs the right to write in PidfileDirectory.
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

// Stop ends the daemon that holds the pidfile: it sends SIGTERM, and SIGKILL after
// Config.StopTimeout. It returns as soon as the daemon is gone. If there is no daemon,
// the error is [ErrNotRunning], and a pidfile that a dead daemon left is removed. Stop
// waits for a daemon that is just starting, within StopTimeout. If the process outlives
// SIGKILL by 2 seconds, that is an error.
//
// It is no error if SIGKILL had to end the daemon: the daemon is gone. Then Stop calls
// Openlog with Config's values and logs a LOG_WARNING; Command prints it, too. The
// usual cause is an action that does not look at its context, see [New].
//
// On Linux, Stop signals through a pidfd (pidfd_send_signal(2)) where there is one,
// else by kill(2). It signals the daemon alone, not its children. It needs root, or the
// user who started the daemon; for others the error is an fs.ErrPermission.
func (s *Service[T]) Stop() error {
	_, err := s.s.stop(nil, func(string) {})
	return err
}

// Restart is Stop, if the daemon runs, then Start, with their errors. Before it stops
// the daemon, it looks for what would prevent the start: a directory or an account that
// cannot be used, say.
//
// The action cannot call Start or Restart: the daemon would have to outlive itself. They
// return an error there. A daemon that wants to begin anew returns an error from its
// action, for Config.RespawnDelay or its supervisor; one that has kept its privileges
// may run its own program with the argument restart.
func (s *Service[T]) Restart() error { return s.s.restart(nil, func(string) {}) }

// Reload sends SIGHUP to the daemon that is proved to hold the pidfile. It does
// not wait for Config.Reload to end: the log tells what came of it.
// If there is no daemon, the error is [ErrNotRunning]. Where Config.Reload is nil and
// Config.OutputFile is empty, nothing is sent, and the error is an
// errors.ErrUnsupported. It needs the same privilege as Stop.
func (s *Service[T]) Reload() error { return s.s.reload() }

// Status says whether a daemon holds the pidfile, and its pid; and after a
// crash, to those who may read it, what the Go runtime said first. If the error is
// not nil, the state is Unknown. On Linux, state and pid need no privilege where the
// pidfile is on tmpfs, ext4 or xfs. On other file systems and other systems, those who
// may not read the pidfile may get Unknown and an fs.ErrPermission.
func (s *Service[T]) Status() (Status, error) { return s.s.status() }

// Run is the daemon in the foreground, for containers, where it may be PID 1,
// for supervisors and for debugging: this process takes every step of Start
// but those that detach it. The working directory becomes / and the umask
// Config.Umask. Standard input, output and error and all other descriptors stay.
//
// Run returns what the action returns, or nil if that only tells of the stop, see [New].
// If PrivilegedAction fails, or the action fails before it is ready
// (Config.ReadyByAction), the error is a [*StartError] with the text. Run may be called
// again. The action's context is made from ctx. SIGTERM and Ctrl-C end it, too. A second
// Ctrl-C ends the process. While PrivilegedAction runs, SIGTERM and the first Ctrl-C end
// the process, for PrivilegedAction has no context.
//
// As PID 1, Run reaps no children but its own: if they leave orphans, start an init as
// PID 1 that starts the program. Run needs the privileges that the config asks for. A
// set-user-ID program gets an fs.ErrPermission.
//
// What is logged goes to standard error as well, unless systemd's journal reads
// standard error and would have each record twice (JOURNAL_STREAM of systemd.exec(5)).
// If the pidfile cannot be written, because its directory is missing, read-only, full or
// another user's, Run says so and goes on without a pidfile. If another daemon holds the
// pidfile, the error is a [*RunningError].
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
