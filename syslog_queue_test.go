// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// The bounds of a Queue, which needs no syslog daemon for it.

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestQueueIsBoundedInMessagesAndBytes(t *testing.T) {
	for _, c := range []struct{ size, length, takes int }{
		{2, 1, 2},
		{0, 1, 1024},
		{1000, 4096, 250},
		{8, 16 << 10, 4}, // 64 KiB in any case
		{8, 1 << 20, 1},  // it is empty
	} {
		q := NewQueue(c.size)
		q.running = true // nobody takes them out
		for range 2000 {
			q.Syslog(LOG_DEBUG, strings.Repeat("x", c.length))
		}
		assert.Len(t, q.waiting, c.takes, "%+v", c)
		assert.Equal(t, 2000-c.takes, q.dropped, "%+v", c)
	}
}
