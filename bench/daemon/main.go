// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Daemon is the program of this library in the benchmarks.
//
//	daemon nothing            ends at once: a boot of the Go runtime, and nothing else
//	daemon daemon             Daemon(false, false), which is all that daemon(3) does
//	daemon bare               no daemon at all: what others put into the background
//	daemon start|stop|…       a service: pidfile, syslog, privileges dropped
//
// When it is up it writes its pid to the FIFO that $BENCH_READY names. The
// service is called $BENCH_NAME, becomes $BENCH_USER and $BENCH_GROUP, and opens
// $BENCH_DESCRIPTORS descriptors; each has a default.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/madhadron/daemonize"
)

func main() {
	switch os.Args[1] {
	case "nothing":
		return
	case "daemon":
		if err := daemonize.Daemon(false, false); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		ready()
		time.Sleep(time.Hour)
	case "bare":
		ready()
		time.Sleep(time.Hour)
	}
	config := &daemonize.Config[struct{}]{
		Name:             cmp.Or(os.Getenv("BENCH_NAME"), "benchdaemon"),
		PidfileDirectory: os.Getenv("BENCH_DIR"),
	}
	if os.Getuid() == 0 {
		config.User = cmp.Or(os.Getenv("BENCH_USER"), "daemon")
		config.Group = cmp.Or(os.Getenv("BENCH_GROUP"), "daemon")
	}
	daemonize.Serviced(func(ctx context.Context, _ struct{}) error {
		n, _ := strconv.Atoi(os.Getenv("BENCH_DESCRIPTORS"))
		for range n {
			if _, err := syscall.Dup(0); err != nil {
				return fmt.Errorf("open %d descriptors: %w", n, err)
			}
		}
		ready()
		<-ctx.Done()
		return nil
	}, config)
}

func ready() {
	f, err := os.OpenFile(os.Getenv("BENCH_READY"), os.O_WRONLY, 0)
	if err != nil {
		os.Exit(1)
	}
	f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	f.Close()
}
