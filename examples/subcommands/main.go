// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Counter is a program with subcommands of its own, of which some are about
// its daemon: Start, Stop and Status of a Service, instead of Command.
//
//	go build -o counter
//	./counter up        # starts the daemon
//	./counter next      # talks to it: 1, 2, 3, …
//	./counter info
//	./counter down
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/madhadron/daemonize"
)

func main() {
	directory := os.TempDir()
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		directory = dir
	}
	socket := filepath.Join(directory, fmt.Sprintf("counter-%d.sock", os.Getuid()))
	service, err := daemonize.New(count, &daemonize.Config[net.Listener]{
		Name:             fmt.Sprintf("counter-%d", os.Getuid()),
		PidfileDirectory: directory,
		PrivilegedAction: func() (net.Listener, error) {
			_ = os.Remove(socket) // of a dead one: a live one has the pidfile
			return net.Listen("unix", socket)
		},
	})
	if err != nil {
		fail(err)
	}
	verb := ""
	if len(os.Args) == 2 {
		verb = os.Args[1]
	}
	switch verb {
	case "up":
		// Both the launcher and the daemon come here; the daemon does not return.
		err := service.Start()
		if running := (*daemonize.RunningError)(nil); errors.As(err, &running) {
			fmt.Println("It is up already, as process", running.PID)
		} else if err != nil {
			fail(err)
		}
	case "down":
		if err := service.Stop(); err != nil && !errors.Is(err, daemonize.ErrNotRunning) {
			fail(err)
		}
	case "info":
		status, err := service.Status()
		if err != nil {
			fail(err)
		}
		fmt.Println("The counter is", status.State)
		if status.Crash != "" {
			fmt.Println("It crashed:", status.Crash)
		}
	case "next":
		c, err := net.Dial("unix", socket)
		if err != nil {
			fail(err)
		}
		_, _ = io.Copy(os.Stdout, c)
	default:
		fmt.Fprintln(os.Stderr, "Usage: counter {up|down|info|next}")
		os.Exit(2)
	}
}

func fail(err error) {
	var failed *daemonize.StartError
	if errors.As(err, &failed) {
		os.Stderr.Write(failed.Stderr) // what the daemon itself had to say
	}
	fmt.Fprintln(os.Stderr, "counter:", err)
	os.Exit(1)
}

func count(ctx context.Context, listener net.Listener) error {
	context.AfterFunc(ctx, func() { listener.Close() })
	for n := 1; ; n++ {
		c, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(c, n)
		c.Close()
	}
}
