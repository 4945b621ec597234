// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

package daemonize

// The lookup of accounts over libc: getpwnam_r(3) and its kin.

/*
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>
#include "cdaemon.h"
#ifdef __APPLE__
typedef int cd_basegid;
#else
typedef gid_t cd_basegid;
#endif
*/
import "C"

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"syscall"
	"unsafe"
)

// libcFinds is false in a statically linked glibc program. Its getpwnam must
// load the name services of nsswitch.conf(5), and where one of them is
// systemd, as is Debian's default, it crashes over a name that it doesn't
// know. Such a program looks without libc.
var libcFinds = C.cd_static_glibc() == 0

func sysGetpwnam(name string) (*Passwd, error) {
	if !libcFinds {
		return filesGetpwnam(name)
	}
	cname := cString(name)
	var pw C.struct_passwd
	return libcLookup("getpwnam_r", name, func() error { return user.UnknownUserError(name) }, func(buf unsafe.Pointer, size int) (*Passwd, syscall.Errno) {
		e := C.cd_getpwnam(&cname[0], &pw, (*C.char)(buf), C.size_t(size))
		return goPasswd(&pw), syscall.Errno(e)
	})
}

func sysGetpwuid(uid int) (*Passwd, error) {
	if !libcFinds {
		return filesGetpwuid(uid)
	}
	var pw C.struct_passwd
	return libcLookup("getpwuid_r", strconv.Itoa(uid), func() error { return user.UnknownUserIdError(uid) }, func(buf unsafe.Pointer, size int) (*Passwd, syscall.Errno) {
		e := C.cd_getpwuid(C.uid_t(uid), &pw, (*C.char)(buf), C.size_t(size))
		return goPasswd(&pw), syscall.Errno(e)
	})
}

// cString is C.CString in Go's memory, which no call here keeps.
func cString(s string) []C.char {
	c := make([]C.char, len(s)+1)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&c[0])), len(s)), s)
	return c
}

// goPasswd copies what libc found, if it did.
func goPasswd(pw *C.struct_passwd) *Passwd {
	if pw.pw_name == nil {
		return nil
	}
	return &Passwd{
		Name: C.GoString(pw.pw_name), Passwd: C.GoString(pw.pw_passwd), UID: int(pw.pw_uid), GID: int(pw.pw_gid),
		Gecos: C.GoString(pw.pw_gecos), Dir: C.GoString(pw.pw_dir), Shell: C.GoString(pw.pw_shell),
	}
}

func sysGetgrnam(name string) (*Group, error) {
	if !libcFinds {
		return filesGetgrnam(name)
	}
	cname := cString(name)
	var gr C.struct_group
	return libcLookup("getgrnam_r", name, func() error { return user.UnknownGroupError(name) }, func(buf unsafe.Pointer, size int) (*Group, syscall.Errno) {
		e := C.cd_getgrnam(&cname[0], &gr, (*C.char)(buf), C.size_t(size))
		if gr.gr_name == nil {
			return nil, syscall.Errno(e)
		}
		g := &Group{Name: C.GoString(gr.gr_name), GID: int(gr.gr_gid)}
		for m := gr.gr_mem; *m != nil; m = (**C.char)(unsafe.Add(unsafe.Pointer(m), unsafe.Sizeof(*m))) {
			g.Members = append(g.Members, C.GoString(*m))
		}
		return g, 0
	})
}

// libcLookup makes one of the _r calls, with a buffer that doubles for as
// long as the entry doesn't fit: only memory bounds a group's line. What
// lookup finds must be copied from the buffer; nil is not found.
func libcLookup[T any](call, key string, unknown func() error, lookup func(buf unsafe.Pointer, size int) (*T, syscall.Errno)) (*T, error) {
	for size := 1024; ; {
		buf := C.malloc(C.size_t(size))
		found, e := lookup(buf, size)
		C.free(buf)
		switch {
		case found != nil:
			return found, nil
		case e == syscall.EINTR:
		case e == syscall.ERANGE && size < 1<<30:
			size *= 2
		case e == 0, e == syscall.ENOENT, e == syscall.ESRCH:
			// POSIX says 0; name services that are not there pass the others on.
			return nil, unknown()
		default:
			return nil, fmt.Errorf("lookup failed: %s %s: %w; are the name services of nsswitch.conf(5) up?", call, key, e)
		}
	}
}

func sysGetgrouplist(name string, gid int) ([]int, error) {
	if !libcFinds {
		return filesGetgrouplist(name, gid)
	}
	cname := cString(name)
	for size := C.int(64); size <= 1<<20; {
		ids := make([]C.gid_t, size)
		n := size
		if C.cd_getgrouplist(&cname[0], C.gid_t(gid), &ids[0], &n) == 0 {
			groups := make([]int, n)
			for i := range groups {
				groups[i] = int(ids[i])
			}
			return groups, nil
		}
		size = max(2*size, n) // glibc and musl tell how many there are, others don't
	}
	return nil, errors.New("getgrouplist: more groups than any kernel has")
}

// sysInitgroups is initgroups(3). ENOSYS tells that libc cannot look accounts up here.
func sysInitgroups(user string, gid int) error {
	if !libcFinds {
		return syscall.ENOSYS
	}
	cname := cString(user)
	if r, err := C.initgroups(&cname[0], C.cd_basegid(gid)); r != 0 {
		return err
	}
	return nil
}
