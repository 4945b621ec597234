//go:build unix && cgo && !daemonizego

package daemonize

// #include <stdlib.h>
// #include "cdaemon.h"
import "C"

import (
	"errors"
	"fmt"
	"os/user"
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
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	return libcPasswd("getpwnam_r "+name, user.UnknownUserError(name), func(pw *C.struct_passwd, buf *C.char, size C.size_t, found *C.int) C.int {
		return C.cd_getpwnam(cname, pw, buf, size, found)
	})
}

func sysGetpwuid(uid int) (*Passwd, error) {
	if !libcFinds {
		return filesGetpwuid(uid)
	}
	return libcPasswd(fmt.Sprint("getpwuid_r ", uid), user.UnknownUserIdError(uid), func(pw *C.struct_passwd, buf *C.char, size C.size_t, found *C.int) C.int {
		return C.cd_getpwuid(C.uid_t(uid), pw, buf, size, found)
	})
}

func libcPasswd(call string, unknown error, lookup func(*C.struct_passwd, *C.char, C.size_t, *C.int) C.int) (p *Passwd, err error) {
	var pw C.struct_passwd
	err = libcLookup(call, unknown, func(buf *C.char, size C.size_t, found *C.int) C.int {
		e := lookup(&pw, buf, size, found)
		if *found != 0 {
			p = &Passwd{
				Name: C.GoString(pw.pw_name), Passwd: C.GoString(pw.pw_passwd), UID: int(pw.pw_uid), GID: int(pw.pw_gid),
				Gecos: C.GoString(pw.pw_gecos), Dir: C.GoString(pw.pw_dir), Shell: C.GoString(pw.pw_shell),
			}
		}
		return e
	})
	return p, err
}

func sysGetgrnam(name string) (g *Group, err error) {
	if !libcFinds {
		return filesGetgrnam(name)
	}
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	var gr C.struct_group
	err = libcLookup("getgrnam_r "+name, user.UnknownGroupError(name), func(buf *C.char, size C.size_t, found *C.int) C.int {
		e := C.cd_getgrnam(cname, &gr, buf, size, found)
		if *found != 0 {
			g = &Group{Name: C.GoString(gr.gr_name), GID: int(gr.gr_gid)}
			for m := gr.gr_mem; *m != nil; m = (**C.char)(unsafe.Add(unsafe.Pointer(m), unsafe.Sizeof(*m))) {
				g.Members = append(g.Members, C.GoString(*m))
			}
		}
		return e
	})
	return g, err
}

// libcLookup makes one of the _r calls, with a buffer that doubles for as
// long as the entry doesn't fit: only memory bounds a group's line. What
// lookup takes from the buffer, it must copy.
func libcLookup(call string, unknown error, lookup func(buf *C.char, size C.size_t, found *C.int) C.int) error {
	for size := C.size_t(1024); ; {
		buf := (*C.char)(C.malloc(size))
		var found C.int
		e := syscall.Errno(lookup(buf, size, &found))
		C.free(unsafe.Pointer(buf))
		switch {
		case found != 0:
			return nil
		case e == syscall.EINTR:
		case e == syscall.ERANGE && size < 1<<30:
			size *= 2
		case e == 0, e == syscall.ENOENT, e == syscall.ESRCH:
			// POSIX says 0; name services that are not there pass the others on.
			return unknown
		default:
			return fmt.Errorf("%s: lookup failed: %w; are the name services of nsswitch.conf(5) up?", call, e)
		}
	}
}

func sysGetgrouplist(name string, gid int) ([]int, error) {
	if !libcFinds {
		return filesGetgrouplist(name, gid)
	}
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	for size := C.int(64); size <= 1<<20; {
		ids := make([]C.gid_t, size)
		n := size
		if C.cd_getgrouplist(cname, C.gid_t(gid), &ids[0], &n) == 0 {
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
