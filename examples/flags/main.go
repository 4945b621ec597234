// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Greeter answers every TCP connection with the text of a file. It shows how a
// daemon gets along with package flag: flags stand before the verb.
//
//	go build -o greeter && echo Hello. > greeting
//	./greeter -listen 127.0.0.1:7777 -file greeting start
//	./greeter status
//	nc 127.0.0.1 7777
//	echo Bonjour. > greeting && ./greeter -file greeting reload
//	./greeter stop
//
// The file may be named by a relative path, since the daemon runs main again, in
// the directory where it was started, and goes to / only in Command. What
// is opened later, as by the reload here, needs the absolute path.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/madhadron/daemonize"
)

func main() {
	flags := flag.NewFlagSet("greeter", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:7777", "`address` to listen on")
	file := flags.String("file", "", "`file` with what to say")
	directory := flags.String("pidfile-directory", runtimeDirectory(), "`directory` of the pidfile")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "Usage: greeter [flags] {start|stop|restart|status|reload|run}")
		flags.PrintDefaults()
	}
	_ = flags.Parse(os.Args[1:]) // it exits on errors

	g := &greeter{}
	if *file != "" {
		path, err := filepath.Abs(*file)
		if err == nil {
			g.path = path
			err = g.read(context.Background()) // before the daemon exists: a typo is seen at once
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "greeter:", err)
			os.Exit(6)
		}
	}
	service, err := daemonize.New(g.serve, &daemonize.Config[net.Listener]{
		Name:             "greeter",
		PidfileDirectory: *directory,
		PrivilegedAction: func() (net.Listener, error) { return net.Listen("tcp", *listen) },
		Reload:           g.read,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(6)
	}
	os.Exit(service.Command(flags.Args()))
}

type greeter struct {
	path string
	text atomic.Pointer[[]byte]
}

func (g *greeter) read(context.Context) error {
	text, err := os.ReadFile(g.path)
	if err == nil {
		g.text.Store(&text)
	}
	return err
}

func (g *greeter) serve(ctx context.Context, listener net.Listener) error {
	context.AfterFunc(ctx, func() { listener.Close() })
	for {
		c, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if text := g.text.Load(); text != nil {
				_, _ = c.Write(*text)
			}
		}()
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
