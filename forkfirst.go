//go:build unix

package daemonize

// What the library knows of package forkfirst, whose launcher is C.

import (
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// forkedFirst is true in a daemon of package forkfirst: its launcher is C, so
// all that a launcher in Go says and checks is up to us.
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
	s := &starter{report: pollable(boot.report, "report"), onLauncherGone: func() { _ = unix.Kill(os.Getpid(), unix.SIGTERM) }}
	_ = writeFrame(s.report, frame{kind: frameNotDaemon})
	go s.watch()
	return err
}
