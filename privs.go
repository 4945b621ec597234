//go:build unix

package daemonize

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
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

// Getpwnam is getpwnam(3).
func Getpwnam(name string) (*Passwd, error) { return sysGetpwnam(name) }

// Getgrnam is getgrnam(3).
func Getgrnam(name string) (*Group, error) { return sysGetgrnam(name) }

func lookupPasswd(name string) (*Passwd, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &Passwd{Name: u.Username, UID: uid, GID: gid, Dir: u.HomeDir}, nil
}

func lookupGroup(name string) (*Group, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return nil, err
	}
	gid, _ := strconv.Atoi(g.Gid)
	return &Group{Name: g.Name, GID: gid}, nil
}

func lookupGrouplist(name string, gid int) ([]int, error) { return []int{gid}, nil }

// account is who the daemon becomes.
type account struct {
	uid, gid   int
	groups     []int  // initgroups(3)'s
	user, home string // "" when the uid has no entry
	change     bool   // false: nothing to drop, run as who we are
}

// resolveAccount applies the rules for Config.User and Config.Group of the
// daemon called name.
func resolveAccount(name, userName, groupName string) (*account, error) {
	if os.Geteuid() != 0 {
		return &account{}, nil
	}
	p, err := Getpwnam(userName)
	if userName == "" {
		if p, err = Getpwnam(name); err != nil {
			p, err = Getpwnam("daemon")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("Could not switch to nonexistent user %s: %w", userName, err)
	}
	return &account{uid: p.UID, gid: p.GID, groups: []int{p.GID}, user: p.Name, home: p.Dir, change: true}, nil
}

// drop becomes the account and proves it.
func (a *account) drop(allowNewPrivs bool) error {
	if !a.change {
		return nil
	}
	return errors.Join(syscall.Setgroups(a.groups), syscall.Setresgid(a.gid, a.gid, a.gid), syscall.Setresuid(a.uid, a.uid, a.uid))
}

// configError marks an error of the configuration, the LSB's exit code 6.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }
