// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize_test

// The ways in and to syslog, for the package page.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"os/user"
	"time"

	"github.com/madhadron/daemonize"
)

// A web server: its port is bound as root, its requests are served as the
// user www-data.
func ExampleServiced() {
	daemonize.Serviced(func(ctx context.Context, l net.Listener) error {
		context.AfterFunc(ctx, func() { l.Close() })
		if err := http.Serve(l, http.FileServer(http.Dir("/srv/www"))); ctx.Err() == nil {
			return err
		}
		return nil // it was told to stop
	}, &daemonize.Config[net.Listener]{
		Name:             "www",
		User:             "www-data",
		SyslogOptions:    daemonize.LOG_PID,
		PrivilegedAction: func() (net.Listener, error) { return net.Listen("tcp", ":80") },
	})
}

// A program with a command line of its own.
func ExampleNew() {
	s, err := daemonize.New(func(ctx context.Context, _ struct{}) error {
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{Name: "agent"})
	if err != nil {
		log.Fatal(err)
	}
	err = s.Start()
	if running := (*daemonize.RunningError)(nil); errors.As(err, &running) {
		fmt.Println("already up, as pid", running.PID)
	} else if err != nil {
		log.Fatal(err)
	}
}

// The verbs behind a command line of one's own, and their exit codes.
func ExampleService_Command() {
	s, err := daemonize.New(func(ctx context.Context, _ struct{}) error {
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{Name: "no-such-agent", PidfileDirectory: os.TempDir()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Command([]string{"status"}))
	// Output:
	// no-such-agent is not running.
	// 3
}

// In a container, or under a supervisor: the daemon in the foreground.
func ExampleService_Run() {
	s, err := daemonize.New(func(ctx context.Context, _ struct{}) error {
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{Name: "agent"})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		os.Exit(1) // it has said why
	}
}

// An action that runs again 5 seconds after it failed, but not without its
// configuration.
func ExampleFatal() {
	daemonize.Serviced(func(ctx context.Context, _ struct{}) error {
		settings, err := os.ReadFile("/etc/poller.conf")
		if errors.Is(err, fs.ErrNotExist) {
			return daemonize.Fatal(err)
		}
		if err != nil {
			return err
		}
		_ = settings // … poll …
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{Name: "poller", RespawnDelay: 5 * time.Second})
}

// A slow start says what it does: start shows it on a terminal, and systemctl
// status where systemd has started it.
func ExampleSetStatus() {
	daemonize.Serviced(func(ctx context.Context, l net.Listener) error {
		<-ctx.Done()
		return l.Close()
	}, &daemonize.Config[net.Listener]{
		Name: "search",
		PrivilegedAction: func() (net.Listener, error) {
			daemonize.SetStatus("loading the index")
			// … load it …
			return net.Listen("tcp", ":80")
		},
	})
}

// Socket activation: the verb run, and a socket that systemd listens on. Without
// one it listens itself.
func ExampleListenFiles() {
	daemonize.Serviced(func(ctx context.Context, l net.Listener) error {
		context.AfterFunc(ctx, func() { l.Close() })
		if err := http.Serve(l, nil); ctx.Err() == nil {
			return err
		}
		return nil
	}, &daemonize.Config[net.Listener]{
		Name: "www",
		PrivilegedAction: func() (net.Listener, error) {
			if files := daemonize.ListenFiles(); len(files) > 0 {
				return net.FileListener(files[0])
			}
			return net.Listen("tcp", ":80")
		},
	})
}

// daemon(3), and no more: after it the program is in the background.
func ExampleDaemon() {
	if err := daemonize.Daemon(false, false); err != nil {
		log.Fatal(err) // still at the terminal
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt)
	<-told
}

// A tunnel that goes to the background once it is up. If it cannot get up, the
// shell that started it sees why, and exit code 1.
func ExampleDetach() {
	ready, err := daemonize.Detach(false, false)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := net.Dial("tcp", "gateway.example:4500")
	ready(err)
	if err != nil {
		os.Exit(1)
	}
	defer conn.Close()
	// … carry packets …
}

func ExampleDaemonize() {
	err := daemonize.Daemonize(func() {
		daemonize.Openlog("counter", daemonize.LOG_PID, daemonize.LOG_USER)
		daemonize.Syslog(daemonize.LOG_INFO, "counting")
	})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleGetpwnam() {
	_, err := daemonize.Getpwnam("no such user")
	var unknown user.UnknownUserError
	fmt.Println(errors.As(err, &unknown))
	// Output: true
}

func ExampleDropPrivileges() {
	secret, err := os.ReadFile("/etc/agent/key") // as root
	if err != nil {
		log.Fatal(err)
	}
	if err := daemonize.DropPrivileges("nobody", ""); err != nil {
		log.Fatal(err) // and never on
	}
	_ = secret // … use it as nobody …
}

func ExampleSyslog() {
	daemonize.Openlog("backupd", daemonize.LOG_PID, daemonize.LOG_DAEMON)
	daemonize.Setlogmask(daemonize.LogUpto(daemonize.LOG_INFO)) // no LOG_DEBUG

	daemonize.Syslog(daemonize.LOG_NOTICE, "backup begins")
	daemonize.Syslogf(daemonize.LOG_AUTH|daemonize.LOG_WARNING, "login of %s refused", os.Getenv("USER"))
}

// Package log, each line a record. Syslog adds the time, so package log need
// not.
func ExampleNewWriter() {
	log.SetFlags(0)
	log.SetOutput(daemonize.NewWriter(daemonize.LOG_INFO))
	log.Print("listening on :8080")
}

// Package log/slog: "disk almost full path=/var used=0.97", as LOG_WARNING.
func ExampleNewHandler() {
	slog.SetDefault(slog.New(daemonize.NewHandler(&slog.HandlerOptions{Level: slog.LevelDebug})))
	slog.Warn("disk almost full", "path", "/var", "used", 0.97)
}

// A daemon that answers requests must not wait for a syslog daemon that has
// stopped.
func ExampleQueue() {
	queue := daemonize.NewQueue(1000)
	defer func() {
		if err := queue.Close(time.Second); err != nil {
			fmt.Fprintln(os.Stderr, "the last messages are lost:", err)
		}
	}()
	logger := slog.New(queue.NewHandler(nil))
	logger.Info("request", "method", "GET", "path", "/")
}

// --- Examples with their output: they need neither root nor a daemon ---

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
