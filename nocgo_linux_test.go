// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !(cgo && !daemonizego)

package daemonize

// What only the build without cgo has.

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/madhadron/daemonize/internal/testbed"
)

func init() {
	goMarker = func(text string) string {
		if m, ok := parseMark(text); ok {
			return fmt.Sprintf("%d %d\n", m.launcher, m.report)
		}
		return "no\n"
	}
}

func findsByLibc() bool { return false }

// A program closes descriptors wholesale, without Closelog, and opens files.
// libc then closes, or writes to, whatever has the log's number; pure Go must
// not.
func TestLostDescriptorIsLeftAlone(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	r := testbed.Record(t, "unixgram")
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "mine")
	mine, err := os.Create(path)
	require.NoError(t, err)
	says := func(message string) {
		t.Helper()
		Syslog(LOG_INFO, message)
		assert.True(t, strings.HasSuffix(r.Next(t), " fd: "+message), message)
	}
	Openlog("fd", LOG_NDELAY, LOG_DAEMON)

	require.NoError(t, unix.Close(testbed.LogDescriptor(t)))
	says("closed")

	fd := testbed.LogDescriptor(t)
	require.NoError(t, unix.Close(fd))
	other, err := unix.Dup(pair[0])
	require.NoError(t, err)
	assert.NotEqual(t, fd, other, "the number is out of the way")
	says("closed, and a socket opened")

	fd = testbed.LogDescriptor(t)
	require.NoError(t, unix.Dup2(int(mine.Fd()), fd))
	says("a file has the number")
	_, err = unix.Write(fd, []byte("mine"))
	assert.NoError(t, err, "still open")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(b))

	fd = testbed.LogDescriptor(t)
	require.NoError(t, unix.Dup2(pair[0], fd))
	goLog.second = 0 // as if it were a second later
	says("a socket has the number")
	_, err = unix.Write(fd, []byte("x"))
	assert.NoError(t, err, "still open")

	fd = testbed.LogDescriptor(t)
	require.NoError(t, unix.Dup2(pair[0], fd))
	Closelog()
	_, err = unix.Write(fd, []byte("y"))
	assert.NoError(t, err, "Closelog leaves it open")

	b = make([]byte, 100)
	for _, want := range []string{"x", "y"} {
		n, err := unix.Read(pair[1], b)
		require.NoError(t, err)
		assert.Equal(t, want, string(b[:n]), "nothing but ours")
	}
}

// TestAccountsOfOSUser is what macOS has without cgo. Here os/user reads the files, too.
func TestAccountsOfOSUser(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Accounts(t, "u:x:7001:7002:U,1:/home/u:/bin/sh\n", "g:x:7002:\nmore:x:7003:u\n")
	p, err := osUserPasswd(user.Lookup("u"))
	require.NoError(t, err)
	assert.Equal(t, &Passwd{"u", "*", 7001, 7002, "U", "/home/u", ""}, p)
	g, err := osUserGroup(user.LookupGroup("g"))
	require.NoError(t, err)
	assert.Equal(t, &Group{Name: "g", GID: 7002}, g)
	groups, err := osUserGrouplist("u", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{7002, 7003}, groups)
	_, errs := osUserPasswd(user.Lookup("nobody-here"))
	_, errGroup := osUserGroup(user.LookupGroup("nobody-here"))
	_, errList := osUserGrouplist("nobody-here", 7002)
	for _, err := range []error{errs, errGroup, errList} {
		assert.True(t, unknown(err), "%v", err)
	}
	_, err = osUserPasswd(&user.User{Username: "bad", Uid: "-1", Gid: "1"}, nil)
	_, errGroup = osUserGroup(&user.Group{Name: "bad", Gid: "-1"}, nil)
	assert.ErrorContains(t, err, `user bad has uid "-1"`)
	assert.ErrorContains(t, errGroup, `group bad has gid "-1"`)
}

// A rule of POSIX's, with daylight saving time, on both its sides.
func TestZoneRules(t *testing.T) {
	zone := localZone("CET-1CEST,M3.5.0,M10.5.0/3")
	for want, month := range map[string]time.Month{"Jan 15 13:00": time.January, "Jul 15 14:00": time.July} {
		assert.Equal(t, want, time.Date(2026, month, 15, 12, 0, 0, 0, time.UTC).In(zone).Format("Jan _2 15:04"))
	}
	assert.Equal(t, "12:00", time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).In(localZone("No/Such")).Format("15:04"))
}
