package daemonize

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/require"
)

// syslogd is a real one, busybox's, and the file that it writes.
type syslogd struct {
	file string
	cmd  *exec.Cmd
}

func startSyslogd(t *testing.T) *syslogd {
	t.Helper()
	busybox := testbed.Package(t, "busybox", "busybox")
	s := &syslogd{file: filepath.Join(t.TempDir(), "log")}
	s.cmd = exec.Command(busybox, "syslogd", "-n", "-O", s.file)
	require.NoError(t, s.cmd.Start())
	testbed.Eventually(t, func() bool { _, err := os.Stat("/dev/log"); return err == nil }, "/dev/log")
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

func (s *syslogd) text() string {
	b, _ := os.ReadFile(s.file)
	return string(b)
}

// has waits for a message.
func (s *syslogd) has(t *testing.T, format string, args ...any) {
	t.Helper()
	want := fmt.Sprintf(format, args...)
	testbed.Eventually(t, func() bool { return strings.Contains(s.text(), want) }, "%q in the log:\n%s", want, s.text())
}
