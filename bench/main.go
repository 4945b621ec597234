// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

// Command bench prints side-by-side measurements of this library and of what
// one would use without it: medians, and ratios from one run.
//
//	go run ./bench                all tables
//	go run ./bench start          one of them; -l lists them
//	go run ./bench -n 50 start    with fewer rounds
//	go run ./bench -against ../other start pidfile    and that checkout beside it
//
// Compare within one run only, and on a machine that does nothing else; where
// that cannot be had, chrt -r 1 go run ./bench comes close (nice does not:
// setsid(2) puts a daemon into a scheduling group of its own). The exit status
// is 1 if something is above the limit that the table shows, and 2 if something
// could not be measured.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// benches are the tables by name; each file adds its own in an init function.
// They are false when a ratio is above its limit. Each runs in a process of
// its own that has its name as the only argument after the flags.
var benches = map[string]func() (within bool, err error){}

var rounds = flag.Int("n", 200, "`rounds` of starts and stops")

func main() {
	list := flag.Bool("l", false, "list the tables")
	flag.Parse()
	names := slices.Sorted(maps.Keys(benches))
	if *list {
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	for _, name := range flag.Args() {
		if benches[name] == nil {
			fmt.Fprintf(os.Stderr, "bench: no table %q; there are: %s\n", name, strings.Join(names, ", "))
			os.Exit(2)
		}
	}
	if flag.NArg() > 0 {
		names = flag.Args()
	}
	if flag.NArg() == 1 {
		within, err := benches[names[0]]()
		switch {
		case err != nil:
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", names[0], err)
			os.Exit(2)
		case !within:
			os.Exit(1)
		}
		return
	}
	status := 0
	for _, name := range names {
		c := exec.Command("/proc/self/exe", append(slices.Clone(os.Args[1:len(os.Args)-flag.NArg()]), name)...)
		within, err := verdict(c)
		switch {
		case err != nil:
			status = 2 // it has said why
		case !within:
			status = max(status, 1)
		}
	}
	os.Exit(status)
}

// verdict runs a copy of this command to measure a table.
func verdict(c *exec.Cmd) (within bool, err error) {
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = c.Run()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) && failed.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}
