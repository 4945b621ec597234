// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

package daemonize

// syslog(3) over libc.

/*
#cgo noescape cd_openlog
#cgo nocallback cd_openlog
#cgo noescape cd_syslog
#cgo nocallback cd_syslog
#include <syslog.h>
#include "cdaemon.h"
*/
import "C"

import (
	"sync"
	"unsafe"
)

// maxMessage bounds the text of one record.
const maxMessage = C.CD_MAX_MESSAGE

// libcLog is what Go must know of libc's log. Its lock is held through each
// call: libc has a lock of its own there, and goroutines that wait for this
// one take no thread each while a full socket blocks the one in front.
var libcLog = struct {
	sync.Mutex
	open     bool // libc has an ident of ours
	options  Option
	facility Priority
}{facility: LOG_USER}

func sysOpenlog(ident string, options Option, facility Priority) {
	libcLog.Lock()
	defer libcLog.Unlock()
	if facility&^facilityMask == 0 {
		libcLog.facility = facility
	}
	libcLog.options = options
	libcOpenlog(ident)
}

// libcOpenlog needs the lock. Go's memory may move: C makes its own copy.
func libcOpenlog(ident string) {
	C.cd_openlog(cBytes(ident), C.int(len(ident)), C.int(libcLog.options), C.int(libcLog.facility))
	libcLog.open = true
}

func sysSyslog(priority Priority, message string) {
	libcLog.Lock()
	if !libcLog.open { // libc's own default has no bound (CVE-2023-6246)
		libcOpenlog(defaultIdent())
	}
	C.cd_syslog(C.int(priority), cBytes(message), C.int(len(message)))
	libcLog.Unlock()
}

// sysSetlogmask leaves the lock alone: libc's does.
func sysSetlogmask(mask int) int { return int(C.setlogmask(C.int(mask))) }

func sysCloselog() {
	libcLog.Lock()
	defer libcLog.Unlock()
	C.closelog()
	libcLog.open = false
}

// cBytes lends C the bytes of s, which no NUL ends.
func cBytes(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

// Names that libc spells differently do not compile: an index other than 0
// is out of range.
var _ = [1]int{}[LOG_EMERG-C.LOG_EMERG|LOG_ALERT-C.LOG_ALERT|LOG_CRIT-C.LOG_CRIT|LOG_ERR-C.LOG_ERR|
	LOG_WARNING-C.LOG_WARNING|LOG_NOTICE-C.LOG_NOTICE|LOG_INFO-C.LOG_INFO|LOG_DEBUG-C.LOG_DEBUG|
	LOG_KERN-C.LOG_KERN|LOG_USER-C.LOG_USER|LOG_MAIL-C.LOG_MAIL|LOG_DAEMON-C.LOG_DAEMON|
	LOG_AUTH-C.LOG_AUTH|LOG_SYSLOG-C.LOG_SYSLOG|LOG_LPR-C.LOG_LPR|LOG_NEWS-C.LOG_NEWS|
	LOG_UUCP-C.LOG_UUCP|LOG_CRON-C.LOG_CRON|LOG_AUTHPRIV-C.LOG_AUTHPRIV|LOG_FTP-C.LOG_FTP|
	LOG_LOCAL0-C.LOG_LOCAL0|LOG_LOCAL1-C.LOG_LOCAL1|LOG_LOCAL2-C.LOG_LOCAL2|LOG_LOCAL3-C.LOG_LOCAL3|
	LOG_LOCAL4-C.LOG_LOCAL4|LOG_LOCAL5-C.LOG_LOCAL5|LOG_LOCAL6-C.LOG_LOCAL6|LOG_LOCAL7-C.LOG_LOCAL7|
	severityMask-C.LOG_PRIMASK|facilityMask-C.LOG_FACMASK]

var _ = [1]int{}[LOG_PID-C.LOG_PID|LOG_CONS-C.LOG_CONS|LOG_ODELAY-C.LOG_ODELAY|LOG_NDELAY-C.LOG_NDELAY|
	LOG_NOWAIT-C.LOG_NOWAIT|LOG_PERROR-C.LOG_PERROR|maxIdent-C.CD_MAX_IDENT]
