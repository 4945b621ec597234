// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRenamedLogIsOpenedAnew(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	tmp := testbed.PrivateDir(t)
	program := testbed.Example(t, "logfile")
	meter := func(verb string) {
		c := program(verb)
		c.Env = append(c.Env, "TMPDIR="+tmp)
		code, said := testbed.Finish(t, c)
		require.Zero(t, code, "%s: %s", verb, said)
	}
	meter("start")
	logs, err := filepath.Glob(tmp + "/meter-*/meter.log")
	require.NoError(t, err)
	require.Len(t, logs, 1)
	has := func(text string) func() bool {
		return func() bool {
			b, err := os.ReadFile(logs[0])
			return err == nil && strings.Contains(string(b), text)
		}
	}
	testbed.Eventually(t, has("standard output: reading 1\n"), "its standard output in the file")
	assert.True(t, has(" package log: reading 1\n")(), "and package log's, with the time")

	require.NoError(t, os.Rename(logs[0], logs[0]+".1"))
	meter("reload")
	testbed.Eventually(t, has("package log: reading "), "a new file")
	testbed.Eventually(t, has("standard output: reading "), "both in it")
	assert.False(t, has("reading 1\n")(), "what was written before is in the old one")
	meter("stop")
}
