// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Loggers logs two records to syslog through each of the loggers that adapters.go
// has an adapter for, and through a writer with log/syslog's methods.
//
//	cd examples/loggers && go run . && journalctl -t loggers -n 10
//
// It is a module of its own: the library depends on none of these loggers.
package main

import (
	"github.com/madhadron/daemonize"
	"go.uber.org/zap"
)

func main() {
	w := NewWriter(daemonize.LOG_DAEMON|daemonize.LOG_INFO, "loggers")
	defer w.Close()
	_ = w.Err("log/syslog: disk full")
	_, _ = w.Write([]byte("log/syslog: ready\n"))

	s := newSlog().With("id", 7)
	s.Error("slog: disk full")
	s.Info("slog: ready")

	l := newLogrus().WithField("id", 7)
	l.Error("logrus: disk full")
	l.Info("logrus: ready")

	z := newZap().With(zap.Int("id", 7))
	z.Error("zap: disk full")
	z.Info("zap: ready")

	r := newZerolog(w).With().Int("id", 7).Logger()
	r.Error().Msg("zerolog: disk full")
	r.Info().Msg("zerolog: ready")
}
