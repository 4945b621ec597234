// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"os/user"

	"github.com/madhadron/daemonize"
)

// The table accounts: a lookup of a name that is not our own, which os/user
// would remember.

func init() { benches["accounts"] = inBothBuilds("accounts", benchAccounts) }

func benchAccounts() (bool, error) {
	const name, group = "nobody", "nogroup"
	if _, err := user.Lookup(name); err != nil || os.Getuid() == 65534 {
		fmt.Fprintf(os.Stderr, "bench: left out: accounts: needs an account called %s, and not to be it\n", name)
		return true, nil
	}
	if _, err := user.LookupGroup(group); err != nil {
		fmt.Fprintf(os.Stderr, "bench: left out: accounts: needs a group called %s\n", group)
		return true, nil
	}
	return printTable("accounts, "+buildName(), []contender{
		{name: "Getpwnam", measure: loop(func() { mustFind(daemonize.Getpwnam(name)) }), rivals: []rival{{name: "user.Lookup", most: 1}}},
		{name: "user.Lookup", measure: loop(func() { mustFind(user.Lookup(name)) })},
		{name: "Getgrnam", measure: loop(func() { mustFind(daemonize.Getgrnam(group)) }), rivals: []rival{{name: "user.LookupGroup"}}},
		{name: "user.LookupGroup", measure: loop(func() { mustFind(user.LookupGroup(group)) })},
	}, 401, 100), nil
}

func mustFind[T any](_ T, err error) { must(err) }
