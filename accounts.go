// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// Accounts: passwd(5) and group(5) entries by name.

import (
	"errors"
	"os/user"
)

// Passwd is an entry of passwd(5).
type Passwd struct {
	Name, Passwd      string
	UID, GID          int
	Gecos, Dir, Shell string
}

// Group is an entry of group(5).
type Group struct {
	Name    string
	GID     int
	Members []string
}

// CurrentUser, as a user, is whoever starts the daemon: nothing is dropped, and
// the environment stays as it is. Started by root, the daemon runs as root. No
// account has that name.
const CurrentUser = "-"

// Getpwnam finds a user by name, as getpwnam(3) does. A name that nobody has
// is a [user.UnknownUserError]; any other error means that the lookup itself
// failed, which tells nothing about the user. It needs no privilege.
//
// Over libc it asks every name service of nsswitch.conf(5); a service that
// answers ENOENT or ESRCH doesn't know the name. Without cgo, and in a
// statically linked glibc program, where libc cannot be trusted to load its
// name services, it reads /etc/passwd and then asks getent(1), see
// [GetentPaths].
func Getpwnam(name string) (*Passwd, error) {
	if !accountName(name) {
		return nil, user.UnknownUserError(name)
	}
	return sysGetpwnam(name)
}

// Getgrnam finds a group by name, as getgrnam(3) does, with all its members
// however many. A name that no group has is a [user.UnknownGroupError]. All
// else is as in [Getpwnam].
func Getgrnam(name string) (*Group, error) {
	if !accountName(name) {
		return nil, user.UnknownGroupError(name)
	}
	return sysGetgrnam(name)
}

// unknown tells "there is no such account" from "the lookup failed".
func unknown(err error) bool {
	var u user.UnknownUserError
	var id user.UnknownUserIdError
	var g user.UnknownGroupError
	return errors.As(err, &u) || errors.As(err, &id) || errors.As(err, &g)
}
