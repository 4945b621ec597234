// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestWatchdogEndsWhatHangs(t *testing.T) {
	if !testbed.Systemd(t, func() map[string]string {
		unit, err := filepath.Abs("watchdog/pulse.service")
		require.NoError(t, err)
		return map[string]string{
			"/usr/local/sbin/pulse":             testbed.Build(t, "examples/watchdog"),
			"/etc/systemd/system/pulse.service": unit,
		}
	}) {
		return
	}
	property := func(name string) string {
		out, err := exec.Command("systemctl", "show", "-P", name, "pulse").Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	out, err := exec.Command("systemctl", "start", "pulse").CombinedOutput()
	require.NoError(t, err, "%s", out)
	first := property("MainPID")
	lived := time.Now()
	testbed.Eventually(t, func() bool { return time.Since(lived) > 5*time.Second }, "two and a half times WatchdogSec=")
	assert.Equal(t, first, property("MainPID"), "it is fed, and lives")
	assert.Equal(t, "0", property("NRestarts"))

	pid, err := strconv.Atoi(first)
	require.NoError(t, err)
	require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
	testbed.Eventually(t, func() bool { return property("NRestarts") == "1" && property("ActiveState") == "active" }, "the next one")
	assert.NotEqual(t, first, property("MainPID"))
	out, err = exec.Command("sh", "-c", "journalctl --sync; journalctl --no-pager -q -u pulse").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "Watchdog timeout")
}
