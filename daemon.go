// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Detach, Daemon and Daemonize, and the daemon's side of a start: from the call until ready.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// detached is set once this process has become the daemon, or has launched
// one: main runs again up to the first call, so a second one cannot be told
// from it.
var detached atomic.Bool

// Detach becomes a daemon, as daemon(3) does, and lets the program say when
// it is up. The launcher, which is the process that was started, waits in
// Detach and does not return from it. If the daemon calls ready(nil), the launcher ends
// with status 0. If the daemon calls ready(err), the launcher prints err and ends with
// status 1. The launcher waits without a limit, so call ready. If the launcher goes away
// first, the daemon ends, too. Only the first call of ready counts. It ends the launcher
// alone: after ready(err) the program should exit.
//
// If the daemon exits before it calls ready, the launcher ends with the daemon's exit
// status. It says that the daemon ended, and ends with 1, if that status was 0, if a
// signal killed the daemon, or in a build with cgo for a system other than Linux, where it
// cannot know the status.
//
// The daemon is a copy of the program that runs main again up to this call,
// with the same arguments, environment and working directory. The daemon is no
// session leader and has no controlling terminal. It has none of the launcher's
// descriptors but, with noclose, the standard ones. Unless nochdir is true its
// working directory is /. The umask stays as it is.
//
// Unless noclose is true, standard input, output and error become /dev/null, except
// those that the program itself has replaced. Until the daemon is ready, the launcher
// shows what the daemon writes to standard error. A child that the daemon started before
// that keeps this standard error; what the child writes once the daemon is ready is
// discarded.
//
// Package log goes on writing to standard error, and so to /dev/null: for
// syslog(3), call [Openlog] and log.SetOutput(NewWriter(LOG_NOTICE)), with
// log.SetFlags(0), after ready. Package slog's default and net/http follow.
//
// An error in the process that was started means that there is no daemon: the process
// is PID 1, runs set-user-ID (an fs.ErrPermission) or has called Detach before, a resource
// is missing, the program was linked without its constructor, DAEMONIZE_BOOT was not set
// by a launcher, or the copy did not become a daemon, because fork(2) failed, say (a
// [*StartError]). If Detach returns an error in the daemon, the launcher has printed it
// already: exit. No privilege is needed.
func Detach(nochdir, noclose bool) (ready func(error), err error) {
	if !isDaemon() {
		said, err := launch(noclose, 0, func(string) {})
		if err == nil {
			toStderr.Write(said)
			warnOfLost(programName())
			os.Exit(exitDone)
		}
		failed := (*StartError)(nil)
		if errors.As(err, &failed) {
			toStderr.Write(failed.Stderr)
		}
		if failed != nil && failed.PID != 0 {
			if failed.status <= 0 || !failed.atCall { // else the program chose its status, and its words
				fmt.Fprintln(toStderr, message(programName(), failed))
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

// warnOfLost says what the daemon, although it is ready, does not have.
func warnOfLost(name string) {
	if lost := lostListeners(); len(lost) > 0 {
		fmt.Fprintf(toStderr, "%s: warning: %s\n", name, adviceOn(lost))
	}
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
	forked         bool                                // by package forkfirst: the launcher is C
	ownStatus      bool                                // the launcher is to end with our exit status
	onLauncherGone func()                              // ends the process when the launcher has gone away
	onStage        func(stage string)                  // hears how far it has come, if forked
	onVerdict      func()                              // is called before the verdict, perhaps twice
	output         func() (out, err *os.File, _ error) // what 1 and 2 become; nil: /dev/null
	onLine         func(line []byte)                   // hears what children write to pipe; nil: nobody does

	stdio stdioID  // what the standard descriptors were at the start, or what we have put there
	pipe  *os.File // the read end of what was standard error until ready, which the launcher reads first

	mu   sync.Mutex // guards done and pipe: one verdict, by whoever comes first
	done bool
}

// attach is the rest of daemon(3), at the call, in the daemon. An error has
// been reported.
func attach(name string, nochdir, noclose, ownStatus bool, onLauncherGone func()) (*starter, error) {
	if !detached.CompareAndSwap(false, true) {
		return nil, errSecondCall
	}
	s := &starter{name: name, report: pollable(boot.report, "report"), noclose: noclose,
		forked: forkedFirst(), ownStatus: ownStatus, stdio: boot.stdio,
		onLauncherGone: onLauncherGone, onStage: func(string) {}, onVerdict: func() {},
		output: func() (out, err *os.File, _ error) { return nil, nil, nil }}
	if err := s.enter(nochdir); err != nil {
		s.fail(exitFailed, err)
		return nil, err
	}
	go s.watch()
	return s, nil
}

// enter tells the launcher, which answers with the standard descriptors, and changes those and
// the directory. Standard error is a pipe to the launcher until ready.
func (s *starter) enter(nochdir bool) (err error) {
	if err := s.tellStage("after it reached the call that makes it a daemon"); err != nil {
		return fmt.Errorf("daemonize: start: cannot tell the launcher: %w", err)
	}
	if !nochdir {
		if err := os.Chdir("/"); err != nil {
			return err
		}
	}
	if s.forked {
		s.pipe, err = s.pipeForkedFirst()
	} else {
		s.pipe, err = receiveStdio(s.report, s.noclose)
	}
	if err != nil || s.noclose {
		return err
	}
	for fd := range 2 {
		if err := s.stdio.put(nil, fd); err != nil {
			return err
		}
	}
	return nil
}

// watch ends the daemon if the launcher goes away before the verdict. Once it has
// gone, it reads the pipe for it. It sleeps in the network poller: no thread, and
// Close wakes it.
func (s *starter) watch() {
	b := make([]byte, 8)
	for {
		if n, err := s.report.Read(b); n == 0 || err != nil {
			break
		}
	}
	s.mu.Lock()
	if !s.done {
		s.onLauncherGone()
	}
	pipe := s.pipe
	s.mu.Unlock()
	if pipe != nil {
		s.closeReport()
		newLineReader(pipe, s.onLine).run()
	}
}

// stage tells the launcher how far the start has come: it is what it says of
// a daemon that dies next.
func (s *starter) stage(how string) { _ = s.tellStage(how) }

func (s *starter) tellStage(how string) error {
	f := frame{kind: frameStage, text: how}
	if s.ownStatus {
		f.code = 1
	}
	if s.forked {
		f.text = s.stageForkedFirst(how)
	}
	err := writeFrame(s.report, f)
	failpoint(how)
	return err
}

// ready lets the launcher end with status 0. Once it has gone, its pipe is ours to read.
// If the launcher is gone, so are we.
func (s *starter) ready(context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	s.onVerdict()
	if err := s.leaveStderr(); err != nil {
		s.refuse(ExitCode(err), err)
		s.onLauncherGone()
		return
	}
	if s.pipe != nil && isHungUp(s.pipe) { // no child has it: the launcher can read the rest
		s.pipe.Close()
		s.pipe = nil
	}
	if s.verdict(frame{kind: frameReady}) != nil {
		s.onLauncherGone()
	}
}

// leaveStderr leaves the launcher's pipe to the children that have it.
func (s *starter) leaveStderr() error {
	if s.noclose {
		return nil
	}
	out, stderr, err := s.output()
	if err != nil {
		return err
	}
	if s.stdio[2] == identifyStdio()[2] {
		// Nobody may read it one day, which must not block them.
		neverBlock(2)
	}
	if err := s.stdio.put(stderr, 2); err != nil || out == nil {
		return err
	}
	defer out.Close()
	defer stderr.Close()
	return s.stdio.put(out, 1)
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

// verdict sends the last message. If children have the pipe, watch waits for the
// launcher to let go of it. The caller holds mu.
func (s *starter) verdict(f frame) error {
	s.done = true
	if s.pipe != nil && f.kind != frameReady { // the launcher reads it to its end: watch must not
		s.pipe.Close()
		s.pipe = nil
	}
	err := writeFrame(s.report, f)
	if s.pipe == nil {
		s.closeReport()
	}
	return err
}

func (s *starter) closeReport() {
	_ = sysCloseInForks(forkReport, -1)
	s.report.Close()
}

// --- What the daemon cannot have as well ---

// main runs again in the daemon, while the launcher still has what the first run of
// main has opened. A second listen(2) on the same address fails then, and so does a
// second lock.

// lowDescriptors lists those below 256, but the standard ones. A program with more has
// thousands, of connections, say: to look at all takes many times as long as a start.
func lowDescriptors() (fds []int) {
	for fd := 3; fd < 256; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

// keptFromDaemon names the addresses that this process listens on, and the files that it has
// locked.
func keptFromDaemon() (all []string) {
	for _, fd := range lowDescriptors() {
		if address := listensOn(fd); address != "" {
			all = append(all, "listening on "+address)
		}
		if isLocked(fd) {
			all = append(all, "a lock on "+pathOf(fd))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lostListeners names the TCP addresses among those: as long as we listen there, nobody
// else can, so the daemon does not, although it became ready.
func lostListeners() (all []string) {
	for _, fd := range lowDescriptors() {
		kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		address := listensOn(fd)
		if strings.Contains(address, ":") && address[0] != '/' && kind == unix.SOCK_STREAM && !sharesPort(fd) {
			all = append(all, "listening on "+address)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// adviceOn is what to say of them.
func adviceOn(kept []string) string {
	return fmt.Sprintf("main runs again in the daemon, which could not have what this process has since before the call: %s; do that after the call, in PrivilegedAction, say",
		strings.Join(kept, ", "))
}

// listensOn is the address where the socket takes connections or datagrams, "" if it
// does not, or is none.
func listensOn(fd int) string {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return ""
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return ""
	}
	if _, err := unix.Getpeername(fd); listens == 0 && err == nil {
		return "" // a connection
	}
	switch a := own.(type) {
	case *unix.SockaddrInet4:
		if a.Port != 0 {
			return fmt.Sprintf("%d.%d.%d.%d:%d", a.Addr[0], a.Addr[1], a.Addr[2], a.Addr[3], a.Port)
		}
	case *unix.SockaddrInet6:
		if a.Port != 0 && a.Addr == [16]byte{} {
			return fmt.Sprintf("[::]:%d", a.Port)
		}
		if a.Port != 0 {
			var groups []string
			for i := 0; i < len(a.Addr); i += 2 {
				groups = append(groups, fmt.Sprintf("%x", int(a.Addr[i])<<8|int(a.Addr[i+1])))
			}
			return fmt.Sprintf("[%s]:%d", strings.Join(groups, ":"), a.Port)
		}
	case *unix.SockaddrUnix:
		return a.Name
	}
	return ""
}
