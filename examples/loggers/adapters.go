// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Adapters: each sends a logger's records to syslog, with the severity of their level.

import (
	"log/slog"

	"github.com/madhadron/daemonize"
	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// log/slog has a handler in the library.
func newSlog() *slog.Logger { return slog.New(daemonize.NewHandler(nil)) }

// zerolog takes a writer with log/syslog's methods.
func newZerolog(w Writer) zerolog.Logger { return zerolog.New(zerolog.SyslogLevelWriter(w)) }

// logrusFormatter logs each entry, and leaves nothing for logrus to write.
type logrusFormatter struct{ logrus.Formatter }

var logrusSeverities = []daemonize.Priority{
	logrus.PanicLevel: daemonize.LOG_CRIT, logrus.FatalLevel: daemonize.LOG_CRIT,
	logrus.ErrorLevel: daemonize.LOG_ERR, logrus.WarnLevel: daemonize.LOG_WARNING,
	logrus.InfoLevel: daemonize.LOG_INFO, logrus.DebugLevel: daemonize.LOG_DEBUG,
	logrus.TraceLevel: daemonize.LOG_DEBUG,
}

func (f logrusFormatter) Format(e *logrus.Entry) ([]byte, error) {
	text, err := f.Formatter.Format(e)
	if err == nil {
		daemonize.Syslog(logrusSeverities[e.Level], string(text))
	}
	return nil, err
}

func newLogrus() *logrus.Logger {
	l := logrus.New()
	l.SetFormatter(logrusFormatter{&logrus.TextFormatter{DisableTimestamp: true, DisableColors: true}})
	return l
}

// zapCore is a core of zap over syslog.
type zapCore struct {
	zapcore.LevelEnabler
	zapcore.Encoder
}

func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	c.Encoder = c.Clone()
	for _, f := range fields {
		f.AddTo(c.Encoder)
	}
	return c
}

func (c zapCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

var zapSeverities = map[zapcore.Level]daemonize.Priority{
	zapcore.DebugLevel: daemonize.LOG_DEBUG, zapcore.InfoLevel: daemonize.LOG_INFO,
	zapcore.WarnLevel: daemonize.LOG_WARNING, zapcore.ErrorLevel: daemonize.LOG_ERR,
	zapcore.DPanicLevel: daemonize.LOG_CRIT, zapcore.PanicLevel: daemonize.LOG_CRIT,
	zapcore.FatalLevel: daemonize.LOG_CRIT,
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	text, err := c.EncodeEntry(e, fields)
	if err == nil {
		daemonize.Syslog(zapSeverities[e.Level], text.String())
		text.Free()
	}
	return err
}

func (zapCore) Sync() error { return nil }

func newZap() *zap.Logger {
	config := zapcore.EncoderConfig{MessageKey: "msg"} // syslog has the time and the severity
	return zap.New(zapCore{zapcore.InfoLevel, zapcore.NewJSONEncoder(config)})
}
