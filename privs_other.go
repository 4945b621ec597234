//go:build unix && (!linux || daemonizeother)

package daemonize

// The drop on other systems than Linux, which have no capabilities, and ids that are the
// process's, not a thread's.

import (
	"fmt"
	"syscall"
)

// setIDs sets the supplementary groups, and the real, effective and saved
// ids: elsewhere than on Linux setgid(2) and setuid(2) do that for root, and
// for the whole process.
func setIDs(uid, gid int, groups []int) error {
	if err := syscall.Setgroups(groups); err != nil {
		return refused("setgroups", "root", err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return refused("setgid", "root", err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return refused("setuid", "root", err)
	}
	return nil
}

// canRegainRoot is true if a process that is not root can be so at any time, as
// far as can be seen.
func canRegainRoot() bool { return syscall.Getuid() == 0 }

// checkCapabilitiesClear: only Linux has capabilities that could survive.
func checkCapabilitiesClear(allowNewPrivs bool) error { return nil }

// setNoNewPrivs: only Linux has no_new_privs.
func setNoNewPrivs() error { return nil }

// prove reads back who we are.
func (a *account) verify(noNewPrivs bool) error {
	if r, e := syscall.Getuid(), syscall.Geteuid(); r != a.uid || e != a.uid {
		return fmt.Errorf("uids are %d %d, not %d", r, e, a.uid)
	}
	if r, e := syscall.Getgid(), syscall.Getegid(); r != a.gid || e != a.gid {
		return fmt.Errorf("gids are %d %d, not %d", r, e, a.gid)
	}
	if groups, err := syscall.Getgroups(); err != nil || !a.sameGroups(groups) {
		return fmt.Errorf("groups are %v (%v), not %v", groups, err, a.groups)
	}
	return nil
}

// Elsewhere these change the process.

func threadSetgroups(gid int) error { return syscall.Setgroups([]int{gid}) }
func threadSetgid(gid int) error    { return syscall.Setgid(gid) }
func threadSetuid(uid int) error    { return syscall.Setuid(uid) }
