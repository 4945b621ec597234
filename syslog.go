//go:build unix

package daemonize

import "fmt"

// Priority is a severity, a facility, or both or-ed together, as in syslog(3).
type Priority int

// Option is a mask of openlog(3) options.
type Option int

// Severities, from <syslog.h>.
const (
	LOG_EMERG Priority = iota
	LOG_ALERT
	LOG_CRIT
	LOG_ERR
	LOG_WARNING
	LOG_NOTICE
	LOG_INFO
	LOG_DEBUG
)

// Facilities.
const LOG_DAEMON Priority = 3 << 3

// Options.
const (
	LOG_PID Option = 1 << iota
	LOG_CONS
	LOG_ODELAY
	LOG_NDELAY
	LOG_NOWAIT
	LOG_PERROR
)

// Openlog is openlog(3).
func Openlog(ident string, options Option, facility Priority) { sysOpenlog(ident, options, facility) }

// Syslog is syslog(3).
func Syslog(priority Priority, message string) { sysSyslog(priority, message) }

// Syslogf is Syslog with a format of package fmt.
func Syslogf(priority Priority, format string, args ...any) {
	Syslog(priority, fmt.Sprintf(format, args...))
}

// Setlogmask is setlogmask(3).
func Setlogmask(mask int) int { return sysSetlogmask(mask) }

// Closelog is closelog(3).
func Closelog() { sysCloselog() }
