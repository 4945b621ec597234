// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// What the launcher has open since before the call, which the daemon cannot have as well.

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// main runs again in the daemon, while the launcher still has what the first run of
// main has opened. A second listen(2) on the same address fails then, and so does a
// second lock.

// keptFromDaemon names the addresses that this process listens on, and the files that it has
// locked.
func keptFromDaemon() (all []string) {
	fds, _ := ownDescriptors() // without a list there is nothing to say
	for _, fd := range fds {
		if address := listensOn(fd); address != "" {
			all = append(all, "listening on "+address)
		}
		if isLocked(fd) {
			all = append(all, "a lock on "+pathOf(fd))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lostListeners names the TCP addresses among those: as long as we listen there, nobody
// else can, so the daemon does not, although it became ready.
func lostListeners() (all []string) {
	fds, _ := ownDescriptors()
	for _, fd := range fds {
		kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		address := listensOn(fd)
		if strings.Contains(address, ":") && address[0] != '/' && kind == unix.SOCK_STREAM && !sharesPort(fd) {
			all = append(all, "listening on "+address)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// adviceOn is what to say of them.
func adviceOn(kept []string) string {
	return fmt.Sprintf("main runs again in the daemon, which could not have what this process has since before the call: %s; do that after the call, in PrivilegedAction, say",
		strings.Join(kept, ", "))
}

// listensOn is the address where the socket takes connections or datagrams, "" if it
// does not, or is none.
func listensOn(fd int) string {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return ""
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return ""
	}
	if _, err := unix.Getpeername(fd); listens == 0 && err == nil {
		return "" // a connection
	}
	switch a := own.(type) {
	case *unix.SockaddrInet4:
		if a.Port != 0 {
			return fmt.Sprintf("%d.%d.%d.%d:%d", a.Addr[0], a.Addr[1], a.Addr[2], a.Addr[3], a.Port)
		}
	case *unix.SockaddrInet6:
		if a.Port != 0 && a.Addr == [16]byte{} {
			return fmt.Sprintf("[::]:%d", a.Port)
		}
		if a.Port != 0 {
			var groups []string
			for i := 0; i < len(a.Addr); i += 2 {
				groups = append(groups, fmt.Sprintf("%x", int(a.Addr[i])<<8|int(a.Addr[i+1])))
			}
			return fmt.Sprintf("[%s]:%d", strings.Join(groups, ":"), a.Port)
		}
	case *unix.SockaddrUnix:
		return a.Name
	}
	return ""
}
