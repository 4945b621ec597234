// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// Who holds a pidfile: the looks at it that a test makes by itself.

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestSignalWithoutPidfdChecksTheLockFirst: the pid in a file that nobody
// has locked is not signalled.
func TestSignalWithoutPidfdChecksTheLockFirst(t *testing.T) {
	sleeper := exec.Command("sleep", "1004")
	require.NoError(t, sleeper.Start())
	defer func() { _, _ = sleeper.Process.Kill(), sleeper.Wait() }()
	path := filepath.Join(private(t), "x.pid")
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(sleeper.Process.Pid)), 0o600))
	h := &holder{pid: sleeper.Process.Pid, path: path, pidfd: -1}
	defer h.close()
	assert.Equal(t, ErrNotRunning, h.signal(unix.SIGKILL))
	assert.True(t, testbed.Alive(sleeper.Process.Pid))
}
