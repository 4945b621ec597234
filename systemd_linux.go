// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother

package daemonize

// What sd_notify(3) needs of Linux.

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic is the assignment that goes with RELOADING=1.
func monotonic() []string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return nil
	}
	return []string{fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)}
}
