// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package examples_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echoes answers each line with itself.
func echoes(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				for s := bufio.NewScanner(c); s.Scan(); {
					fmt.Fprintln(c, s.Text())
				}
				c.Close()
			}()
		}
	}()
	return l
}

func TestTunnelIsUpWhenTheCommandReturns(t *testing.T) {
	if !testbed.Isolate(t) { // whose end ends the tunnel
		return
	}
	tunnel := testbed.Example(t, "tunnel")
	target := echoes(t).Addr().String()
	out, err := tunnel("127.0.0.1:7001", target).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, out)
	c, err := net.Dial("tcp", "127.0.0.1:7001")
	require.NoError(t, err, "the command has returned: it must be up")
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	fmt.Fprintln(c, "through the tunnel")
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "through the tunnel\n", line)

	second := tunnel("127.0.0.1:7001", target)
	out, err = second.CombinedOutput()
	assert.Error(t, err)
	assert.Equal(t, 1, second.ProcessState.ExitCode())
	assert.Equal(t, "tunnel: listen tcp 127.0.0.1:7001: bind: address already in use\n", string(out))
}

func TestTunnelThatCannotIsAnExitCodeAndAMessage(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	tunnel := testbed.Example(t, "tunnel")
	for _, target := range []string{"127.0.0.1:1", "nonsense"} {
		c := tunnel("127.0.0.1:7002", target)
		out, err := c.CombinedOutput()
		assert.Error(t, err)
		assert.Equal(t, 1, c.ProcessState.ExitCode())
		assert.Regexp(t, `^tunnel: dial tcp[^\n]*\n$`, string(out))
		_, err = net.Dial("tcp", "127.0.0.1:7002")
		assert.Error(t, err, "nothing stays")
	}
}
