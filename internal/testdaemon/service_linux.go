// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Package testdaemon is the daemon that the tests start, stop and look at. Only tests import it.
package testdaemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"golang.org/x/sys/unix"
)

// The daemon is called svc. Variables of its environment say what it does: DO what its actions do,
// AS, GROUP, UMASK, FACILITY, NEW_PRIVILEGES, DIR, STOP_TIMEOUT_MS, RESPAWN and RELOAD what its
// Config says. RELOAD is none, error, panic or nothing; main writes a line to the file RUNS.
var _ = testbed.Helper("service", func() {
	if f, err := os.OpenFile(os.Getenv("RUNS"), os.O_WRONLY|os.O_APPEND, 0); err == nil {
		fmt.Fprintln(f, "main")
		f.Close()
	}
	runs := 0
	daemonize.Serviced(func(ctx context.Context, made string) error {
		runs++
		if do := os.Getenv("DO"); do != "says nothing" {
			daemonize.Syslogf(daemonize.LOG_INFO, "run %d: %s", runs, made)
		}
		return action(ctx, runs)
	}, config())
})

// unnamed is a service without a Config.
var _ = testbed.Helper("unnamed", func() {
	daemonize.Serviced(func(context.Context, int) error { return nil }, nil)
})

func config() *daemonize.Config[string] {
	umask, _ := strconv.ParseUint(os.Getenv("UMASK"), 8, 32)
	facility, _ := strconv.Atoi(os.Getenv("FACILITY"))
	stop, _ := strconv.Atoi(os.Getenv("STOP_TIMEOUT_MS"))
	respawn, _ := time.ParseDuration(os.Getenv("RESPAWN"))
	config := &daemonize.Config[string]{
		Name:               "svc",
		User:               os.Getenv("AS"),
		Group:              os.Getenv("GROUP"),
		Umask:              os.FileMode(umask),
		SyslogFacility:     daemonize.Priority(facility),
		SyslogOptions:      daemonize.LOG_PID,
		AllowNewPrivileges: os.Getenv("NEW_PRIVILEGES") != "",
		PidfileDirectory:   os.Getenv("DIR"),
		StopTimeout:        time.Duration(stop) * time.Millisecond,
		RespawnDelay:       respawn,
		PrivilegedAction:   privilegedAction,
		Reload:             reload,
	}
	if os.Getenv("RELOAD") == "none" {
		config.Reload = nil
	}
	return config
}

func privilegedAction() (string, error) {
	switch os.Getenv("DO") {
	case "privileged fails":
		fmt.Fprintln(os.Stderr, "looking for a port")
		return "", errors.New("port 80 is taken")
	case "warns":
		fmt.Fprintln(os.Stderr, "the port is shared")
	case "privileged panics":
		panic("out of luck")
	case "privileged exits":
		runtime.Goexit()
	case "privileged hangs":
		daemonize.Syslog(daemonize.LOG_NOTICE, "hanging")
		os.WriteFile("/run/hangs", nil, 0o600)
		select {}
	case "all is slow", "start is slow":
		daemonize.SetStatus("loading\x1b[2J the index")
		time.Sleep(1600 * time.Millisecond)
	case "listens", "listens and stops slowly":
		_, err := net.Listen("tcp", "127.0.0.1:80") // kept open
		return "a listener", err
	case "privileged is denied":
		return "", unix.EACCES
	case "privileged forks and exits":
		testbed.Fork()
		os.Exit(3)
	case "privileged removes the pidfile":
		return "", os.Remove(Pidfile)
	}
	return fmt.Sprintf("made by uid %d", os.Getuid()), nil
}

func reload(context.Context) error {
	daemonize.Syslogf(daemonize.LOG_NOTICE, "reloading as uid %d", os.Getuid())
	switch os.Getenv("RELOAD") {
	case "error":
		return errors.New("bad config")
	case "panic":
		panic("bad reload")
	}
	return nil
}

func action(ctx context.Context, run int) error {
	switch do := os.Getenv("DO"); do {
	case "error":
		return errors.New("lost the thread")
	case "panic":
		panic("lost the plot")
	case "goexit":
		runtime.Goexit()
	case "nil":
		return nil
	case "fails three times":
		switch run {
		case 1:
			return errors.New("first")
		case 2:
			panic("second")
		case 3:
			runtime.Goexit()
		}
		return nil
	case "fatal":
		return fmt.Errorf("wrapped: %w", daemonize.Fatal(errors.New("no config")))
	case "ignores TERM":
		select {}
	case "holds SEEN": // so /proc/locks tells that it is past ready, until it is told to stop
		f := testbed.Must(os.Open(os.Getenv("SEEN")))
		defer f.Close()
		testbed.Must(0, unix.Flock(int(f.Fd()), unix.LOCK_SH))
	case "leaves children":
		if pid := testbed.Fork(); pid > 0 {
			daemonize.Syslogf(daemonize.LOG_INFO, "forked %d", pid)
		}
		exec.Command("sleep", "1001").Start()
	case "asks for its own status":
		return askForStatus(ctx)
	case "opens every file of /run":
		files, _ := filepath.Glob("/run/svc.*")
		for _, name := range files {
			if f, err := os.Open(name); err == nil {
				f.Close()
			}
		}
		daemonize.Syslogf(daemonize.LOG_NOTICE, "opened %q", files)
	case "leaves a clone":
		daemonize.Syslogf(daemonize.LOG_NOTICE, "cloned %d", testbed.Clone())
	case "stops slowly", "listens and stops slowly":
		<-ctx.Done()
		time.Sleep(300 * time.Millisecond)
		return nil
	case "all is slow":
		<-ctx.Done()
		time.Sleep(1600 * time.Millisecond)
	case "has a child":
		out, err := exec.Command("/bin/sh", "-c", `echo "<$NOTIFY_SOCKET$LISTEN_PID$LISTEN_FDS$LISTEN_FDNAMES>"; ls -l /proc/self/fd | grep -c socket:`).Output()
		daemonize.Syslogf(daemonize.LOG_NOTICE, "child: %q %v", out, err)
	case "forges a status":
		daemonize.SetStatus("forged\nREADY=1")
	case "answers":
		if err := answer(); err != nil {
			return err
		}
	case "goroutine", "map", "fault", "ansi", "exit":
		usr1 := make(chan os.Signal, 1)
		signal.Notify(usr1, unix.SIGUSR1)
		daemonize.Syslog(daemonize.LOG_NOTICE, "waits for SIGUSR1")
		select {
		case <-ctx.Done():
			return nil
		case <-usr1:
		}
		crash(do)
	}
	<-ctx.Done()
	return ctx.Err()
}

// askForStatus has the daemon's own verbs look at the daemon's files.
func askForStatus(ctx context.Context) error {
	itself, err := daemonize.New(func(context.Context, string) error { return nil }, config())
	if err != nil {
		return err
	}
	for range 3 {
		status, err := itself.Status()
		daemonize.Syslogf(daemonize.LOG_NOTICE, "own status: %v, itself %t, %v", status.State, status.PID == os.Getpid(), err)
	}
	<-ctx.Done()
	return nil
}

// answer tells whoever connects to the sockets of systemd who it is.
func answer() error {
	files := daemonize.ListenFiles()
	daemonize.Syslogf(daemonize.LOG_NOTICE, "%d files", len(files))
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "uid %d on %s", os.Getuid(), f.Name())
				c.Close()
			}
		}()
	}
	return nil
}

// crash ends the process as no Go code can prevent.
func crash(kind string) {
	switch kind {
	case "goroutine":
		go func() { panic("beyond\nrecovery") }()
	case "ansi":
		go func() { panic("\x1b[2Jgotcha") }()
	case "fault":
		testbed.Fault()
	case "exit":
		os.Exit(9)
	case "map":
		m := map[int]int{}
		for range 8 {
			go func() {
				for i := 0; ; i++ {
					m[i%64] = i
				}
			}()
		}
	}
	select {}
}
