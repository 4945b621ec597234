// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(cgo && !daemonizego)

package daemonize

// The lookup of accounts without libc: accounts_files.go, but for macOS. There package os/user
// asks libSystem, and libSystem Open Directory. /etc/passwd has next to none of the accounts.

import (
	"fmt"
	"os/user"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

const onMac = runtime.GOOS == "darwin"

func sysGetpwnam(name string) (*Passwd, error) {
	if onMac {
		return osUserPasswd(user.Lookup(name))
	}
	return filesGetpwnam(name)
}

func sysGetpwuid(uid int) (*Passwd, error) {
	if onMac {
		return osUserPasswd(user.LookupId(strconv.Itoa(uid)))
	}
	return filesGetpwuid(uid)
}

func sysGetgrnam(name string) (*Group, error) {
	if onMac {
		return osUserGroup(user.LookupGroup(name))
	}
	return filesGetgrnam(name)
}

func sysGetgrouplist(name string, gid int) ([]int, error) {
	if onMac {
		return osUserGrouplist(name, gid)
	}
	return filesGetgrouplist(name, gid)
}

// osUserPasswd has no shell and no password: os/user has none.
func osUserPasswd(u *user.User, err error) (*Passwd, error) {
	if err != nil {
		return nil, err
	}
	uid, okUID := parseID(u.Uid)
	gid, okGID := parseID(u.Gid)
	if !okUID || !okGID {
		return nil, fmt.Errorf("lookup failed: user %s has uid %q and gid %q", u.Username, u.Uid, u.Gid)
	}
	return &Passwd{Name: u.Username, Passwd: "*", UID: uid, GID: gid, Gecos: u.Name, Dir: u.HomeDir}, nil
}

// osUserGroup has no members: os/user has none.
func osUserGroup(g *user.Group, err error) (*Group, error) {
	if err != nil {
		return nil, err
	}
	gid, ok := parseID(g.Gid)
	if !ok {
		return nil, fmt.Errorf("lookup failed: group %s has gid %q", g.Name, g.Gid)
	}
	return &Group{Name: g.Name, GID: gid}, nil
}

func osUserGrouplist(name string, gid int) ([]int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	u.Gid = strconv.Itoa(gid) // the group to begin with, as in getgrouplist(3)
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var groups []int
	for _, id := range ids {
		g, ok := parseID(id)
		if !ok {
			return nil, fmt.Errorf("lookup failed: user %s is in group %q", name, id)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// sysInitgroups is initgroups(3), which is libc's alone.
func sysInitgroups(user string, gid int) error { return unix.ENOSYS }
