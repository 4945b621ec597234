// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother

package daemonize

// The proof of a drop.

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// half is a program that drops as a careless one would, and then asks for
// the proof.
var _ = testbed.Helper("half", func() {
	a := &account{uid: 7001, gid: 7002, groups: []int{7002}, change: true}
	testbed.LockThreads(3)
	check := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(3)
		}
	}
	runtime.LockOSThread()
	switch os.Args[1] {
	case "minus one":
		a.uid = -1
		fmt.Println(a.drop(false))
		return
	case "regained":
		testbed.Refuse(0, nil, unix.SYS_SETUID) // it says that it did it
		fmt.Println(a.drop(false))
		return
	case "one thread":
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, _, e := unix.RawSyscall(call, 7001, 7001, 7001); e != 0 {
				check(e)
			}
		}
	case "saved uid":
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 0)))
	case "saved gid":
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 0), sysSetresuid(7001, 7001, 7001)))
	case "capabilities": // the launcher's securebits keep them
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 7001)))
	case "no groups": // forgotten
		check(errors.Join(sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 7001)))
	case "no new privs":
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 7001)))
		check(a.verify(false))
	}
	fmt.Printf("%v; %v; ", a.verify(true), a.verifySelf(true))
	if os.Args[1] == "one thread" {
		fmt.Println("libc would abort over threads that disagree")
		return
	}
	fmt.Println(a.tryRegainRoot())
})

func TestIncompleteDropIsNoticed(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	for what, want := range map[string]string{
		"one thread":   `thread \d+: (Uid is "0 0 0 0", not "7001 7001 7001 7001"|Gid is "7001 7001 7001 7001", not "7002 7002 7002 7002"); gids are 7001 7001 7001, not 7002; `,
		"regained":     `^daemonize: become uid 7001, gid 7002: not proved, so the process must end: setuid\(0\) brought back what root had`,
		"minus one":    `^daemonize: become uid -1, .*out of range`,
		"saved uid":    `thread \d+: Uid is "7001 7001 0 7001", .*; uids are 7001 7001 0, not 7001; .*setuid\(0\) brought`,
		"saved gid":    `thread \d+: Gid is "7002 7002 0 7002", .*; gids are .*; .*setgid\(0\) brought`,
		"capabilities": `thread \d+: NoNewPrivs is "0", not "1"; capabilities are .*, not none; .*setgroups brought`,
		"no groups":    `groups are \[0 4 27\], not \[7002\]; groups are .*; <nil>`,
		"no new privs": `NoNewPrivs is "0", not "1"; no_new_privs is 0 .*; <nil>`,
	} {
		c := testbed.AsRoot("half", what)
		if what == "capabilities" {
			c = testbed.Through(t, c, "--securebits=+no_setuid_fixup")
		}
		line, _ := testbed.Becoming(t, c)
		assert.Regexp(t, want, line, what)
	}
}
