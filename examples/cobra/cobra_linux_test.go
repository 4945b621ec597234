// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var _ = testbed.Helper("clockd", main)

func TestMain(m *testing.M) { testbed.Main(m) }

func TestVerbsAreSubcommands(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	pidfile := filepath.Join(testbed.PrivateDir(t), "other.pid")
	clockd := func(args ...string) (int, string) {
		return testbed.Finish(t, testbed.Command("clockd", append(args, "--pidfile", pidfile)...))
	}
	code, said := clockd("status")
	assert.Equal(t, 3, code, said)
	code, said = clockd("start", "--listen", "127.0.0.1:7001")
	require.Zero(t, code, said)
	assert.FileExists(t, pidfile)
	c, err := net.Dial("tcp", "127.0.0.1:7001")
	require.NoError(t, err)
	text, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Regexp(t, `^\d\d:\d\d:\d\d\n$`, string(text))
	code, said = clockd("start")
	assert.Equal(t, 1, code)
	assert.Contains(t, said, "clockd: PID file exists.")
	code, said = clockd("stop")
	assert.Zero(t, code, said)
	assert.NoFileExists(t, pidfile)

	code, said = clockd("sideways")
	assert.Equal(t, 2, code)
	assert.Contains(t, said, "unknown command")
	code, said = clockd("start", "--listen", "nonsense")
	assert.Equal(t, 1, code)
	assert.Contains(t, said, "clockd: privileged action: listen tcp")
}
