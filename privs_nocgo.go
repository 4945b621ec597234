// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && !(cgo && !daemonizego)

package daemonize

// Without cgo package syscall has the Go runtime change every thread. In a
// program with cgo that is built with the tag daemonizego, libc does.

import "syscall"

func sysSetgroups(groups []int) error { return syscall.Setgroups(groups) }
func sysSetresgid(r, e, s int) error  { return syscall.Setresgid(r, e, s) }
func sysSetresuid(r, e, s int) error  { return syscall.Setresuid(r, e, s) }
