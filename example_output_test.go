// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize_test

// What needs neither root nor a daemon, with its output.

import (
	"context"
	"fmt"
	"os"

	"github.com/madhadron/daemonize"
)

func nothing(context.Context, struct{}) error { return nil }

// A config that cannot be used is found before anything happens.
func ExampleConfig() {
	_, err := daemonize.New(nothing, &daemonize.Config[struct{}]{Name: "agent", Pidfile: "agent.pid"})
	fmt.Println(err)
	// Output: daemonize: Pidfile "agent.pid" is not an absolute path: the daemon's working directory is /
}

func ExampleService_Status() {
	s, err := daemonize.New(nothing, &daemonize.Config[struct{}]{Name: "no-such-agent", PidfileDirectory: os.TempDir()})
	if err != nil {
		fmt.Println(err)
	}
	status, err := s.Status()
	fmt.Println(status.State, status.PID, err)
	// Output: not running 0 <nil>
}

// There is no daemon to stop.
func ExampleService_Stop() {
	s, err := daemonize.New(nothing, &daemonize.Config[struct{}]{Name: "no-such-agent", PidfileDirectory: os.TempDir()})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(s.Stop() == daemonize.ErrNotRunning)
	// Output: true
}

// A facility and a severity make a priority, as in syslog(3).
func ExamplePriority() {
	fmt.Println(int(daemonize.LOG_AUTH | daemonize.LOG_ERR))
	// Output: 35
}

// The masks of setlogmask(3).
func ExampleLogUpto() {
	fmt.Printf("%08b %08b\n", daemonize.LogUpto(daemonize.LOG_ERR), daemonize.LogMask(daemonize.LOG_ERR))
	// Output: 00001111 00001000
}

// Without a supervisor, as under the verb start, nothing is sent.
func ExampleNotify() {
	sent, err := daemonize.Notify("WATCHDOG=1")
	fmt.Println(sent, err)
	// Output: false <nil>
}

func ExampleGetgrnam() {
	g, err := daemonize.Getgrnam("daemon")
	if err == nil {
		fmt.Println(g.Name)
	}
	// Output: daemon
}
