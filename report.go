//go:build unix

package daemonize

// The launcher's wait for the daemon's report.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

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

// sendStdio leaves our standard descriptors in the socket, for noclose: the
// copy is started without, lest its early output show twice.
func sendStdio(report *os.File) error {
	conn, err := report.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(0, 1, 2), nil, 0)
		return true
	})
	return os.NewSyscallError("sendmsg", errors.Join(err, sent))
}

// receiveStdio puts them back in their places.
func receiveStdio(report *os.File) error {
	conn, err := report.SyscallConn()
	if err != nil {
		return err
	}
	oob := make([]byte, unix.CmsgSpace(3*4))
	var n int
	var failed error
	err = conn.Control(func(fd uintptr) {
		_, n, _, _, failed = unix.Recvmsg(int(fd), make([]byte, 1), oob, unix.MSG_DONTWAIT)
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("cannot get the standard descriptors back from the launcher (did it call with noclose, too?): %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("the launcher sent no standard descriptors: %w", errors.Join(err, unix.EPROTO))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 3 {
		return fmt.Errorf("the launcher sent %d standard descriptors: %w", len(fds), errors.Join(err, unix.EPROTO))
	}
	for i, fd := range fds {
		if err := dup2(fd, i); err != nil {
			return os.NewSyscallError("dup2", err)
		}
		unix.Close(fd)
	}
	return nil
}

// StartError is why a start failed, as its launcher saw it. [Service.Start] and
// [Service.Restart] return it, and [Service.Run] for a PrivilegedAction that
// failed.
type StartError struct {
	Reason   string // what was attempted, on what, and why it failed
	PID      int    // of the daemon that failed; 0: it never came to be
	Stderr   []byte // what it wrote to standard error, the first 64 KiB
	ExitCode int    // of the LSB's: 1 failed, 4 not permitted, 6 not configured
}

// Error is the reason, without Stderr.
func (e *StartError) Error() string { return e.Reason }

// await is the launcher's wait for the verdict. A nil error means ready.
func await(report, stderr *os.File, child *os.Process, watch func(stage string)) error {
	text := make(chan []byte, 1)
	go func() { text <- readCapped(stderr, 64<<10) }()

	failed := &StartError{ExitCode: exitFailed}
	var stage string
	for {
		f, err := readFrame(report)
		switch {
		case err != nil:
			// Nobody has the other end any more.
			failed.Reason = ended(failed.PID, stage, child)
		case f.kind == frameBooted:
			failed.PID = int(f.num)
			continue
		case f.kind == frameStage:
			stage = f.text
			watch(stage)
			continue
		case f.kind == frameReady:
			_, _ = child.Wait() // it has forked and is gone: no zombie stays in the caller
			detached.Store(true)
			return nil
		case f.kind == frameRunning:
			_, _ = child.Wait()
			return &RunningError{Pidfile: f.text, PID: int(f.num)}
		case f.kind == frameBootError:
			failed.Reason = bootError(f)
		case f.kind == frameFailed && f.code != exitDone:
			failed.Reason, failed.ExitCode = f.text, int(f.code)
		default:
			failed.Reason = fmt.Sprintf("the daemon (pid %d) sent what is no report: %+v", failed.PID, f)
		}
		break
	}
	_, _ = child.Wait()
	// A child of the daemon may have its standard error still: take what is
	// there, not what may come.
	_ = stderr.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	failed.Stderr = <-text
	return failed
}

// ended says of a daemon that left without a verdict how far it came.
func ended(pid int, stage string, child *os.Process) string {
	switch {
	case pid == 0:
		how := "unknown"
		if state, err := child.Wait(); err == nil {
			how = state.String()
		}
		return fmt.Sprintf("the copy of this program that was to become the daemon ended before it could: %s", how)
	case stage == "":
		return fmt.Sprintf("the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first", pid)
	}
	return died(pid, stage)
}

func died(pid int, stage string) string {
	return fmt.Sprintf("the daemon (pid %d) died before it was ready, %s", pid, stage)
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
	}
	if err == unix.EAGAIN {
		return fmt.Sprintf("%s: %v: the limit of processes is reached (RLIMIT_NPROC, see ulimit -u; or the control group's pids.max)", what, err)
	}
	return fmt.Sprintf("%s: %v", what, err)
}

// readCapped reads to the end or to the deadline, and keeps the first part.
func readCapped(r io.Reader, most int) []byte {
	head, _ := io.ReadAll(io.LimitReader(r, int64(most)))
	if n, _ := io.Copy(io.Discard, r); n > 0 {
		head = fmt.Appendf(head, "\n[%d more bytes]\n", n)
	}
	return head
}
