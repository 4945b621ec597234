package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lab is where daemons are started and stopped.
type lab struct {
	built    string            // the directory of the programs
	programs map[string]string // their paths
	dir      string            // for pidfiles: a tmpfs, as /run is
	env      []string
	ready    *os.File // the FIFO that they write their pids to
	lines    *bufio.Reader
	null     *os.File
}

// inLab measures a table with daemons, in namespaces of their own.
func inLab(measure func(*lab) (bool, error)) func() (bool, error) {
	return func() (bool, error) {
		return ownNamespace(func() (bool, error) {
			l, err := newLab()
			if err != nil {
				return false, err
			}
			defer l.close()
			return measure(l)
		})
	}
}

func newLab() (l *lab, err error) {
	l = &lab{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	// Daemons that are not root any more go through both.
	for _, d := range []struct {
		below string
		path  *string
	}{{"", &l.built}, {"/dev/shm", &l.dir}} {
		if *d.path, err = os.MkdirTemp(d.below, "bench"); err != nil {
			return l, err
		}
		if err := os.Chmod(*d.path, 0o755); err != nil {
			return l, err
		}
	}
	l.programs = buildAll(l.built)
	fifo := filepath.Join(l.dir, "ready")
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		return l, err
	}
	if err := os.Chmod(fifo, 0o666); err != nil { // despite the umask
		return l, err
	}
	// Both ends: it never comes to its end, and nobody waits in open. Blocking
	// reads, without Go's poller: os.NewFile takes it as it is.
	fd, err := unix.Open(fifo, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return l, err
	}
	l.ready = os.NewFile(uintptr(fd), fifo)
	l.lines = bufio.NewReader(l.ready)
	if l.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return l, err
	}
	l.env = []string{"PATH=" + os.Getenv("PATH"), "BENCH_READY=" + fifo, "BENCH_DIR=" + l.dir}
	return l, nil
}

func (l *lab) close() {
	l.ready.Close() // nil ones do nothing
	l.null.Close()
	os.RemoveAll(l.dir)
	os.RemoveAll(l.built)
}

// run runs a program and tells how long it took.
func (l *lab) run(command ...string) (time.Duration, error) {
	start := time.Now()
	p, err := os.StartProcess(command[0], command, &os.ProcAttr{Env: l.env, Files: []*os.File{l.null, l.null, os.Stderr}})
	if err != nil {
		return 0, err
	}
	state, err := p.Wait()
	took := time.Since(start)
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s: %v", strings.Join(command, " "), state)
	}
	return took, err
}

// daemon is one that was started.
type daemon struct {
	pid, pidfd int
	exited, up time.Duration // since the exec of its launcher
}

func (l *lab) start(command ...string) (d daemon, err error) {
	start := time.Now()
	if d.exited, err = l.run(command...); err != nil {
		return d, err
	}
	line, err := l.lines.ReadString('\n')
	d.up = time.Since(start)
	if err != nil {
		return d, err
	}
	if d.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		return d, err
	}
	d.pidfd, err = unix.PidfdOpen(d.pid, 0)
	return d, err
}

// stop stops a daemon by its program; waited is how long it lived after that had exited.
func (l *lab) stop(d daemon, command ...string) (took, waited time.Duration, err error) {
	start := time.Now()
	exited, err := l.run(command...)
	if err != nil {
		return 0, 0, err
	}
	err = l.gone(d)
	took = time.Since(start)
	return took, took - exited, err
}

// kill ends a daemon that knows no stop.
func (l *lab) kill(d daemon) error {
	if err := unix.PidfdSendSignal(d.pidfd, unix.SIGTERM, nil, 0); err != nil {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return l.gone(d)
}

func (l *lab) gone(d daemon) error {
	defer unix.Close(d.pidfd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(d.pidfd), Events: unix.POLLIN}}, 10000)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("poll", err)
		case n == 0:
			return errors.New("the daemon did not end in 10 s")
		default:
			return nil
		}
	}
}
