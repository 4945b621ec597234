// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && forkfirst

package main

import (
	"os"

	_ "github.com/madhadron/daemonize/forkfirst"
)

// The same with the tag forkfirst: start alone forks first, so what it is to
// start, the service or Daemon, is in $BENCH_START.
func init() {
	if what := os.Getenv("BENCH_START"); what != "" && os.Args[1] == "start" {
		os.Args[1] = what
	}
}
