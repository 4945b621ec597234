// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// A pidfile by path, and a user who stays who they are, from outside.

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var _ = testbed.Helper("stays", func() {
	daemonize.Serviced(func(ctx context.Context, _ struct{}) error {
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{Name: "stays", User: daemonize.CurrentUser, Pidfile: os.Getenv("PIDFILE")})
})

func TestCurrentUserAndAPidfileByPath(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	pidfile := filepath.Join(testbed.PrivateDir(t), "other.pid")
	do := func(verb string) (int, string) {
		c := testbed.Command("stays", verb)
		c.Env = append(c.Env, "PIDFILE="+pidfile)
		return testbed.Finish(t, c)
	}
	t.Cleanup(func() { do("stop") })
	code, said := do("start")
	require.Zero(t, code, said)
	text, err := os.ReadFile(pidfile)
	require.NoError(t, err)
	pid, err := strconv.Atoi(string(text))
	require.NoError(t, err)

	ours, its := testbed.Status(t, os.Getpid(), 0), testbed.Status(t, pid, 0)
	for _, field := range []string{"Uid", "Gid", "Groups", "CapPrm", "CapEff", "NoNewPrivs"} {
		assert.Equal(t, ours[field], its[field], field)
	}

	code, said = do("status")
	assert.Zero(t, code)
	assert.Contains(t, said, "stays is running (pid "+string(text)+")")
	code, said = do("stop")
	assert.Zero(t, code, said)
	left, err := os.ReadDir(filepath.Dir(pidfile))
	require.NoError(t, err)
	assert.Empty(t, left, "and nothing beside it is left")

	pidfile = filepath.Join(filepath.Dir(pidfile), "passwd")
	require.NoError(t, os.WriteFile(pidfile, []byte("root:x:0:0\n"), 0o644))
	code, said = do("start")
	assert.Equal(t, 6, code)
	assert.Contains(t, said, "is not a path that ends in NAME.pid")
	text, err = os.ReadFile(pidfile)
	require.NoError(t, err)
	assert.Equal(t, "root:x:0:0\n", string(text))
}
