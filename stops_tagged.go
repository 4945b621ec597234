//go:build unix && daemonizestops

package daemonize

// Stop points, for tests that kill a daemon at a stage of its start.

import (
	"fmt"
	"os"
	"time"
)

// stopAt stays at the stage that DAEMONIZE_STOP names until somebody kills
// us, and tells the file DAEMONIZE_STOPPED who we are.
func stopAt(stage string) {
	if os.Getenv("DAEMONIZE_STOP") != stage {
		return
	}
	file := os.Getenv("DAEMONIZE_STOPPED")
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
