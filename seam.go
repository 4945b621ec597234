// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The seam: every function that exists twice, once over libc and once in
// pure Go, with the one signature that both must have. A backend that drifts
// does not compile.
var (
	_ func(marker string, seen bool) bootResult = sysBoot
	_ func(which, fd int) error                 = sysCloseInForks

	_ func(ident string, options Option, facility Priority) = sysOpenlog
	_ func(priority Priority, message string)               = sysSyslog
	_ func(mask int) int                                    = sysSetlogmask
	_ func()                                                = sysCloselog
	_ int                                                   = maxMessage

	_ func(name string) (*Passwd, error)        = sysGetpwnam
	_ func(uid int) (*Passwd, error)            = sysGetpwuid
	_ func(name string) (*Group, error)         = sysGetgrnam
	_ func(user string, gid int) ([]int, error) = sysGetgrouplist
	_ func(user string, gid int) error          = sysInitgroups

	_ bool = usesLibc
)
