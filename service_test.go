// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// What New refuses.

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBadConfigIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	nop := func(context.Context, struct{}) error { return nil }
	for _, c := range []struct {
		config Config[struct{}]
		says   string
	}{
		{Config[struct{}]{Name: "."}, `daemonize: the daemon's name "." names no file: `},
		{Config[struct{}]{Name: ".."}, `names no file`},
		{Config[struct{}]{Name: "a/b"}, `contains '/'`},
		{Config[struct{}]{Name: "a\x00b"}, `contains a control character`},
		{Config[struct{}]{Name: "a\nb"}, `contains a control character`},
		{Config[struct{}]{Name: strings.Repeat("n", 201)}, `is too long`},
		{Config[struct{}]{PidfileDirectory: "run"}, `PidfileDirectory "run" is not an absolute path`},
		{Config[struct{}]{Umask: 0o1000}, `Umask 01000 is more than`},
		{Config[struct{}]{StopTimeout: -1}, `cannot be negative`},
		{Config[struct{}]{RespawnDelay: -1}, `cannot be negative`},
		{Config[struct{}]{SyslogOptions: 1 << 20}, `SyslogOptions 0x100000: only openlog(3)'s`},
	} {
		_, err := New(nop, &c.config)
		require.Error(t, err)
		assert.Contains(t, err.Error(), c.says)
		assert.Equal(t, 6, ExitCode(err))
	}
	_, err := New[struct{}](nil, nil)
	assert.EqualError(t, err, "daemonize: the action is nil")
	_, err = New(nop, &Config[struct{}]{Name: strings.Repeat("n", 200)})
	assert.NoError(t, err)
}
