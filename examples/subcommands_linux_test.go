// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"os"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSubcommands(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755)) // whatever the umask is
	program := testbed.Example(t, "subcommands")
	counter := func(verb string) (int, string) {
		c := program(verb)
		c.Env = append(c.Env, "XDG_RUNTIME_DIR="+dir)
		out, _ := c.CombinedOutput()
		require.NotNil(t, c.ProcessState)
		return c.ProcessState.ExitCode(), string(out)
	}
	t.Cleanup(func() { counter("down") })
	for _, step := range []struct {
		verb string
		code int
		said string
	}{
		{"info", 0, "^The counter is not running\n$"},
		{"down", 0, "^$"},
		{"next", 1, "^counter: dial unix .*: no such file or directory\n$"},
		{"up", 0, "^$"},
		{"next", 0, "^1\n$"},
		{"next", 0, "^2\n$"},
		{"up", 0, `^It is up already, as process \d+\n$`},
		{"next", 0, "^3\n$"},
		{"info", 0, "^The counter is running\n$"},
		{"down", 0, "^$"},
		{"info", 0, "^The counter is not running\n$"},
		{"sideways", 2, "^Usage"},
	} {
		code, said := counter(step.verb)
		assert.Equal(t, step.code, code, "%s: %s", step.verb, said)
		assert.Regexp(t, step.said, said, "%s", step.verb)
	}
}
