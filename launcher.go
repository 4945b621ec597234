//go:build unix

package daemonize

// The launcher: it runs the copy that becomes the daemon and waits for its report.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
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
