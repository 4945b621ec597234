// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Clockd tells the time to whoever connects. Its verbs are subcommands of cobra,
// and its flags stand behind them, as cobra's users expect:
//
//	cd examples/cobra && go build -o clockd
//	./clockd start --listen 127.0.0.1:7777
//	./clockd status
//	nc 127.0.0.1 7777
//	./clockd stop
//
// It is a module of its own: the library does not depend on cobra.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/spf13/cobra"
)

func main() {
	var listen, pidfile string
	root := &cobra.Command{Use: "clockd", SilenceUsage: true}
	flags := root.PersistentFlags()
	flags.StringVar(&listen, "listen", "127.0.0.1:7777", "address to listen on")
	flags.StringVar(&pidfile, "pidfile", defaultPidfile(), "absolute path of the pidfile")

	for verb, short := range map[string]string{
		"start":   "Start the daemon, and wait until it is ready",
		"stop":    "Stop the daemon",
		"restart": "Stop the daemon, then start it",
		"status":  "Tell whether the daemon runs",
		"run":     "Run in the foreground",
	} {
		root.AddCommand(&cobra.Command{Use: verb, Short: short, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			service, err := daemonize.New(tell, &daemonize.Config[net.Listener]{
				Name:             "clockd",
				Pidfile:          pidfile,
				PrivilegedAction: func() (net.Listener, error) { return net.Listen("tcp", listen) },
			})
			if err != nil {
				return err
			}
			os.Exit(service.Command([]string{verb})) // it has printed what there is to say
			return nil
		}})
	}
	if root.Execute() != nil {
		os.Exit(2)
	}
}

func tell(ctx context.Context, listener net.Listener) error {
	context.AfterFunc(ctx, func() { listener.Close() })
	for {
		c, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(c, time.Now().Format(time.TimeOnly))
		c.Close()
	}
}

// defaultPidfile is where its user may write; "" is /var/run/clockd.pid.
func defaultPidfile() string {
	if os.Geteuid() == 0 {
		return ""
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "clockd.pid")
	}
	return filepath.Join(os.TempDir(), "clockd.pid")
}
