// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package output_test

// The daemon of these tests, and what it says where.

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// speaker is a service. EARLY and DO are scripts of sh(1) that its actions run, or words for them;
// OUT is "syslog" for LogOutput, or the OutputFile.
var _ = testbed.Helper("speaker", func() {
	if os.Getenv("EARLY") == "main redirects" {
		redirect()
	}
	c := &daemonize.Config[int]{
		Name:             "speaker",
		User:             os.Getenv("AS"),
		PrivilegedAction: func() (int, error) { return 0, act(context.Background(), os.Getenv("EARLY")) },
		OutputFile:       os.Getenv("OUT"),
		StopTimeout:      20 * time.Second,
	}
	if c.OutputFile == "syslog" {
		c.OutputFile, c.LogOutput = "", true
	}
	switch os.Getenv("MAIN") {
	case "own log":
		log.SetOutput(daemonize.NewWriter(daemonize.LOG_ERR))
	case "runs":
		s := testbed.Must(daemonize.New(func(ctx context.Context, _ int) error { return act(ctx, os.Getenv("DO")) }, c))
		fmt.Fprintln(os.Stderr, "returned", s.Run(context.Background()), log.Writer() == os.Stderr, log.Flags() == log.LstdFlags)
		return
	}
	daemonize.Serviced(func(ctx context.Context, _ int) error {
		if err := act(ctx, os.Getenv("DO")); err != nil || os.Getenv("DO") == "" {
			return err
		}
		daemonize.Syslog(daemonize.LOG_NOTICE, "waiting")
		<-ctx.Done()
		return nil
	}, c)
})

// redirect puts a file of the program's own on standard output and error.
func redirect() {
	f := testbed.Must(os.OpenFile("/run/own", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644))
	for fd := 1; fd <= 2; fd++ {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			panic(err)
		}
	}
}

func act(ctx context.Context, what string) error {
	switch what {
	case "", "main redirects":
	case "redirect":
		redirect()
	case "writes":
		fmt.Println("out 1")
		fmt.Fprintln(os.Stderr, "err 1")
	case "panics":
		fmt.Fprintln(os.Stderr, "err before the panic")
		panic("out of luck")
	case "deep panic":
		deep(85)
	case "fatal":
		log.Fatal("the last\nwords")
	case "logs":
		log.Print("by log")
		slog.Info("by slog", "n", 1)
	case "floods":
		for range 40_000 {
			fmt.Println(strings.Repeat("flood ", 16))
		}
		return os.WriteFile("/run/flooded", nil, 0o600)
	case "floods log":
		for range 5000 {
			log.Print(strings.Repeat("flood ", 16))
		}
		testbed.Must(0, os.WriteFile("/run/flooded", nil, 0o600))
		<-ctx.Done()
		return ctx.Err()
	case "goroutines":
		least := runtime.NumGoroutine()
		for same := 0; same < 80; same++ { // those of the start end, late on a loaded machine
			time.Sleep(10 * time.Millisecond)
			if n := runtime.NumGoroutine(); n < least {
				least, same = n, 0
			}
		}
		daemonize.Syslogf(daemonize.LOG_NOTICE, "goroutines: %d", least)
	default:
		script, background := strings.CutPrefix(what, "& ")
		c := exec.Command("sh", "-c", script)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if background {
			return c.Start()
		}
		return c.Run()
	}
	return nil
}

func deep(n int) {
	if n == 0 {
		panic("far down")
	}
	deep(n - 1)
	runtime.KeepAlive(n)
}

func speaker(verb string, env ...string) *exec.Cmd {
	c := testbed.Command("speaker", verb)
	c.Env = append(c.Env, env...)
	return c
}

// ordered is a script that does what each line of a FIFO says, and notes in a file that it has.
const ordered = `while read -r order; do eval "$order"; printf '%s\n' "$order" >> /run/done; done < /run/orders`

// orders makes the FIFO, and returns a function that gives an order and waits until it was
// carried out.
func orders(t *testing.T) func(order string) {
	t.Helper()
	require.NoError(t, unix.Mkfifo("/run/orders", 0o600))
	fifo, err := os.OpenFile("/run/orders", os.O_RDWR, 0) // there always is a writer
	require.NoError(t, err)
	t.Cleanup(func() { fifo.Close() })
	return func(order string) {
		t.Helper()
		_, err := fmt.Fprintln(fifo, order)
		require.NoError(t, err)
		testbed.Eventually(t, func() bool {
			done, _ := os.ReadFile("/run/done")
			return strings.HasSuffix("\n"+string(done), "\n"+order+"\n")
		}, "the helper to carry out %q", order)
	}
}
