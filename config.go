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
	// terminal; the exit code is 1. It must not call chroot(2) or unshare the mount
	// namespace: the daemon writes its pidfile after it. nil: the action gets T's zero
	// value.
	PrivilegedAction func() (T, error)

	// Name names the daemon in syslog, messages and the pidfile: 1 to 200
	// printable ASCII characters without space, '/', ':', '[' and ']', which
	// syslog daemons take for the end of the name. Default: the base name of
	// os.Args[0]. A set-user-ID program must set it: there the caller chooses
	// os.Args[0]. A program that is started by several names, as by links called
	// S87prog and K13prog, must set it, too: else each name has a pidfile of its own,
	// and K13prog stop does not find what S87prog start has started.
	Name string

	// User and Group are who the daemon becomes when root starts it: a name, or an id in
	// decimal if no account has that name. Default: the user and the group called Name if
	// there are such, else daemon. Where User is set, Group is not, and no group is called
	// Name, it is that user's own group. A User or Group that is set and does not exist is
	// an error. With the user come initgroups(3)'s supplementary groups, and HOME, USER and
	// LOGNAME as a login sets them, see [DropPrivileges]. User "root" or "0" stays root.
	//
	// If anyone but root starts the daemon, it stays that user. Another User or Group is an
	// fs.ErrPermission, exit code 4. With User CurrentUser the daemon stays whoever starts
	// it, root or not, without any change. Group is then empty, or the group that the
	// process has.
	User, Group string

	// AllowNewPrivileges leaves no_new_privs (prctl(2)) unset. By default the
	// drop sets it on Linux, on every thread, for good, so that no set-user-ID
	// program that the daemon runs, such as sudo or ping, gives anything back.
	AllowNewPrivileges bool

	// SyslogOptions is a mask of openlog(3)'s LOG_PID, LOG_CONS, LOG_NDELAY,
	// LOG_ODELAY, LOG_NOWAIT and LOG_PERROR. 0: none. Any other bit is an
	// error of New.
	SyslogOptions Option

	// SyslogFacility is for messages without a facility. 0: LOG_DAEMON, so LOG_KERN,
	// which is 0, cannot be chosen. A value that is no facility means LOG_USER.
	SyslogFacility Priority

	// PidfileDirectory is an absolute path. It must belong to root or to the
	// user who starts the daemon, and not be writable by others (for root, nor
	// by its group), unless it is sticky, as /tmp is; else the start is refused,
	// exit code 6. Default: /var/run.
	PidfileDirectory string

	// Pidfile is the pidfile's path, for programs with an option of their own for it. It
	// is absolute, and ends in ".pid". For its directory the rules of PidfileDirectory
	// hold; PidfileDirectory itself must be empty then. NAME.lock and NAME.crash are
	// beside it. Default: NAME.pid in PidfileDirectory.
	Pidfile string

	// StopTimeout is the time between SIGTERM and SIGKILL. The action must return within
	// this time after its context has ended, see [New]. If it does not, stop kills the
	// daemon, and prints and logs that. 0: 4 seconds. Negative is an error of New.
	StopTimeout time.Duration

	// Umask is the daemon's umask(2). 0: 022; an action that wants 0 calls
	// umask(2). More than the nine permission bits is an error of New.
	Umask os.FileMode

	// Reload runs on SIGHUP, as the user that the daemon has become, one call
	// at a time, beside the action, whose context it gets. Its error or panic is
	// logged and does not end the daemon. A SIGHUP that comes before the daemon is
	// ready is served when it is. nil: SIGHUP does nothing, but reopens OutputFile.
	Reload func(context.Context) error

	// RespawnDelay is the pause before an action that failed or panicked is run again,
	// with the same result of PrivilegedAction. (hdaemonize does so after 5 seconds.) The
	// action is not run again after nil, after an error that [Fatal] has marked, or after
	// the daemon was told to stop. 0: it is not run again. Negative is an error of New.
	RespawnDelay time.Duration

	// ReadyByAction has the start wait until the action has called [Ready]: for a
	// daemon that opens its database, say, after the privileges are dropped. If the action
	// returns before that, with or without an error, or panics, exits or is killed, the
	// start has failed: exit code 1, and the text at the terminal. RespawnDelay works from
	// Ready on. false: the daemon is ready when its action is called.
	ReadyByAction bool

	// StartTimeout is the longest time that a start may take, PrivilegedAction and, with
	// ReadyByAction, the action up to Ready included. After that time the start fails and
	// says how far it had come, and the process ends, also that of Run. If it has not ended
	// two seconds later, the launcher kills it. With package forkfirst the time
	// counts from the call. 0: no limit. Negative is an error of New.
	StartTimeout time.Duration

	// LogOutput sends the lines that the daemon and its children write to standard output
	// and error to syslog, with LOG_INFO and LOG_WARNING, from ready on. They go through a
	// [Queue]: a stopped syslog daemon holds nobody up, and what does not fit is counted
	// and dropped. A line without an end is logged after a second. false: both are
	// /dev/null. Run leaves both as they are. A descriptor that the program itself has
	// replaced stays, too. With LOG_PERROR it is an error of New: each record would be
	// logged again.
	//
	// What was written before the action returns or panics is logged before the process
	// ends. What is written right before os.Exit or a crash may be lost: let your logger
	// write to [NewWriter], which has logged a message when Write returns. Package log
	// does not need that: see [New]. The Go runtime's crash output is kept as well: see
	// [Service.Start]. On Linux, a child that outlives the daemon is not killed by
	// SIGPIPE. After 64 KiB that nobody reads, its writes fail with EAGAIN, or block if
	// the daemon was killed.
	LogOutput bool

	// OutputFile is the absolute path of a file to which standard output and error go
	// from ready on, and with them package log, with its date and time. It is opened
	// for appending before the privileges are dropped. If it is not there, it is created
	// with mode 0640, and belongs to the daemon's user. A file is refused, exit code 6, if
	// it is a symbolic link, has other links, belongs to neither root nor that user, or
	// may be written by others. "": see LogOutput. With LogOutput it is an error of New.
	// Run does not use it.
	//
	// SIGHUP, and so the verb reload, opens the path anew before it calls Reload. For
	// logrotate(8) use copytruncate, or "create 0640 USER GROUP": the daemon's user may
	// not create files in the directory. If the path cannot be opened, the log says so, and
	// the old file stays. Children keep the file that they were started with.
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
