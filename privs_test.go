// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Who the daemon becomes: names, ids, and the files that have them.

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func isConfigError(err error) bool {
	var c *configError
	return errors.As(err, &c)
}

func TestGetpwnamFindsRoot(t *testing.T) {
	p, err := Getpwnam("root")
	require.NoError(t, err)
	assert.Equal(t, "root", p.Name)
	assert.Zero(t, p.UID)
	assert.Zero(t, p.GID)
	assert.NotEmpty(t, p.Dir)
	assert.NotEmpty(t, p.Shell)
	p, err = sysGetpwuid(0)
	require.NoError(t, err)
	assert.Equal(t, "root", p.Name)
}

func TestGetgrnamFindsDaemon(t *testing.T) {
	want, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip("needs a group called daemon in /etc/group")
	}
	g, err := Getgrnam("daemon")
	require.NoError(t, err)
	assert.Equal(t, want.Gid, strconv.Itoa(g.GID))
}

func TestUnknownNamesAreUnknown(t *testing.T) {
	for _, name := range []string{"", " ", "no-such-account-here", "root\x00x", "root:x", "root\n", "-1", "+", "-s", "4294967295", "0", strings.Repeat("a", 100_000)} {
		t.Run(name[:min(len(name), 20)], func(t *testing.T) {
			_, err := Getpwnam(name)
			assert.ErrorIs(t, err, user.UnknownUserError(name))
			_, err = Getgrnam(name)
			assert.ErrorIs(t, err, user.UnknownGroupError(name))
		})
	}
	_, err := sysGetpwuid(3_999_999)
	assert.ErrorIs(t, err, user.UnknownUserIdError(3_999_999))
}

func TestNumericID(t *testing.T) {
	for _, tt := range []struct {
		text   string
		id     int
		number bool
		failed bool
	}{
		{"0", 0, true, false},
		{"1000", 1000, true, false},
		{"2147483647", math.MaxInt32, true, false},
		{"4294967294", maxID & math.MaxInt, true, math.MaxInt == math.MaxInt32},
		{"4294967295", 0, true, true},
		{"4294967296", 0, true, true},
		{"18446744073709551616", 0, true, true},
		{"-1", 0, false, false}, {"+1", 0, false, false}, {" 1", 0, false, false}, {"1 ", 0, false, false}, {"", 0, false, false},
		{"0x0", 0, false, false}, {"0day", 0, false, false}, {"00", 0, false, false}, {"007", 0, false, false}, {"1_0", 0, false, false}, {"١", 0, false, false},
	} {
		t.Run(tt.text, func(t *testing.T) {
			id, number, err := numericID(tt.text)
			assert.Equal(t, tt.number, number)
			assert.Equal(t, tt.failed, err != nil, "%v", err)
			if err == nil {
				assert.Equal(t, tt.id, id)
			} else {
				assert.True(t, isConfigError(err))
			}
		})
	}
}

// Every id that might pass for "leave it" or for root is refused, named as a
// user and as a group.
func TestNamesThatAreNoAccountAreRefused(t *testing.T) {
	for _, name := range []string{"-1", "4294967295", "4294967296", "0x0", "0day", " ", " 1", "+1", "00", "no-such-account-here", "root\x00"} {
		t.Run(name, func(t *testing.T) {
			_, err := resolveAccount("no-such-daemon-here", name, "")
			require.Error(t, err)
			assert.True(t, isConfigError(err), "%v", err)
			assert.Contains(t, err.Error(), name)
			_, err = resolveAccount("no-such-daemon-here", "", name)
			require.Error(t, err)
			assert.True(t, isConfigError(err), "%v", err)
			assert.Contains(t, err.Error(), name)
		})
	}
	_, err := resolveAccount("x", "no-such-account-here", "")
	assert.ErrorContains(t, err, "Could not switch to nonexistent user no-such-account-here")
	assert.ErrorIs(t, err, user.UnknownUserError("no-such-account-here"))
	_, err = resolveAccount("x", "", "no-such-account-here")
	assert.ErrorContains(t, err, "Could not switch to nonexistent group no-such-account-here")
	assert.ErrorIs(t, err, user.UnknownGroupError("no-such-account-here"))
}

func TestNotRootStaysWhoItIs(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs an unprivileged user: run go test as one")
	}
	uid, gid := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
	for _, named := range [][2]string{{"", ""}, {uid, ""}, {uid, gid}, {"", gid}} {
		a, err := resolveAccount("daemon", named[0], named[1])
		require.NoError(t, err, "%q", named)
		assert.False(t, a.change)
		assert.NoError(t, a.drop(false))
		if named[0] != "" {
			assert.NoError(t, DropPrivileges(named[0], named[1]))
		}
	}
	for _, named := range [][2]string{{"root", ""}, {"0", ""}, {"", "0"}, {uid, "0"}, {"3999999", ""}} {
		_, err := resolveAccount("daemon", named[0], named[1])
		assert.ErrorIs(t, err, fs.ErrPermission, "%q", named)
		assert.False(t, isConfigError(err))
		if named[0] != "" {
			assert.ErrorIs(t, DropPrivileges(named[0], named[1]), fs.ErrPermission)
		}
	}
}

func TestIDsThatMeanNoChangeAreUnusable(t *testing.T) {
	var none uint32 = math.MaxUint32 // -1 where an int has 32 bits
	for _, id := range []int{-1, int(none), math.MinInt} {
		for _, a := range []account{{uid: id}, {gid: id}, {groups: []int{0, id}}} {
			assert.True(t, isConfigError(a.usable()), "%+v", a)
		}
	}
	assert.NoError(t, (&account{uid: 0, gid: int((none - 1) / 2), groups: []int{1}}).usable())
}

// withGetent puts a shell script in the place of getent(1), and has it asked.
func withGetent(t *testing.T, script string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "getent")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	paths, timeout, nsswitch := GetentPaths, getentTimeout, nsswitchFile
	t.Cleanup(func() { GetentPaths, getentTimeout, nsswitchFile = paths, timeout, nsswitch })
	GetentPaths, nsswitchFile = []string{"/nonexistent/getent", path}, "/nonexistent/nsswitch.conf"
}

func TestGetentIsNotAskedWhereFilesAreTheOnlySource(t *testing.T) {
	const all = `case $1 in passwd) echo "x1:x:7001:7002::/:" ;; group) echo "x1:x:7002:" ;; initgroups) echo "x1 7003" ;; esac`
	for _, tt := range []struct {
		nsswitch string
		asked    []string // databases
	}{
		{"passwd: files\ngroup:\tfiles # and no more\n", nil},
		{" passwd : files\ngroup: files\ninitgroups: files\n", nil},
		{"passwd: files\ngroup: files\ninitgroups: files sss\n", []string{"initgroups"}},
		{"passwd: files systemd\ngroup: files\n", []string{"passwd"}},
		{"passwd: files\ngroup: files [SUCCESS=merge] systemd\n", []string{"group", "initgroups"}},
		{"passwd: compat\ngroup: compat\n", []string{"passwd", "group", "initgroups"}},
		{"passwd: files\ngroup: files\npasswd: files ldap\n", []string{"passwd"}},
		{"passwd_compat: nis\npasswd: files\ngroup: files\n", nil},
		{"passwd:\ngroup:\n", []string{"passwd", "group", "initgroups"}},
		{"hosts: files dns\n", []string{"passwd", "group", "initgroups"}},
	} {
		withGetent(t, all)
		nsswitchFile = filepath.Join(t.TempDir(), "nsswitch.conf")
		require.NoError(t, os.WriteFile(nsswitchFile, []byte(tt.nsswitch), 0o644))
		_, err := filesGetpwnam("x1")
		assert.Equal(t, !slices.Contains(tt.asked, "passwd"), unknown(err), "%q: %v", tt.nsswitch, err)
		_, err = filesGetgrnam("x1")
		assert.Equal(t, !slices.Contains(tt.asked, "group"), unknown(err), "%q: %v", tt.nsswitch, err)
		groups, err := filesGetgrouplist("x1", 7002)
		require.NoError(t, err)
		assert.Equal(t, slices.Contains(tt.asked, "initgroups"), slices.Contains(groups, 7003), tt.nsswitch)
	}
}

func TestGetentAnswersForNameServices(t *testing.T) {
	t.Setenv("SECRET", "secret")
	withGetent(t, `case "$1 $2" in
"passwd ldap user") echo "ldap user:x:7001:7002:$SECRET:/home/l:/bin/sh" ;;
"passwd 7001") echo "ldap user:x:7001:7002::/home/l:/bin/sh" ;;
"group lgrp") echo "lgrp:*:7002:a,b" ;;
"initgroups ldap user") echo "ldap user           7003 7004" ;;
"passwd broken") echo "broken:x" ;;
"passwd killed") kill -9 $$ ;;
*) exit 2 ;;
esac`)
	p, err := filesGetpwnam("ldap user")
	require.NoError(t, err)
	assert.Equal(t, &Passwd{"ldap user", "x", 7001, 7002, "", "/home/l", "/bin/sh"}, p)
	p, err = filesGetpwuid(7001)
	require.NoError(t, err)
	assert.Equal(t, "ldap user", p.Name)
	g, err := filesGetgrnam("lgrp")
	require.NoError(t, err)
	assert.Equal(t, &Group{"lgrp", 7002, []string{"a", "b"}}, g)
	groups, err := filesGetgrouplist("ldap user", 7002)
	require.NoError(t, err)
	assert.Equal(t, []int{7002, 7003, 7004}, groups)
	for _, name := range []string{"nobody-here", "broken", "7001"} {
		_, err = filesGetpwnam(name)
		assert.Equal(t, user.UnknownUserError(name), err)
	}
	_, err = filesGetpwnam("killed")
	assert.ErrorContains(t, err, "lookup failed")
	assert.False(t, unknown(err))

	GetentPaths = nil
	_, err = filesGetpwnam("ldap user")
	assert.True(t, unknown(err), "%v", err)
	groups, err = filesGetgrouplist("ldap user", 7002)
	require.NoError(t, err)
	assert.Equal(t, []int{7002}, groups)
}

func TestGetentIsNotWaitedForEndlessly(t *testing.T) {
	withGetent(t, "exec sleep 100")
	getentTimeout = 50 * time.Millisecond
	start := time.Now()
	_, err := filesGetgrnam("anything")
	assert.ErrorContains(t, err, "lookup failed: "+GetentPaths[1]+" group anything: context deadline exceeded")
	assert.False(t, unknown(err))
	assert.Less(t, time.Since(start), 10*time.Second)
}

func TestNamesThatMightBeOptionsDoNotReachGetent(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	withGetent(t, "echo \"$@\" >>"+asked+"; exit 2")
	for _, name := range []string{"-s", "--help", " 0", "0 ", "a\tb", "a\x1bb", "0", "00", "1000"} {
		_, err := filesGetpwnam(name)
		assert.True(t, unknown(err), "%q: %v", name, err)
		_, err = filesGetgrnam(name)
		assert.True(t, unknown(err), "%q: %v", name, err)
	}
	assert.NoFileExists(t, asked)
}

func TestAccountLinesAreReadAsGlibcReadsThem(t *testing.T) {
	var minusOne uint32 = math.MaxUint32 // an int of 32 bits makes it negative
	for line, want := range map[string]*Passwd{
		"www:x:7001:7002:Web:/srv:/bin/sh":  {"www", "x", 7001, 7002, "Web", "/srv", "/bin/sh"},
		"www::7001:7002:::":                 {"www", "", 7001, 7002, "", "", ""},
		"www:x:7001:7002":                   {"www", "x", 7001, 7002, "", "", ""},
		"www:x:7001:7002:g:h:s:with:colons": {"www", "x", 7001, 7002, "g", "h", "s:with:colons"},
		"www:x: 7001:+7002:::":              {"www", "x", 7001, 7002, "", "", ""},
		"www:x:-1:1:::":                     nil,
		"www:x:1:-0:::":                     nil,
		"www:x:4294967296:1:::":             nil,
		"www:x:1:99999999999999999999:::":   nil,
		"www:x:1:4294967295:::":             {"www", "x", 1, int(minusOne), "", "", ""},
		"www:x:0day:1:::":                   nil,
		"www:x:0x0:1:::":                    nil,
		"www:x:1 :1:::":                     nil,
		"www:x::1:::":                       nil,
		"www:x:1::::":                       nil,
		"www:x:1":                           nil,
		"www":                               nil,
		"":                                  nil,
		":x:1:1:::":                         nil,
		"#www:x:1:1:::":                     nil,
		"+www:x:1:1:::":                     nil,
		"-www:x:1:1:::":                     nil,
		"www:x:+-1:1:::":                    nil,
		"www:x:1\u00a0:1:::":                nil,
	} {
		p, ok := parsePasswd(line)
		assert.Equal(t, want != nil, ok, "%q", line)
		assert.Equal(t, want, p, "%q", line)
	}
	for line, want := range map[string]*Group{
		"www:x:7002:a,b":          {"www", 7002, []string{"a", "b"}},
		"www:x:7002:":             {"www", 7002, nil},
		"www:x:7002":              {"www", 7002, nil},
		"www:x:7002:,a,, b ,c d,": {"www", 7002, []string{"a", "b ", "c d"}},
		"www:x:7002:a:b":          {"www", 7002, []string{"a:b"}},
		"www:x:x:a":               nil,
		"www::":                   nil,
		"+::0:":                   nil,
	} {
		g, ok := parseGroup(line)
		assert.Equal(t, want != nil, ok, "%q", line)
		assert.Equal(t, want, g, "%q", line)
	}
}

func FuzzAccountLines(f *testing.F) {
	for _, seed := range []string{"www:x:7001:7002:Web:/srv:/bin/sh", "www:x:7002:a,b", "www 7003 7004", "www:x:-1: +0", "+::0:", "a:b:99999999999:0", "#:::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		sound := func(name string, ids ...int) {
			assert.True(t, accountName(name), "%q", name)
			for _, id := range ids {
				assert.Equal(t, int(uint32(id)), id)
			}
		}
		if strings.Contains(line, "\n") {
			return
		}
		text := func(id int) string { return strconv.FormatUint(uint64(uint32(id)), 10) }
		if p, ok := parsePasswd(line); ok {
			sound(p.Name, p.UID, p.GID)
			again, ok := parsePasswd(strings.Join([]string{p.Name, p.Passwd, text(p.UID), text(p.GID), p.Gecos, p.Dir, p.Shell}, ":"))
			require.True(t, ok)
			assert.Equal(t, p, again)
		}
		if g, ok := parseGroup(line); ok {
			sound(g.Name, g.GID)
			again, ok := parseGroup(g.Name + "::" + text(g.GID) + ":" + strings.Join(g.Members, ","))
			require.True(t, ok)
			assert.Equal(t, g, again)
		}
		for _, gid := range parseInitgroups(line, "www") {
			sound("www", gid)
		}
	})
}
