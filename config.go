//go:build unix

package daemonize

// Config: a service's fields, their checks and their defaults.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// Config holds the arguments of pydaemonize's serviced. A nil *Config and
// the zero value mean the defaults.
type Config[T any] struct {
	// PrivilegedAction runs in the daemon before the privileges are dropped,
	// to bind a low port, say. Its result goes to the action. It may take as
	// long as it needs. An error or a panic ends the start and reaches the
	// terminal; the exit code is 1. It must not chroot(2) or unshare the mount
	// namespace: the pidfile is written after it. nil: the action gets T's zero
	// value.
	PrivilegedAction func() (T, error)

	// Name names the daemon in syslog, messages and the pidfile: 1 to 200
	// bytes without '/' and control characters. Default: the base name of
	// os.Args[0], but in a set-user-ID program, whose caller chooses that.
	Name string

	// User and Group are who the daemon becomes when it is started by root: a
	// name, or an id in decimal if no name is the same. Default: the user and
	// the group called Name if there are such, else daemon; where User is set
	// and Group is not, and no group is called Name, that user's own group. One
	// that is set but does not exist is an error. Started by anyone else the
	// daemon stays who it is; a User or Group other than that is an
	// fs.ErrPermission, exit code 4. With the user come initgroups(3)'s
	// supplementary groups, and HOME, USER and LOGNAME as a login sets them.
	// Only "root" or "0" stays root.
	User, Group string

	// AllowNewPrivileges leaves no_new_privs (prctl(2)) unset. By default the
	// drop sets it on Linux, on every thread, for good, so that no set-user-ID
	// program that the daemon runs, such as sudo or ping, gives anything back.
	AllowNewPrivileges bool

	// SyslogOptions is a mask of openlog(3)'s LOG_PID, LOG_CONS, LOG_NDELAY,
	// LOG_ODELAY, LOG_NOWAIT and LOG_PERROR. 0: none. Any other bit is an
	// error of New.
	SyslogOptions Option

	// SyslogFacility is for messages without a facility. 0: LOG_DAEMON, so
	// LOG_KERN cannot be had. What is no facility leaves LOG_USER.
	SyslogFacility Priority

	// PidfileDirectory is an absolute path. It must belong to root or to the
	// user who starts the daemon, and not be writable by others (for root, nor
	// by its group), unless it is sticky, as /tmp is; else the start is refused,
	// exit code 6. Default: /var/run.
	PidfileDirectory string

	// StopTimeout is the time between SIGTERM and SIGKILL. 0: 4 seconds.
	// Negative is an error of New.
	StopTimeout time.Duration

	// Umask is the daemon's umask(2). 0: 022; an action that wants 0 calls
	// umask(2). More than the nine permission bits is an error of New.
	Umask os.FileMode

	// Reload runs on SIGHUP, as the user that the daemon has become, one call
	// at a time, beside the action, whose context it gets. Its error or panic is
	// logged and does not end the daemon. nil: SIGHUP is ignored.
	Reload func(context.Context) error

	// RespawnDelay is the pause before an action that failed or panicked is
	// run again, with the same result of PrivilegedAction: hdaemonize's
	// behaviour, which waits 5 seconds. It does not run again after nil, after
	// an error that [Fatal] has marked, nor once it was told to stop. 0: it is
	// not run again. Negative is an error of New.
	RespawnDelay time.Duration
}

// complete checks the fields and puts the defaults in.
func (s *service) complete(directory string) error {
	if s.name == "" {
		if setUserID() {
			return errCallersName
		}
		s.name = programName()
	}
	if err := checkName(s.name); err != nil {
		return err
	}
	if directory == "" {
		directory = "/var/run"
	}
	if !filepath.IsAbs(directory) {
		return &configError{fmt.Errorf("daemonize: PidfileDirectory %q is not an absolute path: the daemon's working directory is /", directory)}
	}
	s.pidfile = filepath.Join(directory, s.name+".pid")
	if s.stopTimeout == 0 {
		s.stopTimeout = 4 * time.Second
	}
	if s.umask == 0 {
		s.umask = 0o022
	}
	if s.facility == 0 {
		s.facility = LOG_DAEMON
	}
	const known = LOG_PID | LOG_CONS | LOG_NDELAY | LOG_ODELAY | LOG_NOWAIT | LOG_PERROR
	switch {
	case s.stopTimeout < 0, s.respawnDelay < 0:
		return &configError{errors.New("daemonize: StopTimeout and RespawnDelay cannot be negative")}
	case s.umask&^0o777 != 0:
		return &configError{fmt.Errorf("daemonize: Umask %#o is more than the nine permission bits", s.umask)}
	case s.options&^known != 0:
		return &configError{fmt.Errorf("daemonize: SyslogOptions %#x: only openlog(3)'s LOG_PID, LOG_CONS, LOG_NDELAY, LOG_ODELAY, LOG_NOWAIT and LOG_PERROR are known", int(s.options))}
	}
	return nil
}

// errCallersName: stop would remove the pidfile of whatever daemon the caller likes.
var errCallersName = &configError{errors.New("daemonize: a set-user-ID or set-group-ID program has no name but the one that its caller chooses: set Name")}

// checkName refuses what cannot name a file and a syslog tag.
func checkName(name string) error {
	bad := func(why string) error {
		return &configError{fmt.Errorf("daemonize: the daemon's name %.40q %s: set Name to 1 to 200 bytes without '/' and control characters", name, why)}
	}
	switch {
	case name == "" || name == "." || name == "..":
		return bad("names no file")
	case len(name) > 200:
		return bad("is too long")
	case strings.ContainsRune(name, '/'):
		return bad("contains '/'")
	case strings.ContainsFunc(name, unicode.IsControl):
		return bad("contains a control character")
	}
	return nil
}
