// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && cgo && !daemonizego

package daemonize

// The calls that change every thread, by way of setxid_musl.c.

// #include "setxid_musl.h"
import "C"

import (
	"syscall"
	"unsafe"
)

// Package syscall's setgroups and its kin are libc's, in every thread. Where libc
// is not glibc, they may crash a Go program, and ours are used.

func sysSetgroups(groups []int) error {
	ids := make([]C.gid_t, len(groups)+1) // one more: &ids[0] must be something
	for i, g := range groups {
		ids[i] = C.gid_t(g)
	}
	e := C.cd_setgroups(C.size_t(len(groups)), (*C.gid_t)(unsafe.Pointer(&ids[0])))
	return everyThreadError(e, func() error { return syscall.Setgroups(groups) })
}

func sysSetresgid(r, e, s int) error {
	return everyThreadError(C.cd_setresgid(C.gid_t(r), C.gid_t(e), C.gid_t(s)), func() error { return syscall.Setresgid(r, e, s) })
}

func sysSetresuid(r, e, s int) error {
	return everyThreadError(C.cd_setresuid(C.uid_t(r), C.uid_t(e), C.uid_t(s)), func() error { return syscall.Setresuid(r, e, s) })
}

// everyThreadError is what e says, or what libc's function does.
func everyThreadError(e C.int, libc func() error) error {
	switch errno := syscall.Errno(e); errno {
	case 0:
		return nil
	case syscall.ENOSYS:
		return libc()
	default:
		return errno
	}
}
