// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package service_test

// What needs no daemon: names and states.

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStates(t *testing.T) {
	var zero daemonize.Status
	assert.Equal(t, daemonize.Unknown, zero.State, "the zero value claims nothing")
	for state, name := range map[daemonize.State]string{
		daemonize.Unknown: "unknown", daemonize.Running: "running",
		daemonize.Dead: "dead", daemonize.Stopped: "stopped",
	} {
		b, err := json.Marshal(daemonize.Status{State: state, PID: 4})
		require.NoError(t, err)
		assert.JSONEq(t, `{"state":"`+name+`","pid":4}`, string(b))
		var back daemonize.Status
		require.NoError(t, json.Unmarshal(b, &back))
		assert.Equal(t, daemonize.Status{State: state, PID: 4}, back)
	}
	var s daemonize.State
	assert.ErrorContains(t, s.UnmarshalText([]byte("alive")), `"alive" is no state`)
	for state, code := range map[daemonize.State]int{
		daemonize.Running: 0, daemonize.Dead: 1, daemonize.Stopped: 3, daemonize.Unknown: 4, -1: 4, 99: 4,
	} {
		assert.Equal(t, code, state.ExitCode())
	}
	assert.Equal(t, "in an unknown state", daemonize.State(99).String())
}

func TestNamesThatSyslogDaemonsCut(t *testing.T) {
	nop := func(context.Context, int) error { return nil }
	for _, name := range []string{
		"my agent", "a:b", "web[1]", "a]", "naïve", "tab\t", "a/b", "\x7f", "\xff", " a", ".", "..",
	} {
		_, err := daemonize.New(nop, &daemonize.Config[int]{Name: name})
		assert.ErrorContains(t, err, "set Name to 1 to 200 printable ASCII characters", "%q", name)
		assert.Equal(t, 6, daemonize.ExitCode(err))
	}
	for _, name := range []string{
		"plain", "with-dash", "dot.ted", "under_score", "tunnel@eu", "50%done", "a+b", strings.Repeat("n", 200),
	} {
		_, err := daemonize.New(nop, &daemonize.Config[int]{Name: name})
		assert.NoError(t, err, "%q", name)
	}
}
