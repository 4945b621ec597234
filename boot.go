// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// How this process began: the marker of a launcher, and what became of it before main.

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
)

// marker names the environment variable by which a launcher tells the copy of
// itself that it starts to become the daemon; cdaemon.h has the same name.
const marker = "DAEMONIZE_BOOT"

// bootState is what became of the marker before main.
type bootState int

const (
	bootNone    bootState = iota // no marker: an ordinary run, which may launch
	bootRefused                  // a marker that does not count: never launch
	bootMissing                  // the constructor is not linked in: never launch
	bootDaemon                   // we are the daemon
	bootForked                   // we are the daemon, forked first: no launcher in Go has checked anything
)

type bootResult struct {
	state  bootState
	report int // the report socket, close on exec, in bootDaemon and bootForked
	stdio  stdioID
}

// boot is how this process began, and origin what it began with: the daemon
// runs main again, and must find what the launcher found.
var (
	boot   bootResult
	origin struct {
		args, env []string
		dir       string
	}
)

func init() {
	value, seen := os.LookupEnv(marker)
	os.Unsetenv(marker) // in any case: children must not find it
	origin.args = slices.Clone(os.Args)
	origin.env = os.Environ()
	origin.dir, _ = syscall.Getwd() // "" if it is gone: then there is no way back to it
	boot = sysBoot(value, seen)
	if boot.state == bootDaemon || boot.state == bootForked {
		_ = sysCloseInForks(forkReport, boot.report) // else the launcher might wait for the child as well
		boot.stdio = identifyStdio()
	}
}

// err says why a process in this state cannot become a daemon.
func (b bootResult) err() error {
	switch b.state {
	case bootRefused:
		return fmt.Errorf("daemonize: the environment variable %s was set, but not for this process by a launcher of this program: unset it and start again", marker)
	case bootMissing:
		return errors.New("daemonize: the C constructor that calls daemon(3) did not run: the program was linked with -ldflags=-linkmode=internal; link without it, or build with CGO_ENABLED=0 or -tags daemonizego")
	}
	return nil
}

// originDir is the directory to start the copy in: "" where it is ours.
func originDir() string {
	if now, err := syscall.Getwd(); err == nil && now == origin.dir {
		return ""
	}
	return origin.dir
}
