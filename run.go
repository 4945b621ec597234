// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The verb run: the daemon in the foreground.

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// foreground is where a start in the foreground reports to: a supervisor.
type foreground struct{ *notifier }

func (foreground) stage(string) {}

func (foreground) fail(int, error) {} // Run returns it, or it is logged

// runInForeground is the daemon in this process: every step of start but those that
// detach it. logged is true if err has been on standard error already.
func (s *service) runInForeground(ctx context.Context) (logged bool, err error) {
	if _ = declineStart(nil); isDaemon() || !inDaemon.CompareAndSwap(false, true) {
		return false, errSecondCall
	}
	defer inDaemon.Store(false)
	if boot.state == bootRefused {
		return false, boot.err()
	}
	if setUserID() {
		return false, &fs.PathError{Op: "daemonize", Path: "set-user-ID or set-group-ID program (its caller chooses its name and environment: start it as that user instead)", Err: unix.EPERM}
	}
	d := &daemon{service: s, inForeground: true, output: newOutput()}
	listenFiles() // children must not find the variables
	if d.notify, err = newNotifier(); err != nil {
		d.notices = append(d.notices, err.Error())
	}
	supervisor.Store(d.notify)
	defer d.notify.close()
	defer supervisor.Store(nil)
	d.syslogOptions = s.config.SyslogOptions | LOG_PERROR
	if stderrIsJournal() {
		d.syslogOptions &^= LOG_PERROR // journald has it already, from syslog
	}
	if err := os.Chdir("/"); err != nil {
		return false, err
	}
	d.reporter = foreground{d.notify}
	defer d.ignoreSignals()
	defer func() { d.giveLogBack() }()
	err = d.run(ctx)
	return d.logged, err
}

// stderrIsJournal is true where systemd reads our standard error: see
// JOURNAL_STREAM in systemd.exec(5).
func stderrIsJournal() bool {
	var st unix.Stat_t
	return unix.Fstat(2, &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", uint64(st.Dev), uint64(st.Ino))
}

// inDaemon is set while this process is a daemon in the foreground.
var inDaemon atomic.Bool

const noPidfile = "no pidfile, so stop, status and reload do not find it: "

// lock takes the pidfile. In the foreground a daemon can do without, say in
// a container whose root is read-only; but not beside another one.
func (d *daemon) lock() (*pidfile, error) {
	lock, err := acquire(d.pidfile)
	if err == nil || !d.inForeground {
		return lock, err
	}
	_, noDir := os.Stat(filepath.Dir(d.pidfile))
	if !unwritable(err) && !unwritable(noDir) {
		return nil, err
	}
	switch status, _ := probe(d.pidfile); status.State {
	case Running:
		return nil, &RunningError{d.pidfile, status.PID}
	case Unknown: // there is a pidfile, and perhaps a daemon
		return nil, err
	}
	d.notices = append(d.notices, noPidfile+err.Error()+"; nothing keeps a second one from running")
	return nil, nil
}
