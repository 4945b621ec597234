// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Package daemonize turns a program into a Unix daemon with
// start|stop|restart|status|reload|run, through libc's own daemon(3),
// syslog(3) and getpwnam(3). It keeps three promises: start tells the truth,
// stop cannot hit the wrong process, and what the daemon says is not lost.
//
// # A service
//
//	func main() {
//		daemonize.Serviced(serve, &daemonize.Config[net.Listener]{
//			Name:             "hello",
//			PrivilegedAction: func() (net.Listener, error) { return net.Listen("tcp", ":80") },
//		})
//	}
//
// [Serviced] obeys the verb that the program is given as its argument. [New]
// returns the same verbs as methods, for programs with a command line of their
// own. [Detach], [Daemon] and [Daemonize] are for programs that only want to go
// to the background: daemon(3) with a launcher that waits until the daemon is
// ready.
//
// # How a start goes
//
// The Go runtime has threads before main, and fork(2) copies only one. So the
// process that was started, the launcher, runs the program again, and that copy
// becomes the daemon before its Go runtime starts: a C constructor calls
// daemon(3), and forks once more where that left a session leader.
//
//  1. The launcher refuses to start where it is PID 1, runs set-user-ID, finds no
//     directory for the pidfile, or finds that the daemon runs already.
//  2. It runs the program again, with the arguments, the environment and the
//     working directory that it was started with, and waits.
//  3. The copy becomes a daemon and runs main up to the same call. There it changes
//     to /, puts /dev/null on standard input and output, opens syslog, looks up its
//     account, locks the pidfile, runs the privileged action, writes its pid and
//     drops its privileges. Standard error is a pipe to the launcher until the
//     daemon is ready.
//  4. The copy reports that it is ready, and the launcher ends with status 0. If the
//     copy reports an error, or dies, the launcher shows the error and what the copy
//     wrote to standard error, and ends with another status.
//
// If the launcher is interrupted or killed before the daemon is ready, no
// daemon stays. Code before the call runs in both processes; what it prints
// is seen once, from the launcher.
//
// Package forkfirst, imported for its effect, saves the second run of the
// program: then the launcher never becomes a Go program, and main runs once.
//
// # Two builds
//
// With cgo, libc does the work: daemon(3), openlog(3), getpwnam_r(3). Without it
// (CGO_ENABLED=0, or the build tag daemonizego), Go does the same, with the
// same functions, messages and tests. What differs:
//
//   - Becoming a daemon takes two re-executions, in this package's init. The init
//     functions of packages initialized before it run in the first as well.
//   - Signals that the launcher's parent ignored or blocked are reset on Linux
//     only.
//   - On current macOS, syslog messages from pure Go reach nobody.
//   - Accounts that are not in /etc/passwd and /etc/group are found through
//     getent(1), see [GetentPaths].
//
// In both builds the daemon is no session leader. After daemon(3) of glibc or the
// BSDs alone it would be one, and would get a controlling terminal when it opens a
// terminal. The daemon has none of the launcher's descriptors but those that noclose
// keeps. daemon(3) alone would keep all others. In the build with libc, what a preloaded or
// linked C library has opened before main is closed in the daemon as well.
//
// A program linked with -ldflags=-linkmode=internal has no constructors: every
// start is then an error that says so.
//
// # Environment
//
// DAEMONIZE_BOOT tells the copy that it is to become the daemon. The variable is
// removed before main. If anyone but the launcher of this process has set it, the
// process never starts a daemon. The verb run obeys NOTIFY_SOCKET, LISTEN_PID,
// LISTEN_FDS, LISTEN_FDNAMES and JOURNAL_STREAM of systemd. The drop of privileges
// sets HOME, USER and LOGNAME, and unsets what names the login of before, see
// [DropPrivileges]. Syslog of the pure-Go build obeys TZ as libc does.
//
// # Files
//
//	/var/run/NAME.pid    the pidfile: the pid's digits, mode 0600
//	/var/run/NAME.lock   its companion, by whose lock the daemon is known, mode 0600
//	/var/run/NAME.crash  what the Go runtime printed in a crash, mode 0600
//	/dev/log             the socket of the syslog daemon
//
// The daemon holds two locks for life: flock(2) on its pidfile, as BSD's
// pidfile(3) does, and a record lock of fcntl(2) on the companion. stop, reload and
// restart signal only the process that F_GETLK names as the holder of the record
// lock. (On Linux, where somebody removed NAME.lock, they signal the process that
// holds the flock(2) by its /proc/PID/fdinfo.) Config can name another directory,
// another pidfile, and a file for standard output.
//
// # Exit status
//
// Of a command: 0 done, 1 failed, 2 usage, 3 not implemented, 4 not permitted, 6
// not configured, 7 not running; of status: 0 running, 1 dead, 3 stopped, 4
// unknown. They are the LSB's for init scripts, see [Service.Command]. Of the
// daemon: 0 after nil, 1 after an error or a panic, 2 after a crash of the Go
// runtime. Of Detach's launcher: 0 after ready(nil), 1 after ready(err), or the exit
// status of a daemon that exits before it calls ready.
//
// # Limits
//
// A daemon that dropped its privileges cannot remove its pidfile from a directory
// of root's when it ends by itself. Then status says that the daemon is dead, the
// next start takes the pidfile over, and root's stop removes it. The pidfile must be
// on a file system with flock(2) and record locks. On Linux a start needs /proc.
// If somebody removes NAME.lock under a daemon, only Linux can still prove who the
// daemon is. If somebody removes both NAME.pid and NAME.lock, nothing can. On systems
// other than Linux, status needs the right to read the files.
//
// A set-user-ID program can neither start a daemon nor run. With cgo over glibc 2.32 or newer,
// a library that has started threads before main (LD_PRELOAD) makes a start an
// error: fork(2) would end them. A program with cgo that is built with the tag
// daemonizego over musl before 1.2.4 may crash while it drops its privileges
// (golang.org/issue/39857): build it without the tag. Under systemd use the verb
// run with Type=notify, or else start with Type=forking and PIDFile=.
//
// # See also
//
// daemon(3), daemon(7), syslog(3), getpwnam(3), initgroups(3), setresuid(2),
// prctl(2), flock(2), fcntl(2), pidfd_open(2), sd_notify(3), sd_listen_fds(3), getent(1)
package daemonize
