// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// What the library knows of package forkfirst, whose launcher is C.

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Package forkfirst forks before the Go runtime starts. Its launcher is C: it
// checks nothing and formats nothing. So the daemon checks what a launcher in Go
// checks before a start, prints its errors itself, and sends with each stage the
// whole sentence that the launcher prints if the daemon dies then.

// isDaemon is true in the process that the launcher made to be the daemon.
func isDaemon() bool { return boot.state == bootDaemon || forkedFirst() }

// forkedFirst is true in a daemon of package forkfirst.
func forkedFirst() bool { return boot.state == bootForked && !declined.Load() }

// declined is set when a process that forked first is not to be the daemon
// after all.
var declined atomic.Bool

// declineStart returns err, from before a start proper. A process that forked
// first is an ordinary one from here on: it says itself what there is to
// say, while the launcher waits for its end, to end with the same status.
// If the launcher goes away, it gets SIGTERM.
func declineStart(err error) error {
	if !forkedFirst() || detached.Load() || !declined.CompareAndSwap(false, true) {
		return err
	}
	unix.Close(boot.report + forkedReadEnd)
	unix.Close(boot.report + forkedWriteEnd)
	s := &starter{report: pollable(boot.report, "report"), onLauncherGone: func() { _ = unix.Kill(os.Getpid(), unix.SIGTERM) }}
	_ = writeFrame(s.report, frame{kind: frameNotDaemon})
	go s.watch()
	return err
}

// checkForkedFirst checks for Detach what a launcher in Go has checked.
func checkForkedFirst() error {
	if !forkedFirst() {
		return nil
	}
	null, err := openNull()
	if err != nil {
		return fmt.Errorf("daemonize: start: %w", err)
	}
	null.Close()
	return nil
}

// stageForkedFirst shows a stage, and returns what the launcher in C prints if
// the daemon dies in it.
func (s *starter) stageForkedFirst(how string) string {
	s.onStage(how)
	return s.name + ": " + died(os.Getpid(), how)
}

// What package forkfirst opens behind the report: a pipe for standard error,
// whose other end the launcher shows.
const (
	forkedReadEnd  = 1
	forkedWriteEnd = 2
)

// pipeForkedFirst takes the terminal's standard error, which children would keep
// for ever, from the daemon, unless noclose or the program itself says otherwise.
func (s *starter) pipeForkedFirst() (*os.File, error) {
	pipe := pollable(boot.report+forkedReadEnd, "standard error")
	end := writeEnd(os.NewFile(uintptr(boot.report+forkedWriteEnd), "standard error"))
	defer end.Close()
	if s.noclose {
		pipe.Close()
		return nil, nil
	}
	return pipe, s.stdio.put(end, 2)
}

// refuseForkedFirst prints the error: the launcher shows it.
func (s *starter) refuseForkedFirst(err error) {
	s.onVerdict()
	fmt.Fprintln(toStderr, message(s.name, err))
}
