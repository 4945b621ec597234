// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// A writer with the methods of log/syslog's Writer.

import (
	"io"

	"github.com/madhadron/daemonize"
)

// Writer has the methods of log/syslog's Writer. What is written to it directly
// has the priority that NewWriter was given.
type Writer struct{ io.Writer }

// NewWriter is log/syslog's New.
func NewWriter(priority daemonize.Priority, tag string) Writer {
	daemonize.Openlog(tag, daemonize.LOG_PID, priority&^7)
	return Writer{daemonize.NewWriter(priority)}
}

func log(severity daemonize.Priority, m string) error { daemonize.Syslog(severity, m); return nil }

func (Writer) Emerg(m string) error   { return log(daemonize.LOG_EMERG, m) }
func (Writer) Alert(m string) error   { return log(daemonize.LOG_ALERT, m) }
func (Writer) Crit(m string) error    { return log(daemonize.LOG_CRIT, m) }
func (Writer) Err(m string) error     { return log(daemonize.LOG_ERR, m) }
func (Writer) Warning(m string) error { return log(daemonize.LOG_WARNING, m) }
func (Writer) Notice(m string) error  { return log(daemonize.LOG_NOTICE, m) }
func (Writer) Info(m string) error    { return log(daemonize.LOG_INFO, m) }
func (Writer) Debug(m string) error   { return log(daemonize.LOG_DEBUG, m) }
func (Writer) Close() error           { daemonize.Closelog(); return nil }
