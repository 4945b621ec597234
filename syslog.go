// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// syslog(3): constants, the rules for records that both backends share, the writer.

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Priority is a severity, a facility, or both or-ed together, as in syslog(3):
// LOG_AUTH|LOG_ERR. A severity alone takes the facility given to [Openlog]. 0 is
// LOG_EMERG.
type Priority int

// Option is a mask of openlog(3) options. 0 is none.
type Option int

// Severities, most urgent first, from <syslog.h>.
const (
	LOG_EMERG   Priority = iota // system is unusable; syslog daemons show it on every terminal
	LOG_ALERT                   // action must be taken immediately
	LOG_CRIT                    // critical conditions
	LOG_ERR                     // error conditions
	LOG_WARNING                 // warning conditions
	LOG_NOTICE                  // normal but significant condition
	LOG_INFO                    // informational
	LOG_DEBUG                   // debug-level messages
)

// Facilities, from <syslog.h>.
const (
	LOG_KERN     Priority = iota << 3 // kernel messages; 0, so only Openlog can choose it
	LOG_USER                          // user-level messages, the default
	LOG_MAIL                          // mail system
	LOG_DAEMON                        // system daemons
	LOG_AUTH                          // security and authorization messages
	LOG_SYSLOG                        // messages of syslogd itself
	LOG_LPR                           // line printer subsystem
	LOG_NEWS                          // network news subsystem
	LOG_UUCP                          // UUCP subsystem
	LOG_CRON                          // clock daemons
	LOG_AUTHPRIV                      // security and authorization messages, private
	LOG_FTP                           // FTP daemons
)

// Facilities for local use, from <syslog.h>.
const (
	LOG_LOCAL0 Priority = (iota + 16) << 3
	LOG_LOCAL1
	LOG_LOCAL2
	LOG_LOCAL3
	LOG_LOCAL4
	LOG_LOCAL5
	LOG_LOCAL6
	LOG_LOCAL7
)

// Options of openlog(3).
const (
	LOG_PID    Option = 1 << iota // put the process id into each record
	LOG_CONS                      // write to /dev/console what the syslog daemon does not take
	LOG_ODELAY                    // connect at the first record: the default
	LOG_NDELAY                    // connect in Openlog: before a chroot, say
	LOG_NOWAIT                    // don't wait for child processes: no effect, there are none
	LOG_PERROR                    // write to standard error (descriptor 2) too
)

const (
	severityMask Priority = 0x7   // LOG_PRIMASK
	facilityMask Priority = 0x3f8 // LOG_FACMASK

	// maxIdent is the longest name of a file, and far from glibc's buffer of
	// 1024 bytes (CVE-2023-6246).
	maxIdent = 255
)

// Openlog is openlog(3): it sets the name that precedes each record, the
// options and the facility of priorities that name none. It need not be
// called: the name is then the base name of os.Args[0], there are no options,
// and the facility is LOG_USER. A value that is no facility is ignored: the facility
// stays as it was. Openlog needs no privilege.
//
// The first 255 bytes of the ident count (31 with musl's libc), and control
// characters become '_', so that it cannot forge a record.
func Openlog(ident string, options Option, facility Priority) {
	sysOpenlog(cleanIdent(ident), options, facility)
}

// Syslog is syslog(3) with the message as it stands: a '%' is a '%'.
//
// Each line of the message is a record of its own. Lines end with "\n" or
// "\r\n"; a last line without an end is one too, and an empty line, or an
// empty message, is an empty record. So no message can pass for two, or for
// another program's. A NUL, which would end the record, becomes the four
// characters \x00. All other bytes are sent as they are.
//
// A line of more than 7680 bytes is split, between two characters if it is UTF-8. So
// a record, with its header, fits into the 8096 bytes that rsyslog takes by default.
// With cgo over a libc other than glibc the limit is 900 bytes: musl keeps 1024 bytes of
// a record with its header, and the BSDs 2048. Some syslog daemons keep less: those of
// busybox and inetutils about 990 bytes. syslog-ng keeps 64 KiB.
//
// Syslog reports no errors, as syslog(3) does not. With no syslog daemon
// there it returns at once, and the record is lost unless LOG_CONS or
// LOG_PERROR is set. When there is a syslog daemon again, Syslog connects again by
// itself. While the socket's queue is full (on Linux, by default, from the 12th record
// to a stopped daemon on), Syslog blocks, and so does every other function here that
// logs: use a [Queue] where that must not happen. Many goroutines may call it at once.
//
// Without cgo, macOS has no socket that takes records: build with cgo there.
//
// If the priority has bits that mean nothing, a record says so, as with glibc, and the
// message is sent without these bits. Records carry local time, by TZ or /etc/localtime;
// with musl's libc they carry UTC.
func Syslog(priority Priority, message string) {
	if priority&^(severityMask|facilityMask) != 0 {
		// glibc adds three options to this priority, which makes it LOG_AUTH.
		sysSyslog(LOG_AUTH|LOG_ERR, fmt.Sprintf("syslog: unknown facility/priority: %x", uint32(priority)))
		priority &= severityMask | facilityMask
	}
	if strings.IndexByte(message, 0) >= 0 {
		message = strings.ReplaceAll(message, "\x00", `\x00`)
	}
	for more := true; more; {
		var record string
		record, message, more = cutRecord(message, maxMessage)
		sysSyslog(priority, record)
	}
}

// Syslogf is Syslog with a format of package fmt.
func Syslogf(priority Priority, format string, args ...any) {
	Syslog(priority, fmt.Sprintf(format, args...))
}

// Setlogmask is setlogmask(3): only severities whose LogMask is in mask are
// logged from now on. It returns the old mask; mask 0 asks for it and changes
// nothing.
func Setlogmask(mask int) int { return sysSetlogmask(mask) }

// LogMask is LOG_MASK of setlogmask(3): the bit of one severity. A facility
// in the priority does not matter.
func LogMask(priority Priority) int { return 1 << (priority & severityMask) }

// LogUpto is LOG_UPTO of setlogmask(3): the bits of LOG_EMERG to priority.
func LogUpto(priority Priority) int { return 2<<(priority&severityMask) - 1 }

// Closelog is closelog(3): it closes the descriptor and forgets the ident,
// which is os.Args[0]'s base name again. Options, facility and mask stay. The
// next Syslog opens the log anew. Call Closelog before you close all descriptors: libc
// would not notice, and might write to the file that gets the descriptor's number next.
func Closelog() { sysCloselog() }

// NewWriter returns a writer for package log (with log.SetFlags(0): syslog
// adds the time) and its like. Each Write is one message to Syslog, so it
// must hold whole lines. Write never fails. An empty Write logs nothing.
func NewWriter(priority Priority) io.Writer { return writer{priority, syslogBytes} }

// emitter passes on one message; it does not keep text.
type emitter func(priority Priority, text []byte)

// syslogBytes is Syslog without a copy: nothing below it keeps the string.
func syslogBytes(priority Priority, text []byte) {
	Syslog(priority, unsafe.String(unsafe.SliceData(text), len(text)))
}

type writer struct {
	priority Priority
	emit     emitter
}

func (w writer) Write(p []byte) (int, error) {
	if len(p) > 0 {
		w.emit(w.priority, p)
	}
	return len(p), nil
}

// cutRecord takes the first record, of at most limit bytes, off a message,
// and tells whether there is another.
func cutRecord(message string, limit int) (record, rest string, more bool) {
	window := message[:min(len(message), limit+len("\r\n"))]
	if i := strings.IndexByte(window, '\n'); i >= 0 {
		line := strings.TrimSuffix(window[:i], "\r")
		if len(line) <= limit {
			return line, message[i+1:], i+1 < len(message)
		}
	}
	if len(message) <= limit {
		return message, "", false
	}
	n := limit
	for n > limit-(utf8.UTFMax-1) && !utf8.RuneStart(message[n]) {
		n--
	}
	if !utf8.RuneStart(message[n]) { // not UTF-8: cut anywhere
		n = limit
	}
	return message[:n], message[n:], true
}
