// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build (darwin || (linux && daemonizeother)) && cgo && !daemonizego

package daemonize

// initgroups(3) on macOS. setgroups(2) takes 16 groups there, which ordinary
// administrators have more of; after initgroups the kernel asks the system's
// directory for the others.

/*
#include <grp.h>
#include <sys/types.h>
#include <unistd.h>
#ifdef __APPLE__
typedef int basegid_t;
#else
typedef gid_t basegid_t;
#endif
*/
import "C"

func init() {
	other := setGroups
	setGroups = func(a *account) error {
		if a.user == "" {
			return other(a)
		}
		name := cString(a.user)
		if r, err := C.initgroups(&name[0], C.basegid_t(a.gid)); r != 0 {
			return err
		}
		return nil
	}
}
