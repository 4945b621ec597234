// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !darwin && !(cgo && !daemonizego)

package daemonize

// The lookup of accounts without libc is accounts_files.go.

func sysGetpwnam(name string) (*Passwd, error)            { return filesGetpwnam(name) }
func sysGetpwuid(uid int) (*Passwd, error)                { return filesGetpwuid(uid) }
func sysGetgrnam(name string) (*Group, error)             { return filesGetgrnam(name) }
func sysGetgrouplist(user string, gid int) ([]int, error) { return filesGetgrouplist(user, gid) }
