//go:build unix && cgo && !daemonizego

package daemonize

// The C half of becoming a daemon is cdaemon.c; this is Go's way to it.

// #cgo CFLAGS: -Wall
// #include "cdaemon.h"
import "C"

import "syscall"

// usesLibc tells messages and tests which half they have.
const usesLibc = true

// sysBoot asks the constructor in cdaemon.c what it did with the marker. It
// has removed it, so one that Go still sees was never looked at.
func sysBoot(_ string, seen bool) bootResult {
	fd := C.int(-1)
	switch state := C.cd_boot_result(&fd); {
	case state == C.CD_DAEMON:
		return bootResult{bootDaemon, int(fd)}
	case state == C.CD_FORKED:
		return bootResult{bootForked, int(fd)}
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
