// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The launcher: it runs the copy that becomes the daemon and waits for its report.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

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
	case forkedFirst(): // it has been run once, and that is enough
		return checkBuildMode()
	}
	if err := checkBuildMode(); err != nil {
		return err
	}
	return checkExecutable()
}

// launch starts the copy of this program that becomes the daemon and waits
// for its verdict; nil means that it is ready. said is then what it wrote to
// standard error from the call on. watch hears how far it has come. A limit of 0 is
// none.
func launch(noclose bool, limit time.Duration, watch func(stage string)) (said []byte, err error) {
	if err := mayLaunch(); err != nil {
		return nil, err
	}
	report, theirs, err := reportPair()
	if err != nil {
		return nil, fmt.Errorf("daemonize: start: %w", err)
	}
	defer report.Close() // last: then the daemon reads its standard error's pipe itself
	defer theirs.Close()
	stderr, theirStderr, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("daemonize: start: %w", err)
	}
	defer stderr.Close()
	theirStderr = writeEnd(theirStderr)
	defer theirStderr.Close()
	text, err := newCapture(stderr)
	if err != nil {
		return nil, fmt.Errorf("daemonize: start: %w", err)
	}
	null, err := openNull()
	if err != nil {
		return nil, fmt.Errorf("daemonize: start: %w", err)
	}
	defer null.Close()
	exe, err := executable()
	if err != nil {
		return nil, fmt.Errorf("daemonize: start: cannot find this program to run it again: %w", err)
	}
	dir := originDir()
	child, err := os.StartProcess(exe, origin.args, &os.ProcAttr{
		Dir: dir,
		// Position 3 is the descriptor that the marker names.
		Env:   append(slices.Clip(origin.env), fmt.Sprintf("%s=%d:%d", marker, os.Getpid(), 3)),
		Files: []*os.File{null, null, theirStderr, theirs},
	})
	if err != nil {
		return nil, fmt.Errorf("daemonize: start: cannot run this program again%s: %w", execHint(dir, err), err)
	}
	theirs.Close()
	theirStderr.Close()
	return await(report, text, noclose, child, limit, watch)
}

// execHint says in brackets why fork(2), chdir(2) to dir or execve(2) perhaps failed.
func execHint(dir string, err error) string {
	switch {
	case dir != "" && unix.Access(dir, unix.X_OK) != nil:
		return fmt.Sprintf(" in %s, where it was started and main left (that directory is gone, or this user may not enter it: start it from another one)", dir)
	case errors.Is(err, unix.EAGAIN):
		return " (" + processLimit + ")"
	case errors.Is(err, unix.ENOMEM):
		return " (memory is short)"
	case errors.Is(err, unix.E2BIG):
		return " (its arguments and environment leave no space for the variable " + marker + ", see execve(2): pass less)"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return " (is /proc mounted?)"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return " (may this user execute the file, and is its file system mounted without noexec?)"
	}
	return ""
}

const processLimit = "the limit of processes is reached (RLIMIT_NPROC, see ulimit -u; or the control group's pids.max)"

// reportPair makes the two ends: the launcher's, and the one that the copy
// is to inherit. A socket pair, not a pipe: the daemon can wait on its end
// for the launcher's death, and on Linux ask it who made it.
func reportPair() (ours, theirs *os.File, err error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return pollable(fds[0], "report"), os.NewFile(uintptr(fds[1]), "report"), nil
}

// await is the launcher's wait for the verdict. A nil error means ready.
func await(report *os.File, text *capture, noclose bool, child *os.Process, limit time.Duration, watch func(stage string)) (said []byte, err error) {
	if limit > 0 {
		_ = report.SetReadDeadline(time.Now().Add(limit + killDelay))
	}
	failed, stage := &StartError{ExitCode: exitFailed}, ""
	staying := false // child ends as the daemon does
	for {
		f, err := readFrame(report)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			failed.Reason = tooLate(failed.PID, limit, stage) + killLate(report, child, failed.PID, staying)
		case err != nil && !isEnd(err): // perhaps it is ready, but no start says so
			failed.Reason = fmt.Sprintf("cannot read the report of the daemon (pid %d): %v%s",
				failed.PID, err, killLate(report, child, failed.PID, staying))
		case err != nil:
			// Nobody has the other end any more.
			state := stateOf(child)
			if staying && state != nil {
				failed.status, failed.atCall = state.ExitCode(), stage != ""
			}
			failed.Reason = ended(failed.PID, stage, state, staying)
		case f.kind == frameBooted:
			failed.PID, staying = int(f.num), f.code == 1
			continue
		case f.kind == frameStage:
			if stage == "" {
				// It waits for this: what it wrote up to here, main has printed
				// in this process, too.
				text.divide()
				if err := sendStdio(report, text.file, noclose); err != nil && !isEnd(err) {
					failed.Reason = fmt.Sprintf("cannot send the daemon (pid %d) its standard descriptors: %v", failed.PID, err)
					break
				}
			}
			stage = oneLine(f.text) // for a terminal
			watch(stage)
			continue
		case f.kind == frameReady:
			leave(child)
			detached.Store(true)
			return text.now(), nil
		case f.kind == frameRunning:
			leave(child)
			return nil, &RunningError{Pidfile: f.text, PID: int(f.num)}
		case f.kind == frameBootError:
			failed.Reason = bootError(f)
		case f.kind == frameFailed && f.code != exitDone:
			failed.Reason, failed.ExitCode = f.text, int(f.code)
		default:
			failed.Reason = fmt.Sprintf("the daemon (pid %d) sent what is no report: %+v", failed.PID, f)
		}
		break
	}
	leave(child)
	failed.Stderr = text.all()
	if kept := keptFromDaemon(); len(kept) > 0 && failed.PID != 0 {
		failed.Reason += "\n" + adviceOn(kept)
	}
	return nil, failed
}

// leave ends the process that we started, which waits for the daemon. From here on
// the daemon is a child of init, or of another subreaper.
func leave(child *os.Process) {
	_ = child.Kill()
	_, _ = child.Wait() // no zombie stays in the caller
}

// stateOf is how our child has ended, nil if it has not: a daemon may close its report.
func stateOf(child *os.Process) *os.ProcessState {
	late := time.AfterFunc(time.Second, func() { _ = child.Kill() })
	state, err := child.Wait()
	if err != nil || !late.Stop() {
		return nil
	}
	return state
}

// ended says of a daemon that left without a verdict how far it came.
func ended(pid int, stage string, state *os.ProcessState, staying bool) string {
	how := ""
	if state != nil && (staying || pid == 0) {
		how = ": " + state.String()
	}
	switch {
	case pid == 0:
		return "the copy of this program that was to become the daemon ended before it could" + how
	case stage == "":
		return fmt.Sprintf("the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first%s", pid, how)
	}
	return died(pid, stage) + how
}

func died(pid int, stage string) string {
	return fmt.Sprintf("the daemon (pid %d) died before it was ready, %s", pid, stage)
}

// killDelay is what a daemon has after its time limit to end itself, and to remove its
// pidfile.
const killDelay = 2 * time.Second

// tooLate says how far a daemon came within its time limit.
func tooLate(pid int, limit time.Duration, stage string) string {
	if stage == "" {
		stage = "before it reached the call that makes it one"
	}
	return fmt.Sprintf("the daemon (pid %d) was not ready within %s (StartTimeout): it was last seen %s", pid, limit, stage)
}

// killLate kills a daemon that has not ended by itself, and says what came of it.
func killLate(report *os.File, child *os.Process, pid int, staying bool) string {
	if err := tryKill(report, child, pid, staying); err != nil {
		return "; it could not be killed: " + err.Error()
	}
	return ", and was killed"
}

// tryKill is killLate. The daemon's pid is still its own if, after we have taken hold of
// a process, our child has not ended, which waits for it, or the report's other end is open.
func tryKill(report *os.File, child *os.Process, pid int, staying bool) error {
	if pid == 0 {
		return child.Kill()
	}
	daemon, err := os.FindProcess(pid) // by a pidfd where there are any
	if err != nil {
		return err
	}
	defer daemon.Release()
	switch waits := staying && isRunning(child, report); { // so it has not ended, even if it is ready
	case !waits && !isOpen(report):
		return nil // it has ended
	case staying && !waits:
		return errors.New("the process that waits for it has been ended, so nothing proves that its pid is still its own")
	}
	if err := daemon.Kill(); err != nil {
		return err
	}
	if staying {
		stateOf(child) // it ends next
	}
	return nil
}

// bootError says which system call failed before Go.
func bootError(f frame) string {
	what, err := "start", unix.Errno(f.num)
	switch f.code {
	case bootInDaemon:
		what = "daemon(3)"
	case bootInFork:
		what = "fork(2), the second one"
	case bootWithThreads:
		return "a library has started threads before the program, which fork(2) would end: start without it (LD_PRELOAD?), or build with CGO_ENABLED=0 or -tags daemonizego"
	case bootInSetsid:
		what = "setsid(2)"
	case bootInExec:
		what = "execve(2) of this program after daemon(3)"
	case bootInClose:
		what = "closing the launcher's descriptors in the daemon (is /proc mounted?)"
	}
	reason := cmp.Or(f.text, err.Error())
	if err == unix.EAGAIN {
		reason += ": " + processLimit
	}
	return what + ": " + reason
}

// capture reads the daemon's standard error in a goroutine of its own, and keeps the
// first part.
type capture struct {
	file   *os.File
	conn   syscall.RawConn
	ended  chan struct{}
	enough atomic.Bool // even if there always is more

	mu     sync.Mutex // guards the rest
	before []byte     // what was written before divide
	head   []byte     // and since
	more   int        // bytes beyond head
	buf    []byte
}

// captureLimit bounds what is kept.
const captureLimit = 64 << 10

func newCapture(file *os.File) (*capture, error) {
	if err := file.SetReadDeadline(time.Time{}); err != nil { // its read would wait, with mu held
		return nil, fmt.Errorf("cannot wait for what the daemon writes (does epoll(7) take no more descriptors? See /proc/sys/fs/epoll/max_user_watches): %w", err)
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &capture{file: file, conn: conn, ended: make(chan struct{}), buf: make([]byte, 8<<10)}
	go func() {
		defer close(c.ended)
		_ = c.conn.Read(func(fd uintptr) bool {
			err := c.read(fd)
			for err == nil && !c.enough.Load() {
				err = c.read(fd)
			}
			return err != unix.EAGAIN
		})
	}()
	return c, nil
}

// read is readNow.
func (c *capture) read(fd uintptr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return readNow(int(fd), func() []byte { return c.buf }, func(n int) {
		kept := min(n, captureLimit-len(c.head))
		c.head = append(c.head, c.buf[:kept]...)
		c.more += n - kept
	})
}

// text is what was written since divide. The caller holds mu.
func (c *capture) text() []byte {
	if c.more > 0 {
		return fmt.Appendf(c.head, "\n[%d more bytes]\n", c.more)
	}
	return c.head
}

// divide reads what is there, and forgets it unless the start fails.
func (c *capture) divide() {
	_ = c.conn.Control(func(fd uintptr) { _ = c.read(fd) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before, c.head, c.more = c.text(), nil, 0
}

// now reads what is there and returns what was written since divide.
func (c *capture) now() []byte {
	_ = c.conn.Control(func(fd uintptr) { _ = c.read(fd) })
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text()
}

// all returns everything. A child of the daemon may have its standard error
// still: it takes what is there, not what may come.
func (c *capture) all() []byte {
	const wait = 200 * time.Millisecond
	_ = c.file.SetReadDeadline(time.Now().Add(wait))
	late := time.AfterFunc(wait, func() { c.enough.Store(true) })
	defer late.Stop()
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(c.before, c.text()...)
}
