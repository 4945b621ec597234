// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Accounts without libc: /etc/passwd and /etc/group, then getent(1).

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GetentPaths is where the lookup without libc finds getent(1), which it asks
// for accounts that are not in /etc/passwd and /etc/group: those of LDAP, sssd,
// systemd and the like. Where nsswitch.conf(5) names nothing but files, getent(1) is not
// run. Else the first path that exists is run, as root where the program is root,
// without a shell and with an empty environment. A getent(1) that takes 30 seconds is
// killed: the lookup has failed. nil reads the files alone. Set it once, before the first
// lookup and the first goroutine: lookups read it without a lock.
//
// getent cannot tell a name service that is down from a name that it doesn't
// know, so both are unknown names here. The lookup over libc can.
var GetentPaths = []string{"/usr/bin/getent", "/bin/getent"}

// getentTimeout is how long getent may take: sssd and LDAP give up sooner.
var getentTimeout = 30 * time.Second

// nsswitchFile names the sources of accounts.
var nsswitchFile = "/etc/nsswitch.conf"

const passwdFile, groupFile = "/etc/passwd", "/etc/group"

func filesGetpwnam(name string) (*Passwd, error) {
	p, err := findPasswd(name, name, func(p *Passwd) bool { return p.Name == name })
	if p == nil && err == nil {
		err = user.UnknownUserError(name)
	}
	return p, err
}

func filesGetpwuid(uid int) (*Passwd, error) {
	p, err := findPasswd("", strconv.Itoa(uid), func(p *Passwd) bool { return p.UID == uid })
	if p == nil && err == nil {
		err = user.UnknownUserIdError(uid)
	}
	return p, err
}

// findPasswd returns the first entry of the file whose line begins with
// prefix and that match accepts, else what getent finds for key, else nil.
func findPasswd(prefix, key string, match func(*Passwd) bool) (found *Passwd, err error) {
	err = eachLine(passwdFile, prefix, func(line string) bool {
		if p, ok := parsePasswd(line); ok && match(p) {
			found = p
		}
		return found == nil
	})
	if found != nil || err != nil {
		return found, err
	}
	if allDigits(prefix) {
		return nil, nil // getent would take the name for an id, "00" for root's
	}
	out, err := getent("passwd", key)
	if p, ok := parsePasswd(firstLine(out)); ok {
		return p, err
	}
	return nil, err
}

func filesGetgrnam(name string) (found *Group, err error) {
	err = eachLine(groupFile, name, func(line string) bool {
		if g, ok := parseGroup(line); ok && g.Name == name {
			found = g
		}
		return found == nil
	})
	if found != nil || err != nil {
		return found, err
	}
	if !allDigits(name) {
		out, err := getent("group", name)
		if err != nil {
			return nil, err
		}
		if g, ok := parseGroup(firstLine(out)); ok {
			return g, nil
		}
	}
	return nil, user.UnknownGroupError(name)
}

// filesGetgrouplist is getgrouplist(3): gid and the groups that have the user
// as a member, of all name services together.
func filesGetgrouplist(name string, gid int) ([]int, error) {
	groups := []int{gid}
	err := eachLine(groupFile, "", func(line string) bool {
		if g, ok := parseGroup(line); ok && slices.Contains(g.Members, name) {
			groups = append(groups, g.GID)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	out, err := getent("initgroups", name)
	if err != nil {
		return nil, err
	}
	for _, g := range parseInitgroups(firstLine(out), name) {
		if !slices.Contains(groups, g) { // getent asks the files as well
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// eachLine calls each with the lines of an account file that begin with
// prefix, until it returns false. A line may be of any length. A file that is
// not there has no lines.
func eachLine(path, prefix string, each func(line string) bool) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lookup failed: %w", err)
	}
	defer f.Close()
	start := []byte(prefix)
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			var rest []byte
			line = slices.Clone(line)
			rest, err = r.ReadBytes('\n')
			line = append(line, rest...)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("lookup failed: %w", err)
		}
		if len(line) > 0 && line[0] <= ' ' { // blanks before a name don't count for glibc
			line = bytes.TrimLeft(line, blanks)
		}
		if bytes.HasPrefix(line, start) {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			line, _, _ = bytes.Cut(line, []byte{0}) // a NUL ends it
			if !each(string(line)) {
				return nil
			}
		}
		if err != nil {
			return nil
		}
	}
}

// blanks is isspace(3)'s.
const blanks = " \t\v\f\r"

func firstLine(out []byte) string {
	line, _, _ := bytes.Cut(out, []byte{'\n'})
	return string(line)
}

// parsePasswd reads a line of passwd(5) the way that glibc does: what is left
// out at the end is empty, but a line without its ids is none.
func parsePasswd(line string) (*Passwd, bool) {
	f := append(strings.SplitN(line, ":", 7), "", "", "", "", "", "")
	uid, ok1 := parseID(f[2])
	gid, ok2 := parseID(f[3])
	if !ok1 || !ok2 || !accountName(f[0]) || f[0][0] == '#' {
		return nil, false
	}
	return &Passwd{Name: f[0], Passwd: f[1], UID: uid, GID: gid, Gecos: f[4], Dir: f[5], Shell: f[6]}, true
}

// parseGroup reads a line of group(5) the way that glibc does.
func parseGroup(line string) (*Group, bool) {
	f := append(strings.SplitN(line, ":", 4), "", "", "")
	gid, ok := parseID(f[2])
	if !ok || !accountName(f[0]) || f[0][0] == '#' {
		return nil, false
	}
	g := &Group{Name: f[0], GID: gid}
	for member := range strings.SplitSeq(f[3], ",") {
		if member = strings.TrimLeft(member, blanks); member != "" {
			g.Members = append(g.Members, member)
		}
	}
	return g, true
}

// parseID reads an id of an account file: digits, and as in glibc blanks or
// a + before them.
func parseID(s string) (int, bool) {
	s = strings.TrimPrefix(strings.TrimLeft(s, blanks), "+")
	id, err := strconv.ParseUint(s, 10, 32)
	return int(uint32(id)), err == nil
}

// parseInitgroups reads what `getent initgroups NAME` prints: the name, then
// the ids.
func parseInitgroups(line, name string) []int {
	rest, ok := strings.CutPrefix(line, name)
	if !ok {
		return nil
	}
	var groups []int
	for _, f := range strings.Fields(rest) {
		if gid, ok := parseID(f); ok {
			groups = append(groups, gid)
		}
	}
	return groups
}

// onlyFiles is true if nsswitch.conf(5) names no source but the files for the database.
func onlyFiles(database string) bool {
	services, err := nameServices(database)
	if database == "initgroups" && err == nil && services == nil {
		services, err = nameServices("group")
	}
	return err == nil && services != nil && !slices.ContainsFunc(services, func(s string) bool { return s != "files" })
}

// nameServices are all words behind the database's name in nsswitch.conf(5), of every such
// line: versions of glibc differ in which one counts.
func nameServices(database string) (services []string, err error) {
	err = eachLine(nsswitchFile, database, func(line string) bool {
		line, _, _ = strings.Cut(line, "#")
		if name, rest, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == database {
			services = append(services, strings.Fields(rest)...)
		}
		return true
	})
	return services, err
}

// getent asks the name services for one key. Nothing found, no other source than the
// files, or no getent on this system, is no output and no error.
func getent(database, key string) ([]byte, error) {
	if onlyFiles(database) {
		return nil, nil
	}
	if key[0] == '-' || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.TrimSpace(key) != key {
		return nil, nil
	}
	i := slices.IndexFunc(GetentPaths, func(path string) bool { _, err := os.Stat(path); return err == nil })
	if i < 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), getentTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, GetentPaths[i], database, key)
	c.Env, c.Dir, c.WaitDelay = []string{}, "/", 5*time.Second // we may be kept from reading, too
	out, err := c.Output()
	// 1: it has no such database; 2: the key is not in there; see getent(1).
	if code := c.ProcessState.ExitCode(); code == 1 || code == 2 {
		return nil, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err() // it was killed for that
	}
	if err != nil {
		return nil, fmt.Errorf("lookup failed: %s %s %s: %w", GetentPaths[i], database, key, err)
	}
	return out, nil
}

// allDigits tells whether s is decimal digits and nothing else.
func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
