// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !unix || aix

package daemonize

// Where there is no Unix, Windows above all, and on AIX, for which package unix has no
// flock(2): programs compile, the verb run runs the action, syslog goes to standard error,
// and the rest is an errors.ErrUnsupported.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// unsupported is what everything but run returns.
func unsupported(what string) error {
	return fmt.Errorf("daemonize: %s: this library makes no daemons on %s, only the verb run works there: %w", what, runtime.GOOS, errors.ErrUnsupported)
}

// Detach is an errors.ErrUnsupported, as are Daemon and Daemonize.
func Detach(nochdir, noclose bool) (ready func(error), err error) {
	return nil, unsupported("start")
}

// Daemon is an errors.ErrUnsupported.
func Daemon(nochdir, noclose bool) error { return unsupported("start") }

// Daemonize is an errors.ErrUnsupported, and action does not run.
func Daemonize(action func()) error { return unsupported("start") }

// DropPrivileges is an errors.ErrUnsupported.
func DropPrivileges(user, group string) error { return unsupported("drop privileges") }

// SetStatus does nothing.
func SetStatus(text string) {}

// Notify is false and nil: there is no supervisor.
func Notify(assignments ...string) (sent bool, err error) { return false, nil }

// Ready does nothing.
func Ready() {}

// ListenFiles returns none.
func ListenFiles() []*os.File { return nil }

// GetentPaths is of no use.
var GetentPaths []string

func sysGetpwnam(string) (*Passwd, error) { return nil, unsupported("look up a user") }

func sysGetgrnam(string) (*Group, error) { return nil, unsupported("look up a group") }

func setUserID() bool { return false }

func declineStart(err error) error { return err }

// --- The verbs ---

type progress struct{}

func (s *service) start(*progress) error { return unsupported("start") }

func (s *service) restart(*progress, func(string)) error { return unsupported("restart") }

func (s *service) reload() error { return unsupported("reload") }

func (s *service) stop(*progress, func(string)) (struct{}, error) {
	return struct{}{}, unsupported("stop")
}

func (s *service) status() (Status, error) { return Status{}, unsupported("status") }

// runInForeground runs the privileged action and the action until Ctrl-C.
func (s *service) runInForeground(ctx context.Context) (bool, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	Openlog(s.config.Name, s.config.SyslogOptions, s.config.SyslogFacility)
	var program oneGoroutine
	defer program.end()
	if err := program.call(s.privileged); err != nil {
		return false, &StartError{Reason: "privileged action: " + err.Error(), ExitCode: exitFailed}
	}
	err := program.call(func() error { return s.action(ctx) })
	if ctx.Err() != nil && tellsOfStop(err, ctx.Err()) {
		return false, nil
	}
	return false, err
}

func (s *service) command(args []string) int {
	verb := ""
	if len(args) == 1 {
		verb = args[0]
	}
	switch verb {
	case "run":
		_, err := s.runInForeground(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, message(s.config.Name, err))
		}
		return ExitCode(err)
	case "start", "stop", "restart", "reload", "status":
		fmt.Fprintln(os.Stderr, message(s.config.Name, unsupported(verb)))
		if verb == "status" {
			return Unknown.ExitCode()
		}
		return exitNotDone
	}
	fmt.Fprintf(os.Stderr, "Usage: %s run\n", s.config.Name)
	return exitUsage
}

// --- syslog: standard error ---

const maxMessage = 7680

var stderrLog = struct {
	sync.Mutex
	ident string
	mask  int
}{ident: defaultIdent(), mask: 0xff}

func sysOpenlog(ident string, _ Option, _ Priority) {
	stderrLog.Lock()
	defer stderrLog.Unlock()
	stderrLog.ident = ident
}

func sysCloselog() { sysOpenlog(defaultIdent(), 0, 0) }

func sysSetlogmask(mask int) int {
	stderrLog.Lock()
	defer stderrLog.Unlock()
	old := stderrLog.mask
	if mask != 0 {
		stderrLog.mask = mask
	}
	return old
}

func sysSyslog(priority Priority, message string) {
	stderrLog.Lock()
	defer stderrLog.Unlock()
	if stderrLog.mask&LogMask(priority) != 0 {
		fmt.Fprintf(os.Stderr, "%s: %s\n", stderrLog.ident, message)
	}
}
