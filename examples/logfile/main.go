// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Meter writes a line a second to a log file, which logrotate(8) may rename: what
// the daemon and package log write goes to Config.OutputFile, and SIGHUP opens that
// path anew.
//
//	go build -o meter && ./meter start && tail -n 3 /tmp/meter-$(id -u)/meter.log
//	mv /tmp/meter-$(id -u)/meter.log /tmp/meter-$(id -u)/meter.log.1 && ./meter reload
//	tail -n 3 /tmp/meter-$(id -u)/meter.log && ./meter stop
//
// For root's daemons the file belongs below /var/log. A stanza for logrotate, with the
// user and group that the daemon becomes:
//
//	/var/log/meter.log {
//		weekly
//		create 0640 daemon daemon
//		postrotate
//			/usr/local/sbin/meter reload
//		endscript
//	}
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/madhadron/daemonize"
)

func main() {
	// A directory that only its user may write to, for the log and the pidfile.
	directory := filepath.Join(os.TempDir(), fmt.Sprintf("meter-%d", os.Getuid()))
	if err := os.MkdirAll(directory, 0o700); err != nil {
		log.Fatal(err)
	}
	daemonize.Serviced(measure, &daemonize.Config[struct{}]{
		Name:       "meter",
		User:       daemonize.CurrentUser,
		Pidfile:    filepath.Join(directory, "meter.pid"),
		OutputFile: filepath.Join(directory, "meter.log"),
	})
}

func measure(ctx context.Context, _ struct{}) error {
	for n := 1; ; n++ {
		log.Print("package log: reading ", n)
		fmt.Println("standard output: reading", n)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}
