// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// Accounts of files and of name services, in both builds.

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAccountsThatCannotBeAreRefused(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Accounts(t, testbed.Passwd, testbed.Group)
	for _, tt := range []struct{ name, user, group, why string }{
		{"x", "nobody-here", "", "nonexistent user nobody-here"},
		{"www", "nobody-here", "", "nonexistent user nobody-here"},
		{"www", "www", "nobody-here", "nonexistent group nobody-here"},
		{"www", "zero", "", "nonexistent user zero"},
		{"www", "none", "", "out of range"},
		{"none", "", "", "out of range"},
		{"x", "nogroup", "", "out of range"},
		{"x", "www", "none", "out of range"},
		{"x", "8888", "", "name a group"},
		{"x", "alias", "", "uid 0"},
		{"x", "rootgroup", "", "gid 0"},
		{"x", "www", "rootalias", "gid 0"},
		{"rootalias", "www", "", "gid 0"},
		{"alias", "", "", "uid 0"},
		{"root", "", "", "uid 0"},
		{"x", "4294967295", "", "out of range"},
		{"x", "www", "4294967296", "out of range"},
	} {
		a, err := resolveAccount(tt.name, tt.user, tt.group)
		assert.ErrorContains(t, err, tt.why, "%+v: %+v", tt, a)
		assert.True(t, isConfigError(err), "%v", err)
	}
	testbed.Accounts(t, "root:x:0:0:::\nwww:x:7001:7002:::\n", "root:x:0:\n")
	for _, name := range []string{"x", "daemon", "www"} { // www: neither its group nor "daemon"
		_, err := resolveAccount(name, "", "")
		assert.True(t, isConfigError(err), "%v", err)
		assert.ErrorContains(t, err, "nor to daemon")
	}
}

func TestAccountsOfANameServiceAreFound(t *testing.T) {
	if testbed.Musl {
		t.Skip("needs a libc with name services: musl has none")
	}
	if !testbed.Isolate(t) {
		return
	}
	testbed.Package(t, "getent", "libc-bin")
	testbed.ExtraUsers(t, "x1:x:7001:7002:NSS only:/home/x1:/bin/sh\n",
		"xgrp:x:7002:\nxsup:x:7003:x1\nxbig:x:7004:"+testbed.Members(8500)+"\nxmega:x:7005:"+testbed.Members(200_000)+"\n")
	p, err := Getpwnam("x1")
	require.NoError(t, err)
	assert.Equal(t, &Passwd{"x1", "x", 7001, 7002, "NSS only", "/home/x1", "/bin/sh"}, p)
	p, err = sysGetpwuid(7001)
	require.NoError(t, err)
	assert.Equal(t, "x1", p.Name)
	groups, err := sysGetgrouplist("x1", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{7002, 7003}, groups)
	for name, members := range map[string]int{"xsup": 1, "xbig": 8500, "xmega": 200_000} {
		g, err := Getgrnam(name)
		require.NoError(t, err)
		assert.Len(t, g.Members, members, name)
	}
	_, err = Getpwnam("x2")
	assert.Equal(t, user.UnknownUserError("x2"), err)

	// Both backends find the same, and root is what root can only look at.
	fp, err := filesGetpwnam("x1")
	require.NoError(t, err)
	assert.Equal(t, p, fp)
	fg, err := filesGetgrnam("xbig")
	require.NoError(t, err)
	assert.Len(t, fg.Members, 8500)
	groups, err = filesGetgrouplist("x1", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{7002, 7003}, groups)
	GetentPaths = nil
	_, err = filesGetpwnam("x1")
	assert.Equal(t, user.UnknownUserError("x1"), err)
}

// A name service that is down may know the account: "daemon", which the files
// have, must not be taken for it.
var _ = testbed.Helper("resolve", func() { fmt.Println(resolveAccount(os.Args[1], "", "")) })

func TestAFailedLookupIsNoReasonForTheDefault(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	if !findsByLibc() {
		withGetent(t, `case "$1 $2" in "passwd x1" | "group x2") kill -9 $$ ;; *) exit 2 ;; esac`)
		for _, name := range []string{"x1", "x2"} {
			a, err := resolveAccount(name, "", "")
			assert.ErrorContains(t, err, "lookup failed: ", "%+v", a)
			assert.False(t, isConfigError(err))
		}
		return
	}
	if testbed.Musl {
		t.Skip("needs a libc with name services: musl has none")
	}
	testbed.ExtraUsers(t, "x1:x:7011:7012::/home/x1:/bin/sh\n", "x1:x:7012:\n")
	for _, file := range []string{"passwd", "group"} {
		path := "/var/lib/extrausers/" + file
		require.NoError(t, errors.Join(os.Chmod(path, 0), os.Chown(path, 7001, 7002)))
		line, _ := testbed.Becoming(t, testbed.Through(t, testbed.AsRoot("resolve", "x1"), "--bounding-set=-dac_override,-dac_read_search"))
		assert.Regexp(t, `x1: lookup failed: get.*_r x1: permission denied`, line)
		require.NoError(t, os.Chmod(path, 0o644))
	}
}

func TestGroupLinesOfAnyLengthAreFound(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Accounts(t, "last:x:7001:7002:"+strings.Repeat("g", 70_000)+":/:\n",
		"big:x:7003:"+testbed.Members(8500)+",last\nmega:x:7004:"+testbed.Members(200_000)+",last\nlast:x:7002:\n")
	p, err := Getpwnam("last")
	require.NoError(t, err)
	assert.Len(t, p.Gecos, 70_000)
	for name, members := range map[string]int{"last": 0, "big": 8501, "mega": 200_001} {
		g, err := Getgrnam(name)
		require.NoError(t, err)
		require.Len(t, g.Members, members)
		if members > 0 {
			assert.Equal(t, "m000000", g.Members[0])
			assert.Equal(t, "last", g.Members[members-1])
		}
	}
	groups, err := sysGetgrouplist("last", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{7002, 7003, 7004}, groups)
}

func TestMoreGroupsThanTheFirstBufferHas(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	var b strings.Builder
	want := []int{7002}
	for i := range 3000 {
		fmt.Fprintf(&b, "g%d:x:%d:a,www\n", i, 10000+i)
		want = append(want, 10000+i)
	}
	testbed.Accounts(t, testbed.Passwd, b.String())
	groups, err := sysGetgrouplist("www", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, want, groups)
}

func TestMalformedLinesAreSkipped(t *testing.T) {
	if testbed.Musl {
		t.Skip("needs glibc, or no cgo: musl skips more, and takes 4294967296 for 0")
	}
	if !testbed.Isolate(t) {
		return
	}
	lines := []string{
		"a0", "a1:", "a2:x", "a3:x:", "a4:x:7", "a5:x:7:", "a6:x:7:8", "a7:x:7:8:", "a8:x:7:8:g:h:s:t", "a9:x:0day:8:::",
		"b0:x:0x0:8:::", "b1:x:: 8:::", "b2:x: 7:\t8:::", "b3:x:+7:8:::", "b4:x:7 :8:::", "b5:x:99999999999:8:::", "b6:x:-1:8:::",
		"  b7:x:7:8:::", "#b8:x:7:8:::", "+b9:x:7:8:::", "-c0:x:7:8:::", "c1 :x:7:8:::", "c2:x:7:8:::\r", "c3:x:4294967296:8:::",
		"", ":::::", "\x00c4:x:7:8:::", "c5:x:7:8:g\x00rest:h:s", "c6:x:7:8:\xff\xfe:h:s", "c7:x:1:1:first::", "c7:x:2:2:second::",
		strings.Repeat("long", 20_000), "c8:x:7:8:last:h:s",
	}
	testbed.Accounts(t, strings.Join(lines, "\n"), strings.Join(lines, "\n"))
	GetentPaths = nil
	found := 0
	for _, line := range lines {
		name, _, _ := strings.Cut(strings.TrimLeft(line, " #+-\x00"), ":")
		for _, name := range []string{name, "+" + name, "#" + name} {
			p, err := Getpwnam(name)
			g, gerr := Getgrnam(name)
			assert.Equal(t, err != nil, unknown(err), "%q: %v", line, err)
			assert.Equal(t, gerr != nil, unknown(gerr), "%q: %v", line, gerr)
			if p != nil {
				found++
			}
			if name == "" || name[0] == '+' {
				assert.Nil(t, p)
				continue
			}
			// Where Getpwnam is libc's, this compares the two backends.
			fp, _ := filesGetpwnam(name)
			fg, _ := filesGetgrnam(name)
			assert.Equal(t, fp, p, "%q", line)
			assert.Equal(t, fg, g, "%q", line)
		}
	}
	assert.Equal(t, 13, found)
	p, err := Getpwnam("c7")
	require.NoError(t, err)
	assert.Equal(t, "first", p.Gecos, "the first of two counts")
}
