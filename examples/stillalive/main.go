// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Stillalive says in syslog once a minute that it is alive, and taunts whoever
// sends it SIGHUP: hdaemonize's example, in Go.
//
//	go build && ./stillalive start && ./stillalive status
//	./stillalive reload
//	./stillalive stop
//
// Started by root it becomes the user daemon. Anyone else needs a directory
// of their own for its pidfile: XDG_RUNTIME_DIR, or the temporary directory.
package main

import (
	"context"
	"os"
	"time"

	"github.com/madhadron/daemonize"
)

func main() {
	daemonize.Serviced(stillAlive, &daemonize.Config[struct{}]{
		Name:             "stillalive",
		SyslogOptions:    daemonize.LOG_PID,
		PidfileDirectory: runtimeDirectory(),
		Reload: func(context.Context) error {
			daemonize.Syslog(daemonize.LOG_NOTICE, "You call that a signal?")
			return nil
		},
	})
}

func stillAlive(ctx context.Context, _ struct{}) error {
	for tick := time.Tick(time.Minute); ; {
		daemonize.Syslog(daemonize.LOG_INFO, "I'm still alive!")
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// runtimeDirectory is where a user without root may write a pidfile; "" is
// the default, /var/run.
func runtimeDirectory() string {
	if os.Geteuid() == 0 {
		return ""
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return os.TempDir()
}
