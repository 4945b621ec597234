// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Who the daemon becomes, the drop of privileges, and its proof.

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// DropPrivileges becomes the user and the group for good, in every thread of
// the process, and proves it. Each is a name, or an id in decimal if no account has that
// name. An empty user is an error; an empty group is the user's own group. If an account
// does not exist, errors.As finds a [user.UnknownUserError] or a [user.UnknownGroupError].
// Many goroutines may call DropPrivileges: one drops at a time.
//
// It sets, in this order: on Linux PR_SET_NO_NEW_PRIVS of prctl(2), so that no set-user-ID
// program gives a privilege back; initgroups(3)'s supplementary groups; setresgid(2);
// setresuid(2); HOME, USER and LOGNAME as a login sets them. (For an id without an account
// HOME is /, and USER and LOGNAME are unset.) It unsets what names the login that started
// the process: SHELL, MAIL, XDG_RUNTIME_DIR, XDG_SESSION_*, XDG_SEAT, XDG_VTNR and
// DBUS_SESSION_BUS_ADDRESS. Then it reads back the ids, the groups and the capabilities of
// every thread, and tries to become root again, which must fail.
//
// All else that a login changes stays: other variables, the control group, the audit login
// uid, nice value, scheduling policy, OOM score adjustment, timer slack, resource limits,
// and the keyrings(7) of the process.
//
// DropPrivileges needs root. An unprivileged process may name the account that it has:
// then nothing happens. For any other account the error is an [fs.ErrPermission].
//
// User "root" or "0" stays root: then there is nothing to prove, and no_new_privs is left
// alone. Ids and groups that root has already are not set again. Root's groups stay where
// it may not set them, as in a user namespace that denies setgroups(2). Refused are
// [CurrentUser], which drops nothing, another name with uid 0, and gid 0 under any name but
// "root", "wheel" or "0".
//
// After an error, only a part may be dropped. The process must exit, without running
// anything that was meant for the unprivileged account.
//
// A Linux program that contains cgo can set no_new_privs on all its threads only together
// with a seccomp(2) filter. The filter allows everything, costs about ten nanoseconds a
// system call, and shows as "Seccomp: 2" in /proc/PID/status.
func DropPrivileges(user, group string) error {
	if user == "" || user == CurrentUser {
		return badConfig("DropPrivileges without a user: name one")
	}
	dropping.Lock() // the second one finds itself unprivileged
	defer dropping.Unlock()
	a, err := resolveAccount("", user, group)
	if err != nil {
		return err
	}
	return a.drop(false)
}

// dropping is held by the one DropPrivileges that changes the ids of all threads: musl
// before 1.2.4 crashes where two do.
var dropping sync.Mutex

// maxID is the highest uid or gid; one more is -1, which setresuid(2) and
// its kin take as "leave it as it is".
const maxID = math.MaxUint32 - 1

// couldNotSwitch is how pydaemonize begins what it says of accounts that are
// not there.
const couldNotSwitch = "Could not switch to"

// nonexistent is the error for an account that was named and is not there.
func nonexistent(kind, name string, err error) error {
	return &configError{fmt.Errorf("%s nonexistent %s %s: %w; create it, or name another", couldNotSwitch, kind, name, err)}
}

// numericID reads an id as chown(1) does: decimal, without sign, and without
// leading zeros lest "00" be root. The bool is false for what is no number.
func numericID(s string) (int, bool, error) {
	if !allDigits(s) || s[0] == '0' && s != "0" {
		return 0, false, nil
	}
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil || id > maxID || uint64(int(id)) != id {
		return 0, true, &configError{fmt.Errorf("daemonize: id %s is out of range: ids go from 0 to %d", s, min(maxID, uint64(math.MaxInt)))}
	}
	return int(id), true, nil
}

// account is who the daemon becomes.
type account struct {
	uid, gid   int
	groups     []int  // initgroups(3)'s, gid first
	user, home string // "" when the uid has no entry
	change     bool   // false: nothing to drop, run as who we are
}

func (a *account) String() string {
	if a.user == "" {
		return fmt.Sprintf("uid %d, gid %d", a.uid, a.gid)
	}
	return fmt.Sprintf("user %s (uid %d, gid %d)", a.user, a.uid, a.gid)
}

// resolveAccount finds out who the daemon called name becomes, by the rules
// for Config.User and Config.Group. It changes nothing, so that the launcher
// can ask before anything starts.
func resolveAccount(name, userName, groupName string) (*account, error) {
	if os.Geteuid() != 0 || userName == CurrentUser {
		return resolveSelf(userName, groupName)
	}
	var p *Passwd
	var err error
	if userName != "" {
		p, err = namedUser(userName)
	} else {
		p, err = defaultUser(name)
	}
	if err != nil {
		return nil, err
	}
	gid, err := resolveGroup(name, groupName, p, userName != "")
	if err != nil {
		return nil, err
	}
	if gid == 0 && p.UID != 0 && !slices.Contains([]string{"root", "wheel", "0"}, groupName) {
		return nil, &configError{fmt.Errorf("daemonize: the group for user %s has gid 0: name another, or to have root's say \"root\"", p.Name)}
	}
	a := &account{uid: p.UID, gid: gid, groups: []int{gid}, user: p.Name, home: p.Dir, change: true}
	if a.user != "" {
		groups, err := sysGetgrouplist(a.user, gid)
		if err != nil {
			return nil, fmt.Errorf("daemonize: groups of user %s: %w", a.user, err)
		}
		a.groups = append(a.groups, groups...)
	}
	// FreeBSD's setgroups takes the first for the effective gid.
	slices.Sort(a.groups[1:])
	a.groups = append(a.groups[:1], slices.DeleteFunc(slices.Compact(a.groups[1:]), func(g int) bool { return g == gid })...)
	return a, a.usable()
}

// usable refuses ids that setresuid(2) would take as "leave it as it is", or
// that have become negative in a 32-bit int.
func (a *account) usable() error {
	for _, id := range append([]int{a.uid, a.gid}, a.groups...) {
		if id < 0 || uint64(id) > maxID {
			return &configError{fmt.Errorf("daemonize: %s: id %d, of the account or of one of its groups, is out of range: correct the account", a, id)}
		}
	}
	return nil
}

// resolveSelf is resolveAccount for a process that stays who it is: it is not
// root, or was told to. It may be asked for nobody else.
func resolveSelf(userName, groupName string) (*account, error) {
	a := &account{uid: os.Geteuid(), gid: os.Getegid()}
	if a.uid != 0 && canRegainRoot() {
		return nil, fmt.Errorf("daemonize: we run as uid %d, but the real or saved uid is root's, which would come back: %w; give up all three, or start as root", a.uid, fs.ErrPermission)
	}
	refuse := func(what string) error {
		if a.uid == 0 { // CurrentUser is root
			return &configError{fmt.Errorf("daemonize: user %q stays who it is, gid %d, and does not become %s: name a user, or no group", CurrentUser, a.gid, what)}
		}
		return fmt.Errorf("daemonize: become %s: %w: we run as uid %d, gid %d, and only root may change that; start as root, or as %s",
			what, fs.ErrPermission, a.uid, a.gid, what)
	}
	if userName != "" && userName != CurrentUser {
		p, err := namedUser(userName)
		if err != nil {
			return nil, err
		}
		if p.UID != a.uid || p.UID != os.Getuid() {
			return nil, refuse("user " + userName)
		}
	}
	if groupName != "" {
		gid, err := namedGroup(groupName)
		if err != nil {
			return nil, err
		}
		if gid != a.gid || gid != os.Getgid() {
			return nil, refuse("group " + groupName)
		}
	}
	return a, nil
}

// namedUser finds a user that the caller named, by name, else by number. A
// number needs no entry; without one, Name is empty and GID is -1.
func namedUser(name string) (*Passwd, error) {
	p, err := Getpwnam(name)
	if unknown(err) {
		id, number, rangeErr := numericID(name)
		if rangeErr != nil {
			return nil, rangeErr
		}
		if !number {
			return nil, nonexistent("user", name, err)
		}
		if p, err = sysGetpwuid(id); unknown(err) {
			p, err = &Passwd{UID: id, GID: -1}, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("daemonize: user %s: %w", name, err)
	}
	if p.UID == 0 && name != "root" && name != "0" {
		return nil, &configError{fmt.Errorf("daemonize: user %s has uid 0: to stay root say so, with user \"root\"", name)}
	}
	return p, nil
}

// defaultUser is the user called like the daemon, else "daemon"; never root.
func defaultUser(name string) (*Passwd, error) {
	p, err := Getpwnam(name)
	if unknown(err) {
		p, err = Getpwnam("daemon")
	}
	switch {
	case unknown(err):
		return nil, &configError{fmt.Errorf("%s user %s, nor to daemon: %w; create one of them, or name another", couldNotSwitch, name, err)}
	case err != nil:
		return nil, fmt.Errorf("daemonize: default user %s: %w", name, err)
	case p.UID == 0:
		return nil, &configError{fmt.Errorf("daemonize: default user %s has uid 0: name a user; to stay root, \"root\"", p.Name)}
	}
	return p, nil
}

// namedGroup finds a group that the caller named, by name, else by number.
func namedGroup(name string) (int, error) {
	g, err := Getgrnam(name)
	if unknown(err) {
		id, number, rangeErr := numericID(name)
		if rangeErr == nil && !number {
			rangeErr = nonexistent("group", name, err)
		}
		return id, rangeErr
	}
	if err != nil {
		return 0, fmt.Errorf("daemonize: group %s: %w", name, err)
	}
	return g.GID, nil
}

// resolveGroup is the group as named, else the one called like the daemon,
// else that of a user who was named, else "daemon".
func resolveGroup(name, groupName string, p *Passwd, userNamed bool) (int, error) {
	if groupName != "" {
		return namedGroup(groupName)
	}
	g, err := Getgrnam(name)
	if unknown(err) {
		switch {
		case userNamed && p.Name != "":
			return p.GID, nil
		case userNamed:
			return 0, &configError{fmt.Errorf("daemonize: uid %d has no account that tells its group: name a group as well", p.UID)}
		}
		if g, err = Getgrnam("daemon"); unknown(err) {
			return 0, &configError{fmt.Errorf("%s group %s, nor to daemon: %w; create one of them, or name another", couldNotSwitch, name, err)}
		}
	}
	if err != nil {
		return 0, fmt.Errorf("daemonize: default group %s: %w", name, err)
	}
	return g.GID, nil
}

// drop becomes the account and proves it; after an error the process may be
// half way, and must end. Where there is nothing to drop, it does nothing.
func (a *account) drop(allowNewPrivs bool) error {
	if !a.change {
		return nil
	}
	if err := a.become(allowNewPrivs); err != nil {
		return fmt.Errorf("daemonize: become %s: %w", a, err)
	}
	return nil
}

func (a *account) become(allowNewPrivs bool) error {
	allowNewPrivs = allowNewPrivs || a.uid == 0
	if err := a.usable(); err != nil { // before the first id changes
		return err
	}
	if a.uid != 0 {
		if err := checkCapabilitiesClear(allowNewPrivs); err != nil {
			return err
		}
	}
	if !allowNewPrivs { // first: if it fails, we are root still, and can tidy up
		if err := setNoNewPrivs(); err != nil {
			return err
		}
	}
	if a.uid != 0 || a.verify(false) != nil { // else root is what it is to be
		err := setIDs(a)
		if err != nil && (a.uid != 0 || !errors.Is(err, syscall.EPERM) || !a.keepsGroups()) {
			return err
		}
	}
	if err := a.environment(); err != nil {
		return err
	}
	if err := a.verify(!allowNewPrivs); err != nil {
		return fmt.Errorf("not proved, so the process must end: %w", err)
	}
	if a.uid == 0 {
		return nil
	}
	return a.tryRegainRoot()
}

// refused names the capability that a call wants, or the mapping that it
// lacks.
func refused(call, capability string, err error) error {
	hint := ""
	switch err {
	case syscall.EPERM:
		hint = "; it needs " + capability + ", in a user namespace also /proc/PID/setgroups that does not say deny"
	case syscall.ENOENT:
		hint = "; is the /proc of this PID namespace mounted? Without it the threads cannot be found"
	case syscall.EINVAL:
		hint = "; too many groups for this system, or in a user namespace an id that its uid_map or gid_map does not have"
	}
	return fmt.Errorf("%w%s", os.NewSyscallError(call, err), hint)
}

// keepsGroups is true if this process is the account but for the supplementary groups,
// and makes those that it has the account's.
func (a *account) keepsGroups() bool {
	groups, err := syscall.Getgroups()
	if err != nil {
		return false
	}
	kept := *a
	kept.groups = append([]int{a.gid}, groups...)
	if kept.verify(false) != nil {
		return false
	}
	a.groups = kept.groups
	return true
}

// environment sets what names the user, as a login would, and unsets what names the
// login that we come from: systemd does so with User=. Whatever else root had stays,
// since a program may be configured by it.
func (a *account) environment() error {
	for _, entry := range os.Environ() {
		key, _, _ := strings.Cut(entry, "=")
		switch key {
		case "SHELL", "MAIL", "XDG_RUNTIME_DIR", "XDG_SEAT", "XDG_VTNR", "DBUS_SESSION_BUS_ADDRESS":
		default:
			if !strings.HasPrefix(key, "XDG_SESSION_") {
				continue
			}
		}
		if err := os.Unsetenv(key); err != nil {
			return err
		}
	}
	home := a.home
	if home == "" {
		home = "/"
	}
	if a.user == "" {
		return errors.Join(os.Setenv("HOME", home), os.Unsetenv("USER"), os.Unsetenv("LOGNAME"))
	}
	return errors.Join(os.Setenv("HOME", home), os.Setenv("USER", a.user), os.Setenv("LOGNAME", a.user))
}

// tryRegainRoot tries to become root again, every way that a capability or a saved
// id would allow; each must fail. One thread tries: verify has shown that all are alike.
func (a *account) tryRegainRoot() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const end = "not proved, so the process must end: %s brought back what root had"
	switch {
	case threadSetgroups(0) == nil:
		return fmt.Errorf(end, "setgroups")
	case a.gid != 0 && threadSetgid(0) == nil:
		return fmt.Errorf(end, "setgid(0)")
	case threadSetuid(0) == nil:
		return fmt.Errorf(end, "setuid(0)")
	}
	return nil
}

// sameGroups compares a list of groups, in any order, with the account's;
// the primary group counts in both, since some systems list it and some not.
func (a *account) sameGroups(got []int) bool {
	set := func(groups []int) []int {
		s := append(slices.Clone(groups), a.gid)
		slices.Sort(s)
		return slices.Compact(s)
	}
	return slices.Equal(set(got), set(a.groups))
}
