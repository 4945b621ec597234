// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && daemonizefailpoint

package daemonize

// Stop points, for tests that kill a daemon at a stage of its start.

import (
	"fmt"
	"os"
	"time"
)

// failpoint stays at the stage that DAEMONIZE_FAILPOINT names until somebody kills
// us, and tells the file DAEMONIZE_FAILPOINT_FILE who we are.
func failpoint(stage string) {
	if os.Getenv("DAEMONIZE_FAILPOINT") != stage {
		return
	}
	file := os.Getenv("DAEMONIZE_FAILPOINT_FILE")
	if err := os.WriteFile(file+"~", fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		panic(err)
	}
	for {
		time.Sleep(time.Hour)
	}
}
