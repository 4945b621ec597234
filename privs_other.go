// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && (!linux || daemonizeother)

package daemonize

// The drop on other systems than Linux, which have no capabilities, and ids that are the
// process's, not a thread's.

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
)

// setIDs sets the supplementary groups, and the real, effective and saved
// ids: on these systems setgid(2) and setuid(2) do that for root, and
// for the whole process.
func setIDs(a *account) error {
	// Twice, as OpenSSH does: on some systems setgid drops what the first has set.
	if err := setGroups(a); err != nil {
		return refused("setgroups", "root", err)
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return refused("setgid", "root", err)
	}
	if err := setGroups(a); err != nil {
		return refused("setgroups", "root", err)
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return refused("setuid", "root", err)
	}
	return nil
}

// setGroups sets the supplementary groups by initgroups(3), where that is to be had and the user has
// a name, else by setgroups(2). On macOS setgroups(2) takes 16 groups, which ordinary
// administrators have more of; after initgroups the kernel asks the system's directory for the
// others. On the BSDs more groups than NGROUPS_MAX are an error, here or in verify.
func setGroups(a *account) error {
	if a.user != "" {
		if err := sysInitgroups(a.user, a.gid); err != syscall.ENOSYS {
			return err
		}
	}
	return syscall.Setgroups(a.groups)
}

// canRegainRoot is true if a process that is not root can be so at any time. These
// systems have no getresuid(2), or package unix does not: so it tries.
func canRegainRoot() bool {
	if syscall.Getuid() == 0 {
		return true
	}
	uid := syscall.Geteuid()
	if syscall.Seteuid(0) != nil {
		return false
	}
	_ = syscall.Seteuid(uid) // the caller refuses to go on in any case
	return true
}

// checkCapabilitiesClear: only Linux has capabilities that could survive.
func checkCapabilitiesClear(allowNewPrivs bool) error { return nil }

// setNoNewPrivs: only Linux has no_new_privs.
func setNoNewPrivs() error { return nil }

// lacksSeccomp: only Linux needs seccomp(2).
func lacksSeccomp() bool { return false }

func withNoNewPrivs(f func() error) error { return f() }

// verify reads back who we are.
func (a *account) verify(noNewPrivs bool) error {
	if r, e := syscall.Getuid(), syscall.Geteuid(); r != a.uid || e != a.uid {
		return fmt.Errorf("uids are %d %d, not %d", r, e, a.uid)
	}
	if r, e := syscall.Getgid(), syscall.Getegid(); r != a.gid || e != a.gid {
		return fmt.Errorf("gids are %d %d, not %d", r, e, a.gid)
	}
	groups, err := syscall.Getgroups()
	if err != nil || !a.sameGroups(groups) && !a.mostGroups(groups) {
		return fmt.Errorf("groups are %v (%v), not %v", groups, err, a.groups)
	}
	return nil
}

// mostGroups is true for what macOS tells of more groups than getgroups(2) has room for
// there: so many of the account's, and no other.
func (a *account) mostGroups(got []int) bool {
	const most = 16 // NGROUPS_MAX of macOS
	if runtime.GOOS != "darwin" || len(a.groups) <= most || len(got) < most {
		return false
	}
	return !slices.ContainsFunc(got, func(g int) bool { return !slices.Contains(a.groups, g) })
}

// These change the process.

func threadSetgroups(gid int) error { return syscall.Setgroups([]int{gid}) }
func threadSetgid(gid int) error    { return syscall.Setgid(gid) }

// threadSetuid tries seteuid(2), too: on some systems it alone looks at the saved id.
func threadSetuid(uid int) error {
	if syscall.Seteuid(uid) == nil {
		return nil
	}
	return syscall.Setuid(uid)
}
