// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

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
	// printable ASCII characters without space, '/', ':', '[' and ']', which
	// syslog daemons take for the end of the name. Default: the base name of
	// os.Args[0], but in a set-user-ID program, whose caller chooses that. A
	// program that is started by several names, as by links called S87prog and
	// K13prog, must set it: else each has a pidfile of its own, and K13prog
	// stop does not find what S87prog start has started.
	Name string

	// User and Group are who the daemon becomes when it is started by root: a
	// name, or an id in decimal if no name is the same. Default: the user and
	// the group called Name if there are such, else daemon; where User is set
	// and Group is not, and no group is called Name, that user's own group. One
	// that is set but does not exist is an error. Started by anyone else the
	// daemon stays who it is; a User or Group other than that is an
	// fs.ErrPermission, exit code 4. With the user come initgroups(3)'s
	// supplementary groups, and HOME, USER and LOGNAME as a login sets them, see
	// [DropPrivileges]. Only "root" or "0" stays root. User CurrentUser stays whoever
	// starts the daemon, root or not, without any change; Group may then name the
	// group that the process has, or nothing.
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

	// Pidfile is the pidfile's path, for programs with an option of their own for
	// it: absolute, and ending in ".pid". Its directory must be what
	// PidfileDirectory says, which must then be empty. The other files of the
	// daemon stand beside it. Default: PidfileDirectory, then Name, then ".pid".
	Pidfile string

	// StopTimeout is the time between SIGTERM and SIGKILL: the action must
	// return within it after its context has ended, see [New]; one that does not
	// is killed, which stop prints and logs. 0: 4 seconds. Negative is an error
	// of New.
	StopTimeout time.Duration

	// Umask is the daemon's umask(2). 0: 022; an action that wants 0 calls
	// umask(2). More than the nine permission bits is an error of New.
	Umask os.FileMode

	// Reload runs on SIGHUP, as the user that the daemon has become, one call
	// at a time, beside the action, whose context it gets. Its error or panic is
	// logged and does not end the daemon. A SIGHUP that comes before the daemon is
	// ready waits until it is. nil: SIGHUP is ignored, but for OutputFile.
	Reload func(context.Context) error

	// RespawnDelay is the pause before an action that failed or panicked is
	// run again, with the same result of PrivilegedAction: hdaemonize's
	// behaviour, which waits 5 seconds. It does not run again after nil, after
	// an error that [Fatal] has marked, nor once it was told to stop. 0: it is
	// not run again. Negative is an error of New.
	RespawnDelay time.Duration

	// ReadyByAction has the start wait until the action has called [Ready]: for a
	// daemon that opens its database, say, after the privileges are dropped. An action
	// that returns, with or without an error, panics, exits or is killed before is a
	// start that failed, with exit code 1 and its text at the terminal; RespawnDelay
	// counts from Ready on. Default: a daemon is ready when its action is called.
	ReadyByAction bool

	// StartTimeout is the longest time that a start may take, PrivilegedAction
	// and, with ReadyByAction, the way to Ready included. Past it the start fails, says
	// how far it had come, and the process ends, that of Run, too; if it still has not
	// half a second later, the launcher kills it. With package forkfirst the time
	// counts from the call. 0: no limit. Negative is an error of New.
	StartTimeout time.Duration

	// LogOutput has the lines that the daemon and its children write to standard
	// output and error go to syslog, with LOG_INFO and LOG_WARNING, from ready on.
	// It takes them through a [Queue]: a stopped syslog daemon holds nobody up, and
	// what does not fit is counted and dropped. A line without an end is logged after
	// a second. What was written when the action returns or panics is logged before
	// the process ends; what is written in the instant before os.Exit or a crash may
	// be lost: have your logger use [NewWriter], which has logged it when it returns.
	// Package log needs neither: see [New]. On Linux, a child that outlives the daemon
	// is not killed by SIGPIPE; after 64 KiB that nobody reads, its writes fail with
	// EAGAIN, or block if the daemon was killed. The Go runtime's crash output is
	// kept as well: see [Service.Start]. false: both are /dev/null. Run leaves them
	// as they are, and so does what the program itself has put there. With LOG_PERROR
	// it is an error of New: each record would be logged again.
	LogOutput bool

	// OutputFile is the absolute path of a file to which standard output and error go
	// from ready on, and with them package log, with its date and time. It is opened
	// for appending before the privileges are dropped, and created with mode 0640 as
	// the daemon's user's. A file that is a symbolic link or has other names, that
	// belongs to neither root nor that user, or that others may write to, is refused,
	// exit code 6. SIGHUP, so also the verb reload, opens it anew before it calls
	// Reload: for logrotate(8) use "create 0640 USER GROUP", as the daemon's user may
	// not create files in the directory, or copytruncate. If it cannot be
	// opened, the log says so, and the old file stays. Children keep the file that
	// they were started with. "": see LogOutput; both are an error of New. Run does
	// not use it.
	OutputFile string
}

// settings are a Config without its type parameter and PrivilegedAction.
type settings = Config[struct{}]

// settings copies all fields but PrivilegedAction.
func (c *Config[T]) settings() settings {
	return settings{
		Name: c.Name, User: c.User, Group: c.Group,
		AllowNewPrivileges: c.AllowNewPrivileges,
		SyslogOptions:      c.SyslogOptions,
		SyslogFacility:     c.SyslogFacility,
		PidfileDirectory:   c.PidfileDirectory,
		Pidfile:            c.Pidfile,
		StopTimeout:        c.StopTimeout,
		Umask:              c.Umask,
		Reload:             c.Reload,
		RespawnDelay:       c.RespawnDelay,
		ReadyByAction:      c.ReadyByAction,
		StartTimeout:       c.StartTimeout,
		LogOutput:          c.LogOutput,
		OutputFile:         c.OutputFile,
	}
}

// complete checks the fields and sets the defaults.
func (c *Config[T]) complete() error {
	if c.Name == "" {
		if setUserID() {
			return errCallersName
		}
		c.Name = programName()
	}
	if err := checkName(c.Name); err != nil {
		return err
	}
	if err := c.completePidfile(); err != nil {
		return err
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 4 * time.Second
	}
	if c.Umask == 0 {
		c.Umask = 0o022
	}
	if c.SyslogFacility == 0 {
		c.SyslogFacility = LOG_DAEMON
	}
	const known = LOG_PID | LOG_CONS | LOG_NDELAY | LOG_ODELAY | LOG_NOWAIT | LOG_PERROR
	switch {
	case !filepath.IsAbs(c.PidfileDirectory):
		return badConfig("PidfileDirectory %q is not an absolute path: the daemon's working directory is /", c.PidfileDirectory)
	case c.StopTimeout < 0, c.RespawnDelay < 0, c.StartTimeout < 0:
		return badConfig("StopTimeout, StartTimeout and RespawnDelay cannot be negative")
	case c.Umask&^0o777 != 0:
		return badConfig("Umask %#o is more than the nine permission bits", uint32(c.Umask))
	case c.OutputFile != "" && !filepath.IsAbs(c.OutputFile):
		return badConfig("OutputFile %q is not an absolute path: the daemon's working directory is /", c.OutputFile)
	case c.OutputFile != "" && c.LogOutput:
		return badConfig("OutputFile and LogOutput are both set: standard output goes to a file or to syslog")
	case c.LogOutput && c.SyslogOptions&LOG_PERROR != 0:
		return badConfig("LogOutput and LOG_PERROR: each record would come back from standard error and be logged again; leave one out")
	case c.SyslogOptions&^known != 0:
		return badConfig("SyslogOptions %#x: only openlog(3)'s LOG_PID, LOG_CONS, LOG_NDELAY, "+
			"LOG_ODELAY, LOG_NOWAIT and LOG_PERROR are known", int(c.SyslogOptions))
	}
	return nil
}

// completePidfile finds the pidfile's path and its directory.
func (c *Config[T]) completePidfile() error {
	if c.Pidfile == "" {
		if c.PidfileDirectory == "" {
			c.PidfileDirectory = "/var/run"
		}
		c.Pidfile = filepath.Join(c.PidfileDirectory, c.Name+".pid")
		return nil
	}
	name, isPid := strings.CutSuffix(filepath.Base(c.Pidfile), ".pid")
	switch {
	case c.PidfileDirectory != "":
		return badConfig("Pidfile and PidfileDirectory are both set: leave one of them empty")
	case !filepath.IsAbs(c.Pidfile):
		return badConfig("Pidfile %q is not an absolute path: the daemon's working directory is /", c.Pidfile)
	case !isPid || checkName(name) != nil: // a start erases what the file says: no /etc/passwd by mistake
		return badConfig("Pidfile %q is not a path that ends in NAME.pid, where NAME could be a daemon's name", c.Pidfile)
	}
	c.PidfileDirectory = filepath.Dir(filepath.Clean(c.Pidfile)) // a slash at the end does not count
	return nil
}

// errCallersName: stop would remove the pidfile of whatever daemon the caller likes.
var errCallersName = &configError{errors.New("daemonize: a set-user-ID or set-group-ID program has no name but the one that its caller chooses: set Name")}

// checkName refuses what cannot name a file and a syslog tag. Syslog daemons find the tag's
// end themselves: rsyslog at a space, ':', '[', '/' and what is not ASCII.
func checkName(name string) error {
	bad := func(why string) error {
		return badConfig("the daemon's name %.40q %s: set Name to 1 to 200 printable ASCII characters without space, '/', ':', '[' and ']'", name, why)
	}
	ends := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/:[]", r) }
	i := strings.IndexFunc(name, ends)
	switch {
	case name == "" || name == "." || name == "..":
		return bad("names no file")
	case len(name) > 200:
		return bad("is too long")
	case i >= 0 && name[i] == '/':
		return bad("contains '/'")
	case i >= 0 && (name[i] < ' ' || name[i] == 0x7f):
		return bad("contains a control character")
	case i >= 0:
		return bad(fmt.Sprintf("contains %q, where syslog daemons end it", []rune(name[i:])[0]))
	}
	return nil
}
