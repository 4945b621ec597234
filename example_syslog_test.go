//go:build unix

package daemonize_test

// The ways to syslog, for the package page.

import (
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/madhadron/daemonize"
)

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
