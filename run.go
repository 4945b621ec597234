//go:build unix

package daemonize

// The verb run: the daemon in the foreground.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// foreground is where a start in the foreground reports to: a supervisor.
type foreground struct{ *notifier }

func (foreground) stage(string) {}

func (f foreground) ready() { f.send("READY=1") }

// run is the daemon in this process: every step of start but those that
// detach it.
func (s *service) run() error {
	if _ = declineStart(nil); isDaemon() {
		return errSecondCall
	}
	if boot.state == bootRefused {
		return boot.err()
	}
	if setUserID() {
		return &fs.PathError{Op: "daemonize", Path: "set-user-ID or set-group-ID program (its caller chooses its name and environment: start it as that user instead)", Err: unix.EPERM}
	}
	s.inForeground = true
	listenFiles() // children must not find the variables
	var err error
	if s.notify, err = newNotifier(); err != nil {
		s.notices = append(s.notices, err.Error())
	}
	s.config.SyslogOptions |= LOG_PERROR
	if stderrIsJournal() {
		s.config.SyslogOptions &^= LOG_PERROR // journald has it already, from syslog
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	defer s.notify.close()
	defer s.ignoreSignals()
	return s.runDaemon(foreground{s.notify})
}

// stderrIsJournal is true where systemd reads our standard error: see
// JOURNAL_STREAM in systemd.exec(5).
func stderrIsJournal() bool {
	var st unix.Stat_t
	return unix.Fstat(2, &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", uint64(st.Dev), uint64(st.Ino))
}

const noPidfile = "no pidfile, so stop, status and reload do not find it: "

// lock takes the pidfile. In the foreground a daemon can do without, say in
// a container whose root is read-only; but not beside another one.
func (s *service) lock() (*pidfile, error) {
	lock, err := acquire(s.pidfile)
	if err == nil || !s.inForeground {
		return lock, err
	}
	_, noDir := os.Stat(filepath.Dir(s.pidfile))
	if !unwritable(err) && !unwritable(noDir) {
		return nil, err
	}
	switch status, _ := probe(s.pidfile); status.State {
	case Running:
		return nil, &RunningError{s.pidfile, status.PID}
	case Unknown: // there is a pidfile, and perhaps a daemon
		return nil, err
	}
	s.notices = append(s.notices, noPidfile+err.Error()+"; nothing keeps a second one from running")
	return nil, nil
}

// untilReady has SIGTERM and Ctrl-C end a start in the foreground cleanly. The
// privileged action knows no context; and PID 1 of a container would not even
// get a signal that it does not catch.
func (s *service) untilReady() (over func()) {
	if !s.inForeground {
		return func() {} // there the launcher does it
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			s.notify.stopping()
			logNotice(LOG_ERR, errToldToStop.Error())
			s.releasePidfile()
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

var errToldToStop = errors.New("it was told to stop before it was ready")
