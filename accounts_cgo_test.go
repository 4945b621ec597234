// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

package daemonize

// Accounts over libc: errors, buffers, name services.

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/madhadron/daemonize/internal/testbed"
)

// findsByLibc is false in a static glibc program.
func findsByLibc() bool { return libcFinds }

func TestLibcErrorsTellUnknownFromFailed(t *testing.T) {
	missing := user.UnknownUserError("x")
	for _, tt := range []struct {
		answers []syscall.Errno // before "found", where there are more than one
		unknown bool
		failed  syscall.Errno
		size    int
	}{
		{[]syscall.Errno{0}, true, 0, 1024},
		{[]syscall.Errno{syscall.ENOENT}, true, 0, 1024},
		{[]syscall.Errno{syscall.ESRCH}, true, 0, 1024},
		{[]syscall.Errno{syscall.EACCES}, false, syscall.EACCES, 1024},
		{[]syscall.Errno{syscall.EIO}, false, syscall.EIO, 1024},
		{[]syscall.Errno{syscall.EPERM}, false, syscall.EPERM, 1024},
		{[]syscall.Errno{syscall.ECONNREFUSED}, false, syscall.ECONNREFUSED, 1024},
		{[]syscall.Errno{syscall.EMFILE}, false, syscall.EMFILE, 1024},
		{[]syscall.Errno{syscall.EAGAIN}, false, syscall.EAGAIN, 1024},
		{[]syscall.Errno{syscall.EINTR, syscall.EINTR}, false, 0, 1024},
		{[]syscall.Errno{syscall.ERANGE, syscall.ERANGE, syscall.EINTR, syscall.ERANGE}, false, 0, 8192},
		{[]syscall.Errno{syscall.EINTR, syscall.EACCES}, false, syscall.EACCES, 1024},
	} {
		last := 0
		p, err := libcLookup("getpwnam_r", "x", func() error { return missing }, func(buf unsafe.Pointer, size int) (*Passwd, syscall.Errno) {
			last = size
			unsafe.Slice((*byte)(buf), size)[size-1] = 1 // it is ours to write
			if len(tt.answers) == 0 {
				return &Passwd{Name: "x"}, 0
			}
			e := tt.answers[0]
			tt.answers = tt.answers[1:]
			return nil, e
		})
		assert.Equal(t, tt.size, last)
		switch {
		case tt.unknown:
			assert.Equal(t, missing, err)
		case tt.failed != 0:
			assert.ErrorIs(t, err, tt.failed)
			assert.ErrorContains(t, err, "lookup failed: getpwnam_r x: ")
			assert.False(t, unknown(err))
		default:
			require.NoError(t, err)
			assert.Equal(t, "x", p.Name)
		}
	}
}

// lookup is a program that looks one account up.
var _ = testbed.Helper("lookup", func() {
	p, err := Getpwnam(os.Args[1])
	if err != nil {
		fmt.Println(unknown(err), err)
		return
	}
	g, err := Getgrnam(os.Args[2])
	if err != nil {
		fmt.Println(unknown(err), err)
		return
	}
	groups, err := sysGetgrouplist(p.Name, p.GID)
	fmt.Println(*p, g.Name, g.GID, g.Members, groups, err)
})

// libnss-wrapper gives a libc other accounts, without root or namespaces.
func TestAccountsOfAWrappedLibcAreFound(t *testing.T) {
	if found, _ := filepath.Glob("/usr/lib/*/libnss_wrapper.so"); found == nil || testbed.Musl || !libcFinds {
		t.Skip("needs libnss-wrapper: apt-get install libnss-wrapper")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/passwd", []byte("root:x:0:0:root:/root:/bin/sh\nw1:x:7101:7102:wrapped:/home/w1:/bin/sh\n"), 0o644))
	require.NoError(t, os.WriteFile(dir+"/group", []byte("root:x:0:\nwgrp:x:7102:\nwsup:x:7103:w1\n"), 0o644))
	run := func(args ...string) string {
		c := testbed.Command("lookup", args...)
		c.Env = append(c.Env, "LD_PRELOAD=libnss_wrapper.so", "ASAN_OPTIONS=verify_asan_link_order=0", "NSS_WRAPPER_PASSWD="+dir+"/passwd", "NSS_WRAPPER_GROUP="+dir+"/group")
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	assert.Equal(t, "{w1 x 7101 7102 wrapped /home/w1 /bin/sh} wsup 7103 [w1] [7102 7103] <nil>\n", run("w1", "wsup"))
	assert.Equal(t, "true user: unknown user w2\n", run("w2", "wsup"))
	assert.Equal(t, "true group: unknown group w2\n", run("w1", "w2"))
}
