// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

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

// harness is where daemons are started and stopped.
type harness struct {
	built    string            // the directory of the programs
	programs map[string]string // their paths
	against  map[string]string // those of the checkout of -against; nil without
	dir      string            // for pidfiles: a tmpfs, as /run is
	env      []string
	ready    *os.File // the FIFO that they write their pids to
	lines    *bufio.Reader
	null     *os.File
}

// withHarness measures a table with daemons, in namespaces of their own.
func withHarness(measure func(*harness) (bool, error)) func() (bool, error) {
	return func() (bool, error) {
		return ownNamespace(func() (bool, error) {
			h, err := newHarness()
			if err != nil {
				return false, err
			}
			defer h.close()
			return measure(h)
		})
	}
}

func newHarness() (h *harness, err error) {
	h = &harness{}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	// Daemons that are not root any more go through both.
	for _, d := range []struct {
		below string
		path  *string
	}{{"", &h.built}, {"/dev/shm", &h.dir}} {
		if *d.path, err = os.MkdirTemp(d.below, "bench"); err != nil {
			return h, err
		}
		if err := os.Chmod(*d.path, 0o755); err != nil {
			return h, err
		}
	}
	h.programs = buildAll(h.built)
	if h.against, err = buildAgainst(h.built); err != nil {
		return h, err
	}
	fifo := filepath.Join(h.dir, "ready")
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		return h, err
	}
	if err := os.Chmod(fifo, 0o666); err != nil { // despite the umask
		return h, err
	}
	// Both ends: it never comes to its end, and nobody waits in open. Blocking
	// reads, without Go's poller: os.NewFile takes it as it is.
	fd, err := unix.Open(fifo, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return h, err
	}
	h.ready = os.NewFile(uintptr(fd), fifo)
	h.lines = bufio.NewReader(h.ready)
	if h.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return h, err
	}
	h.env = []string{"PATH=" + os.Getenv("PATH"), "BENCH_READY=" + fifo, "BENCH_DIR=" + h.dir}
	return h, nil
}

func (h *harness) close() {
	h.ready.Close() // nil ones do nothing
	h.null.Close()
	os.RemoveAll(h.dir)
	os.RemoveAll(h.built)
}

// run runs a program and tells how long it took.
func (h *harness) run(command ...string) (time.Duration, error) {
	start := time.Now()
	p, err := os.StartProcess(command[0], command, &os.ProcAttr{Env: h.env, Files: []*os.File{h.null, h.null, os.Stderr}})
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

func (h *harness) start(command ...string) (d daemon, err error) {
	start := time.Now()
	if d.exited, err = h.run(command...); err != nil {
		return d, err
	}
	line, err := h.lines.ReadString('\n')
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
func (h *harness) stop(d daemon, command ...string) (took, waited time.Duration, err error) {
	start := time.Now()
	exited, err := h.run(command...)
	if err != nil {
		return 0, 0, err
	}
	err = h.gone(d)
	took = time.Since(start)
	return took, took - exited, err
}

// kill ends a daemon that knows no stop.
func (h *harness) kill(d daemon) error {
	if err := unix.PidfdSendSignal(d.pidfd, unix.SIGTERM, nil, 0); err != nil {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return h.gone(d)
}

func (h *harness) gone(d daemon) error {
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
