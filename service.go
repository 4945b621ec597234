//go:build unix

package daemonize

// Config, Service and Serviced: the verbs, usage and exit codes, and the life of a daemon.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

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

// Config holds the arguments of pydaemonize's serviced. A nil *Config and
// the zero value mean the defaults.
type Config[T any] struct {
	// PrivilegedAction runs in the daemon before the privileges are dropped,
	// to bind a low port, say. Its result goes to the action. It may take as
	// long as it needs. An error or a panic ends the start and reaches the
	// terminal; the exit code is 1. It must not chroot(2) or unshare the mount
	// namespace: the pidfile is written after it. nil: the action gets T's zero
	// value.
	PrivilegedAction func() (T, error)

	// Name names the daemon in syslog, messages and the pidfile: 1 to 200
	// bytes without '/' and control characters. Default: the base name of
	// os.Args[0], but in a set-user-ID program, whose caller chooses that.
	Name string

	// User and Group are who the daemon becomes when it is started by root: a
	// name, or an id in decimal if no name is the same. Default: the user and
	// the group called Name if there are such, else daemon; where User is set
	// and Group is not, and no group is called Name, that user's own group. One
	// that is set but does not exist is an error. Started by anyone else the
	// daemon stays who it is; a User or Group other than that is an
	// fs.ErrPermission, exit code 4. With the user come initgroups(3)'s
	// supplementary groups, and HOME, USER and LOGNAME as a login sets them.
	// Only "root" or "0" stays root.
	User, Group string

	// AllowNewPrivileges leaves no_new_privs (prctl(2)) unset. By default the
	// drop sets it on Linux, on every thread, for good, so that no set-user-ID
	// program that the daemon runs, such as sudo or ping, gives anything back.
	AllowNewPrivileges bool

	// SyslogOptions is a mask of openlog(3)'s LOG_PID, LOG_CONS, LOG_NDELAY,
	// LOG_ODELAY, LOG_NOWAIT and LOG_PERROR. 0: none. Any other bit is an
	// error of New.
	SyslogOptions Option

	// SyslogFacility is for messages without a facility. 0: LOG_DAEMON, so
	// LOG_KERN cannot be had. What is no facility leaves LOG_USER.
	SyslogFacility Priority

	// PidfileDirectory is an absolute path. It must belong to root or to the
	// user who starts the daemon, and not be writable by others (for root, nor
	// by its group), unless it is sticky, as /tmp is; else the start is refused,
	// exit code 6. Default: /var/run.
	PidfileDirectory string

	// StopTimeout is the time between SIGTERM and SIGKILL. 0: 4 seconds.
	// Negative is an error of New.
	StopTimeout time.Duration

	// Umask is the daemon's umask(2). 0: 022; an action that wants 0 calls
	// umask(2). More than the nine permission bits is an error of New.
	Umask os.FileMode

	// Reload runs on SIGHUP, as the user that the daemon has become, one call
	// at a time, beside the action, whose context it gets. Its error or panic is
	// logged and does not end the daemon. nil: SIGHUP is ignored.
	Reload func(context.Context) error

	// RespawnDelay is the pause before an action that failed or panicked is
	// run again, with the same result of PrivilegedAction: hdaemonize's
	// behaviour, which waits 5 seconds. It does not run again after nil, after
	// an error that [Fatal] has marked, nor once it was told to stop. 0: it is
	// not run again. Negative is an error of New.
	RespawnDelay time.Duration
}

// Service is a daemon with its verbs. [New] makes one; the zero value is of no
// use. Stop, Reload and Status may be called at any time, Start, Restart and
// Run by one goroutine at a time.
type Service[T any] struct{ s *service }

// service is a Service without its type parameter.
type service struct {
	name, user, group string
	allowNewPrivs     bool
	options           Option
	facility          Priority
	pidfile           string
	stopTimeout       time.Duration
	umask             int
	reloadAction      func(context.Context) error
	respawnDelay      time.Duration
	privileged        func() error
	action            func(context.Context) error

	held         atomic.Pointer[pidfile]
	crash        atomic.Pointer[crashFile] // beside held
	signals      chan os.Signal            // once it catches them
	inForeground bool                      // run, not start
	notify       *notifier                 // in run, if a supervisor asked for it
	notices      []string                  // to log as soon as there is a log
	logged       bool                      // serve has logged its error
}

// Serviced is pydaemonize's serviced: it obeys the one verb that the program
// was given as its argument and never returns. See [Service.Command] for the
// verbs and the exit codes; a config that cannot be used is 6. Root's daemon
// drops its privileges; anybody else needs a PidfileDirectory of their own.
func Serviced[T any](action func(ctx context.Context, privileged T) error, config *Config[T]) {
	s, err := New(action, config)
	if err != nil {
		fmt.Fprintln(os.Stderr, message(programName(), standDown(err)))
		os.Exit(exitNotConfigured)
	}
	os.Exit(s.Command(os.Args[1:]))
}

// New returns a service for programs that have a command line of their own.
// The error says which field of config cannot be used; an action that is nil is
// one, too. New looks at no file and no account, and needs no privilege.
//
// The action's context ends on SIGTERM and SIGINT; the action should return
// then. Whatever it returns, the daemon ends, with exit code 0 after nil
// and 1 after an error or a panic, which are logged.
func New[T any](action func(context.Context, T) error, config *Config[T]) (*Service[T], error) {
	var c Config[T]
	if config != nil {
		c = *config
	}
	s := &service{
		name: c.Name, user: c.User, group: c.Group, allowNewPrivs: c.AllowNewPrivileges,
		options: c.SyslogOptions, facility: c.SyslogFacility,
		stopTimeout: c.StopTimeout, umask: int(c.Umask),
		reloadAction: c.Reload, respawnDelay: c.RespawnDelay,
		privileged: func() error { return nil },
	}
	if action == nil {
		return nil, errors.New("daemonize: the action is nil")
	}
	if err := s.complete(c.PidfileDirectory); err != nil {
		return nil, err
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

// complete checks the fields and puts the defaults in.
func (s *service) complete(directory string) error {
	if s.name == "" {
		if setUserID() {
			return errCallersName
		}
		s.name = programName()
	}
	if err := checkName(s.name); err != nil {
		return err
	}
	if directory == "" {
		directory = "/var/run"
	}
	if !filepath.IsAbs(directory) {
		return &configError{fmt.Errorf("daemonize: PidfileDirectory %q is not an absolute path: the daemon's working directory is /", directory)}
	}
	s.pidfile = filepath.Join(directory, s.name+".pid")
	if s.stopTimeout == 0 {
		s.stopTimeout = 4 * time.Second
	}
	if s.umask == 0 {
		s.umask = 0o022
	}
	if s.facility == 0 {
		s.facility = LOG_DAEMON
	}
	const known = LOG_PID | LOG_CONS | LOG_NDELAY | LOG_ODELAY | LOG_NOWAIT | LOG_PERROR
	switch {
	case s.stopTimeout < 0, s.respawnDelay < 0:
		return &configError{errors.New("daemonize: StopTimeout and RespawnDelay cannot be negative")}
	case s.umask&^0o777 != 0:
		return &configError{fmt.Errorf("daemonize: Umask %#o is more than the nine permission bits", s.umask)}
	case s.options&^known != 0:
		return &configError{fmt.Errorf("daemonize: SyslogOptions %#x: only openlog(3)'s LOG_PID, LOG_CONS, LOG_NDELAY, LOG_ODELAY, LOG_NOWAIT and LOG_PERROR are known", int(s.options))}
	}
	return nil
}

// errCallersName: stop would remove the pidfile of whatever daemon the caller likes.
var errCallersName = &configError{errors.New("daemonize: a set-user-ID or set-group-ID program has no name but the one that its caller chooses: set Name")}

// checkName refuses what cannot name a file and a syslog tag.
func checkName(name string) error {
	bad := func(why string) error {
		return &configError{fmt.Errorf("daemonize: the daemon's name %.40q %s: set Name to 1 to 200 bytes without '/' and control characters", name, why)}
	}
	switch {
	case name == "" || name == "." || name == "..":
		return bad("names no file")
	case len(name) > 200:
		return bad("is too long")
	case strings.ContainsRune(name, '/'):
		return bad("contains '/'")
	case strings.ContainsFunc(name, unicode.IsControl):
		return bad("contains a control character")
	}
	return nil
}

// Start starts the daemon and returns in the launcher: nil once it is ready, a
// [*RunningError] if it runs already, a [*StartError] with the reason and what
// the daemon wrote to standard error if it failed or died. Other errors are of
// before the start: an fs.ErrPermission, a directory or an account that cannot
// be used. In the daemon it does not return: the process ends with the action.
//
// Ready means that PrivilegedAction has succeeded, the pidfile is locked and
// written, and the privileges are dropped. Start waits for that without a
// limit. If the launcher goes away first, the daemon ends, too. A process can
// launch one daemon only: the copy that becomes it runs main up to the first
// Start. It needs the right to write in PidfileDirectory.
//
// If the Go runtime ends the daemon, after a panic in a goroutine of its own,
// concurrent map writes or a signal in C code, what it prints is kept in
// NAME.crash beside the pidfile (debug.SetCrashOutput): Status shows the first
// line, and the next Start or Run writes it, up to 256 KiB, to syslog and clears it. A
// clean end leaves no such file; where the daemon's user has no right to unlink
// it, Stop does, if it is empty.
func (s *Service[T]) Start() error { return s.s.start(nil) }

// Stop ends the daemon that holds the pidfile: SIGTERM, and SIGKILL after
// StopTimeout. It returns as soon as the daemon is gone. [ErrNotRunning] if
// there is none; a pidfile left by a daemon that died is removed. One that is
// just starting is waited for, within StopTimeout. A process that outlives
// SIGKILL by 2 seconds is an error.
//
// On Linux it signals through a pidfd (pidfd_send_signal(2)) where there is one,
// else by kill(2); the daemon alone, not its children. It needs root, or the
// user who started the daemon; for others the error is an fs.ErrPermission.
func (s *Service[T]) Stop() error { return s.s.stop() }

// Restart is Stop, if the daemon runs, and Start, with their errors. What can
// be known to keep it from starting again is found before it is stopped.
func (s *Service[T]) Restart() error { return s.s.restart(nil) }

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
// returns what the action returns, nil if that is context.Canceled; SIGTERM and
// Ctrl-C end the action's context, and a second Ctrl-C ends the process. If
// PrivilegedAction fails, it is a [*StartError] with its text. As PID 1 it reaps
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
func (s *Service[T]) Run() error { return s.s.run() }

// Command obeys one verb, start, stop, restart, status, reload or run, and
// prints what an administrator must know. args are those behind the program's
// name, os.Args[1:], or what is left of them after flags. It returns the exit
// code: 0 done, 1 failed, 2 usage, 3 not implemented, 4 not permitted, 6 not
// configured, 7 not running (reload); for status 0 running, 1 dead with a
// pidfile left, 3 stopped, 4 unknown. Stopping a daemon that does not run is
// done. In the daemon, start and restart do not return.
//
// If standard error is a terminal, a start or stop that takes longer than a
// second says there what it waits for, on a line that goes away again.
func (s *Service[T]) Command(args []string) int { return s.s.command(args) }

func (s *service) command(args []string) int {
	verb := ""
	if len(args) == 1 {
		verb = args[0]
	}
	var err error
	switch verb {
	case "start":
		p := newProgress(s.name)
		err = s.start(p)
		p.end()
	case "stop":
		p := newProgress(s.name)
		p.say(s.waitsForEnd())
		err = s.stop()
		p.end()
		if errors.Is(err, ErrNotRunning) {
			fmt.Fprintln(os.Stderr, message(s.name, err))
			return exitDone
		}
	case "restart":
		p := newProgress(s.name)
		err = s.restart(p)
		p.end()
	case "status":
		return s.printStatus()
	case "reload":
		err = s.reload()
		if errors.Is(err, ErrNotRunning) {
			fmt.Fprintf(os.Stderr, "%s is not running.\n", s.name)
			return exitNotRunning
		}
	case "run":
		err = s.run()
		if s.logged { // so it was on standard error
			return exitCode(err)
		}
	default:
		fmt.Fprintf(os.Stderr, "Usage: %s {start|stop|restart|status|reload|run}\n", s.name)
		return exitUsage
	}
	if err == nil {
		return exitDone
	}
	if failed := (*StartError)(nil); errors.As(err, &failed) {
		os.Stderr.Write(failed.Stderr)
	}
	fmt.Fprintln(os.Stderr, message(s.name, err))
	return exitCode(err)
}

func (s *service) status() (Status, error) {
	status, err := probe(s.pidfile)
	if status.State != Running {
		status.Crash = lastWords(s.pidfile)
	}
	return status, err
}

func (s *service) printStatus() int {
	status, err := s.status()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, message(s.name, err))
	case status.State == Running && status.PID != 0:
		fmt.Printf("%s is running (pid %d).\n", s.name, status.PID)
	case status.State == Running:
		fmt.Printf("%s is starting.\n", s.name)
	case status.State == Dead:
		fmt.Printf("%s is dead, but its pidfile %s is left.\n", s.name, s.pidfile)
	default:
		fmt.Printf("%s is not running.\n", s.name)
	}
	if status.Crash != "" {
		fmt.Printf("It crashed: %s (all of it is in %s)\n", status.Crash, crashPath(s.pidfile))
	}
	return int(status.State)
}

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

// start shows in p, if not nil, what it waits for.
func (s *service) start(p *progress) error {
	if isDaemon() && !forkedFirst() {
		os.Exit(s.daemon(nil))
	}
	if err := s.mayStart(); err != nil {
		return standDown(err)
	}
	if os.Geteuid() != 0 { // root's daemon looks itself, and says the same
		if _, err := resolveAccount(s.name, s.user, s.group); err != nil {
			return standDown(err)
		}
	}
	if status, _ := probe(s.pidfile); status.State == Running {
		return standDown(&RunningError{s.pidfile, status.PID})
	}
	p.say("waiting for the daemon to start")
	if forkedFirst() {
		os.Exit(s.daemon(p))
	}
	return launch(false, p.lastSeen)
}

func (s *service) stop() error {
	return stopHolder(s.pidfile, s.stopTimeout, crashPath(s.pidfile))
}

// waitsForEnd is what stop waits for.
func (s *service) waitsForEnd() string {
	return fmt.Sprintf("waiting for the daemon to end (SIGKILL after %s)", seconds(s.stopTimeout))
}

func (s *service) restart(p *progress) error {
	if !isDaemon() || forkedFirst() {
		if err := s.mayStart(); err != nil {
			return standDown(err)
		}
		if _, err := resolveAccount(s.name, s.user, s.group); err != nil {
			return standDown(err)
		}
		p.say(s.waitsForEnd())
		if err := s.stop(); err != nil && !errors.Is(err, ErrNotRunning) {
			return standDown(err)
		}
	}
	return s.start(p)
}

// mayStart finds, before anything has happened, what would fail in the daemon.
func (s *service) mayStart() error {
	if err := mayLaunch(); err != nil {
		return err
	}
	return checkDirectory(filepath.Dir(s.pidfile))
}

var errNoReload = fmt.Errorf("reload: this daemon has nothing to reload: %w", errors.ErrUnsupported)

func (s *service) reload() error {
	if s.reloadAction == nil {
		return errNoReload
	}
	h, err := findHolder(s.pidfile, time.Now().Add(s.stopTimeout))
	if err != nil {
		return err
	}
	defer h.close()
	return h.signal(unix.SIGHUP)
}

// daemon is Start in the daemon; it returns the exit code. p is nil but in one
// that forked first.
func (s *service) daemon(p *progress) int {
	up, err := attach(s.name, false, false, func() {
		s.letGo()
		os.Exit(exitFailed)
	})
	if err != nil {
		return exitFailed // the launcher knows
	}
	up.seen, up.over = p.lastSeen, p.end
	err = s.serve(up)
	if err != nil {
		up.fail(exitCode(err), err) // unless it was ready before
		return exitFailed
	}
	return exitDone
}

// starting is where a start reports to: the launcher, or in run a supervisor.
type starting interface {
	stage(how string)
	ready()
}

// serve is the life of the daemon: from the lock to the last message.
func (s *service) serve(up starting) (err error) {
	up.stage("before it locked its pidfile")
	syscall.Umask(s.umask)
	account, err := resolveAccount(s.name, s.user, s.group)
	if err != nil {
		return err
	}
	lock, err := s.lock()
	if err != nil {
		return err
	}
	s.held.Store(lock) // nil in run, where it cannot be written
	defer s.letGo()

	Openlog(s.name, s.options, s.facility)
	tell(LOG_NOTICE, "Starting.")
	defer func() {
		s.notify.stopping()
		if err != nil {
			tell(LOG_ERR, err.Error())
			s.logged = true
		}
		tell(LOG_NOTICE, "Exiting.")
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
		tell(LOG_WARNING, notice)
	}
	const privileged = "while it ran its privileged action"
	up.stage(privileged)
	sink := func(text string) {
		s.notify.send("STATUS=" + text)
		up.stage(privileged + ": " + text) // once it is ready, nobody listens
	}
	statusSink.Store(&sink)
	defer statusSink.Store(nil)
	if err := protect(s.privileged); err != nil {
		// Whatever it is, it is the program's own failure: never 4 or 6.
		return &StartError{Reason: "privileged action: " + err.Error(), ExitCode: exitFailed}
	}
	up.stage("before it wrote its pidfile")
	ctx, hangups, stop := s.handleSignals() // from here on stop finds us
	defer stop()
	over()
	if lock != nil {
		err := lock.write(fmt.Sprint(os.Getpid()))
		if errors.Is(err, errAgain) {
			err = fmt.Errorf("write pidfile %s: it was removed or replaced since this start locked it, or PrivilegedAction has changed the root directory", s.pidfile)
		}
		if err != nil && (!s.inForeground || !unwritable(err)) {
			return err
		}
		if err != nil { // the lock alone keeps a second one from running
			tell(LOG_WARNING, noPidfile+err.Error())
		}
	}
	up.stage("while it dropped its privileges")
	if err := account.drop(s.allowNewPrivs); err != nil {
		return err
	}
	up.stage("after it dropped its privileges")
	if ctx.Err() != nil {
		return errToldToStop
	}
	up.ready()
	go s.serveReloads(ctx, hangups) // not before the drop: Reload is not for root to run
	return s.act(ctx)
}

// letGo removes the pidfile, once, and the crash file first: it goes with the
// lock.
func (s *service) letGo() {
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
		if s.reloadAction == nil {
			continue
		}
		s.notify.reloading()
		if err := protect(func() error { return s.reloadAction(ctx) }); err != nil {
			tell(LOG_ERR, "reload: "+err.Error())
		}
		if ctx.Err() == nil {
			s.notify.send("READY=1")
		}
	}
}

// act runs the action, again and again where it respawns.
func (s *service) act(ctx context.Context) error {
	for {
		err := protect(func() error { return s.action(ctx) })
		var fatal *fatalError
		switch {
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			return nil // it was told to
		case err == nil, s.respawnDelay == 0, ctx.Err() != nil, errors.As(err, &fatal):
			return err
		}
		tell(LOG_ERR, "unexpected error: "+err.Error())
		tell(LOG_NOTICE, "restarting in "+seconds(s.respawnDelay))
		SetStatus("unexpected error, restarting in " + seconds(s.respawnDelay))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.respawnDelay):
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

// protect turns a panic and runtime.Goexit of f into errors. f runs in a
// goroutine of its own, as Goexit takes its goroutine along.
func protect(f func() error) error {
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

// tellPatience is how long a message of ours may hold us up: a stopped
// syslogd blocks syslog(3) for ever, and a stop must not wait for it.
const tellPatience = 250 * time.Millisecond

// tell logs a message of the library's own. It is false if that took too long.
func tell(priority Priority, text string) bool {
	done := make(chan struct{})
	go func() {
		Syslog(priority, text)
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(tellPatience):
		return false
	}
}
