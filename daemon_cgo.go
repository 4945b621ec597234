// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

package daemonize

// The C part of becoming a daemon is cdaemon.c; this is Go's way to it.

// #cgo CFLAGS: -Wall
// #cgo daemonizeother CFLAGS: -DCD_OTHER
// #cgo daemonizeexecagain CFLAGS: -DCD_EXEC_AGAIN
// #include "cdaemon.h"
import "C"

import "syscall"

// The launcher's protocol is the same in Go and in C, or this does not compile:
// an index other than 0 is out of range, and a map has each key once.
var (
	_ = [1]int{}[frameBooted-C.CD_BOOTED|frameBootError-C.CD_BOOT_ERROR|frameStage-C.CD_STAGE|
		frameNotDaemon-C.CD_NOT_DAEMON|frameReady-C.CD_READY|frameFailed-C.CD_FAILED|
		bootInDaemon-C.CD_IN_DAEMON|bootInFork-C.CD_IN_FORK|bootWithThreads-C.CD_WITH_THREADS|bootInExec-C.CD_IN_EXEC|
		bootInClose-C.CD_IN_CLOSE|frameHeader-C.sizeof_struct_cd_frame]
	_ = map[bool]bool{false: true, marker == C.CD_MARKER: true}
)

// usesLibc tells messages and tests which backend they have.
const usesLibc = true

// sysBoot asks the constructor in cdaemon.c what it did with the marker. It
// has removed it, so one that Go still sees was never looked at.
func sysBoot(_ string, seen bool) bootResult {
	fd := C.int(-1)
	switch state := C.cd_boot_result(&fd); {
	case state == C.CD_DAEMON:
		return bootResult{state: bootDaemon, report: int(fd)}
	case state == C.CD_FORKED:
		return bootResult{state: bootForked, report: int(fd)}
	case state == C.CD_NOT_RUN:
		return bootResult{state: bootMissing}
	case state == C.CD_NONE && !seen:
		return bootResult{state: bootNone}
	}
	return bootResult{state: bootRefused}
}

// sysCloseInForks has C's fork(2) not take fd along; exec does not anyway.
func sysCloseInForks(which, fd int) error {
	if e := C.cd_close_in_forks(C.int(which), C.int(fd)); e != 0 {
		return syscall.Errno(e)
	}
	return nil
}
