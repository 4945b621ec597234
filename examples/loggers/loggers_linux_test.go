// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var _ = testbed.Helper("loggers", main)

func TestMain(m *testing.M) { testbed.Main(m) }

// TestEachLoggersRecordHasItsSeverity: 27 is LOG_DAEMON|LOG_ERR, 30 LOG_DAEMON|LOG_INFO.
func TestEachLoggersRecordHasItsSeverity(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	syslogd := testbed.Record(t, "unixgram")
	out, err := testbed.Command("loggers").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, out, "syslog alone")
	for _, logger := range []string{"log/syslog", "slog", "logrus", "zap", "zerolog"} {
		for _, want := range []struct{ priority, text string }{{"<27>", "disk full"}, {"<30>", "ready"}} {
			record := syslogd.Next(t)
			assert.True(t, strings.HasPrefix(record, want.priority), record)
			assert.Contains(t, record, logger+": "+want.text)
			assert.Contains(t, record, "loggers[")
			if logger != "log/syslog" {
				assert.Regexp(t, `id"?[=:]7`, record)
			}
		}
	}
}
