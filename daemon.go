//go:build unix

package daemonize

// Detach, Daemon and Daemonize: the launcher's side, then the daemon's.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// marker names the environment variable by which a launcher tells the copy of
// itself that it starts to become the daemon; cdaemon.h has the same name.
const marker = "DAEMONIZE_BOOT"

// bootState is what became of the marker before main.
type bootState int

const (
	bootNone    bootState = iota // no marker: an ordinary run, which may launch
	bootRefused                  // a marker that does not count: never launch
	bootMissing                  // the constructor is not linked in: never launch
	bootDaemon                   // we are the daemon
	bootForked                   // we are the daemon, forked first: no launcher in Go has checked anything
)

type bootResult struct {
	state  bootState
	report int // the report socket, close on exec, in bootDaemon and bootForked
}

// boot is how this process began, and origin what it began with: the daemon
// runs main again, and must find what the launcher found.
var (
	boot   bootResult
	origin struct {
		args, env []string
		dir       string
	}
)

func init() {
	value, seen := os.LookupEnv(marker)
	os.Unsetenv(marker) // in any case: children must not find it
	origin.args = slices.Clone(os.Args)
	origin.env = os.Environ()
	origin.dir, _ = syscall.Getwd() // "" if it is gone: then there is no way back to it
	boot = sysBoot(value, seen)
	if isDaemon() {
		_ = sysCloseInForks(forkReport, boot.report) // else the launcher might wait for the child as well
	}
}

// err says why a process in this state cannot become a daemon.
func (b bootResult) err() error {
	switch b.state {
	case bootRefused:
		return fmt.Errorf("daemonize: the environment variable %s was set, but not for this process by a launcher of this program: unset it and start again", marker)
	case bootMissing:
		return errors.New("daemonize: the C constructor that calls daemon(3) did not run: the program was linked with -ldflags=-linkmode=internal; link without it, or build with CGO_ENABLED=0 or -tags daemonizego")
	}
	return nil
}

// isDaemon is true in the process that the launcher made to be the daemon.
func isDaemon() bool { return boot.state == bootDaemon || forkedFirst() }

// forkedFirst is true in a daemon of package forkfirst: its launcher is C, so
// all that a launcher in Go says and checks is up to us.
func forkedFirst() bool { return boot.state == bootForked && !stoodDown.Load() }

// stoodDown is set when a process that forked first is not to be the daemon
// after all.
var stoodDown atomic.Bool

// standDown returns err, from before a start proper. A process that forked
// first is an ordinary one from here on: it says itself what there is to
// say, while the launcher waits for its end, to end with the same status.
// If the launcher goes away, it gets SIGTERM.
func standDown(err error) error {
	if !forkedFirst() || detached.Load() || !stoodDown.CompareAndSwap(false, true) {
		return err
	}
	s := &starter{report: pollable(boot.report, "report"), abandoned: func() { _ = unix.Kill(os.Getpid(), unix.SIGTERM) }}
	_ = writeFrame(s.report, frame{kind: frameOwn})
	go s.watch()
	return err
}

// detached is set once this process has become the daemon, or has launched
// one: main runs again up to the first call, so a second one cannot be told
// from it.
var detached atomic.Bool

var errSecondCall = errors.New("daemonize: a process can become or launch a daemon only once: this is its second call")

// Detach becomes a daemon, as daemon(3) does, and lets the program say when
// it is up. The launcher, which is the process that was started, waits in
// Detach and does not return from it: it ends with status 0 once the daemon
// calls ready(nil); it prints err and ends with status 1 once the daemon
// calls ready(err); it says so and ends with status 1 if the daemon dies
// before. It waits without a limit, so call ready. If the launcher goes away
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
		err := launch(noclose, func(string) {})
		if err == nil {
			os.Exit(exitDone)
		}
		failed := (*StartError)(nil)
		if errors.As(err, &failed) {
			os.Stderr.Write(failed.Stderr)
		}
		if failed != nil && failed.PID != 0 {
			fmt.Fprintln(os.Stderr, message(programName(), failed))
			os.Exit(failed.ExitCode)
		}
		return nil, err
	}
	if forkedFirst() {
		null, err := openNull() // as a launcher does
		if err != nil {
			return nil, standDown(fmt.Errorf("daemonize: start: %w", err))
		}
		null.Close()
	}
	s, err := attach(programName(), nochdir, noclose, func() { os.Exit(exitFailed) })
	if err != nil {
		return nil, err
	}
	return func(err error) {
		if err != nil {
			s.fail(exitFailed, errors.New(err.Error())) // no *RunningError, which would return in the launcher
			return
		}
		s.ready()
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

// mayLaunch refuses processes whose copy could not become a daemon.
func mayLaunch() error {
	switch err := boot.err(); {
	case err != nil:
		return err
	case detached.Load():
		return errSecondCall
	case os.Getpid() == 1:
		return errors.New("daemonize: this is PID 1, the init of a container, which ends when it ends: stay in the foreground (the command run)")
	case secureMode():
		return &fs.PathError{Op: "daemonize", Path: "set-user-ID or set-group-ID program, or one with file capabilities, see getcap(8) (its caller could choose what becomes a daemon: start it as that user instead, or as root with PrivilegedAction)", Err: unix.EPERM}
	}
	return nil
}

// launch starts the copy of this program that becomes the daemon and waits
// for its verdict; nil means that it is ready. watch hears how far it has come.
func launch(noclose bool, watch func(stage string)) error {
	if err := mayLaunch(); err != nil {
		return err
	}
	report, theirs, err := reportPair()
	if err != nil {
		return fmt.Errorf("daemonize: start: %w", err)
	}
	defer report.Close()
	defer theirs.Close()
	if noclose {
		if err := sendStdio(report); err != nil {
			return fmt.Errorf("daemonize: start: %w", err)
		}
	}
	stderr, theirStderr, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("daemonize: start: %w", err)
	}
	defer stderr.Close()
	defer theirStderr.Close()
	null, err := openNull()
	if err != nil {
		return fmt.Errorf("daemonize: start: %w", err)
	}
	defer null.Close()
	// The daemon must not have what we were started with.
	if err := setCloseOnExec(); err != nil {
		return fmt.Errorf("daemonize: start: cannot keep our descriptors from the daemon: %w", err)
	}
	exe, err := executable()
	if err != nil {
		return fmt.Errorf("daemonize: start: cannot find this program to run it again: %w", err)
	}
	child, err := os.StartProcess(exe, origin.args, &os.ProcAttr{
		Dir: originDir(),
		// Position 3 is the descriptor that the marker names.
		Env:   append(slices.Clip(origin.env), fmt.Sprintf("%s=%d:%d", marker, os.Getpid(), 3)),
		Files: []*os.File{null, null, theirStderr, theirs},
	})
	if err != nil {
		hint := "is /proc mounted, and the number of processes below ulimit -u?"
		if errors.Is(err, unix.EACCES) {
			hint = "is its file system mounted noexec?"
		}
		return fmt.Errorf("daemonize: start: cannot run this program again (%s): %w", hint, err)
	}
	theirs.Close()
	theirStderr.Close()
	return await(report, stderr, child, watch)
}

// originDir is the directory to start the copy in: "" where it is ours.
func originDir() string {
	if now, err := syscall.Getwd(); err == nil && now == origin.dir {
		return ""
	}
	return origin.dir
}

// openNull opens /dev/null and, as daemon(3) does, refuses anything else of
// that name.
func openNull() (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || !isNull(&st) {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: os.DevNull, Err: unix.ENODEV}
	}
	return f, nil
}

// starter is the daemon's side of a start: from the call until ready.
type starter struct {
	name      string // what messages are signed with
	report    *os.File
	noclose   bool
	forked    bool               // the launcher is C and knows no words
	abandoned func()             // ends the process when the launcher has gone away
	seen      func(stage string) // hears how far it has come, if forked
	over      func()             // is called before the verdict, perhaps twice

	mu   sync.Mutex // guards done: one verdict, by whoever comes first
	done bool
}

// attach is the rest of daemon(3), at the call, in the daemon. An error has
// been reported.
func attach(name string, nochdir, noclose bool, abandoned func()) (*starter, error) {
	if !detached.CompareAndSwap(false, true) {
		return nil, errSecondCall
	}
	s := &starter{name: name, report: pollable(boot.report, "report"), noclose: noclose, forked: forkedFirst(),
		abandoned: abandoned, seen: func(string) {}, over: func() {}}
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

// toNull puts /dev/null on the descriptors.
func toNull(fds ...int) error {
	null, err := openNull()
	if err != nil {
		return err
	}
	defer null.Close()
	for _, fd := range fds {
		if err := dup2(int(null.Fd()), fd); err != nil {
			return os.NewSyscallError("dup2", err)
		}
	}
	return nil
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
		s.abandoned()
	}
}

// stage tells the launcher how far the start has come: it is what it says of
// a daemon that dies next.
func (s *starter) stage(how string) {
	f := frame{kind: frameStage, text: how}
	if s.forked {
		s.seen(how)
		f.text = s.name + ": " + died(os.Getpid(), how)
	}
	_ = writeFrame(s.report, f)
	stopAt(how)
}

// ready lets the launcher end with status 0 and takes standard error from it.
// If the launcher is gone, so are we.
func (s *starter) ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	s.over()
	if !s.noclose {
		// First: once the launcher has gone, writing to its pipe kills.
		if err := toNull(2); err != nil {
			s.refuse(exitFailed, err)
			s.abandoned()
			return
		}
	}
	if s.verdict(frame{kind: frameReady}) != nil {
		s.abandoned()
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
		s.over()
		fmt.Fprintln(os.Stderr, message(s.name, err)) // the terminal's still
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
