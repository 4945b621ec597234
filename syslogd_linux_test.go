package daemonize

// The syslog daemon of the tests.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
)

// syslogd is busybox's.
type syslogd struct{ *testbed.Syslogd }

func startSyslogd(t *testing.T) *syslogd {
	t.Helper()
	return &syslogd{testbed.StartSyslogd(t, "busybox")}
}

// has waits for a message.
func (s *syslogd) has(t *testing.T, format string, args ...any) {
	t.Helper()
	want := fmt.Sprintf(format, args...)
	testbed.Eventually(t, func() bool { return strings.Contains(s.Text(t), want) }, "%q in the log", want)
}
