// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Pulse does a piece of work at a time, and tells systemd after each that it still
// does. If it hangs, systemd's watchdog ends it and starts it again.
//
//	go build -o pulse && sudo cp pulse /usr/local/sbin/ && sudo cp pulse.service /etc/systemd/system/
//	sudo systemctl daemon-reload && sudo systemctl start pulse && systemctl status pulse
//	sudo kill -STOP $(systemctl show -P MainPID pulse)   # it hangs: see journalctl -u pulse
package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/madhadron/daemonize"
)

func main() {
	daemonize.Serviced(work, &daemonize.Config[struct{}]{Name: "pulse", SyslogOptions: daemonize.LOG_PID})
}

func work(ctx context.Context, _ struct{}) error {
	for tick := time.Tick(interval()); ; {
		// … a piece of work …
		if _, err := daemonize.Notify("WATCHDOG=1"); err != nil {
			daemonize.Syslogf(daemonize.LOG_WARNING, "watchdog: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// interval is half of what WatchdogSec= allows, as sd_watchdog_enabled(3) advises. Without
// a watchdog it is a second.
func interval() time.Duration {
	usec, err := strconv.Atoi(os.Getenv("WATCHDOG_USEC"))
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || usec <= 0 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return time.Second
	}
	return time.Duration(usec) * time.Microsecond / 2
}
