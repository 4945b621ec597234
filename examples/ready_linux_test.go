// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStartEndsWhenTheActionIsReady(t *testing.T) {
	testbed.NeedRoot(t) // it drops its privileges
	if !testbed.Isolate(t) {
		return
	}
	program := testbed.Example(t, "ready")
	shop := func(database, verb string) (int, string) {
		c := program(verb)
		c.Env = append(c.Env, "SHOP_DATABASE="+database)
		return testbed.Finish(t, c)
	}
	code, said := shop("/nowhere", "start")
	assert.Equal(t, 1, code)
	assert.Contains(t, said, "open /nowhere: no such file or directory")
	testbed.None(t, "ready")

	code, said = shop("", "start")
	require.Zero(t, code, said)
	response, err := http.Get("http://localhost:8081/")
	require.NoError(t, err, "start has returned: it must serve")
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Regexp(t, `^\d+ goods\n$`, string(text))
	code, said = shop("", "stop")
	assert.Zero(t, code, said)
	assert.Empty(t, said)
}
