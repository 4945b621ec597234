// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// How a message becomes records.

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// records is what Syslog makes of a message.
func records(message string, limit int) []string {
	all := []string{}
	for more := true; more; {
		var record string
		record, message, more = cutRecord(message, limit)
		all = append(all, record)
	}
	return all
}

func TestEachLineIsARecord(t *testing.T) {
	for _, c := range []struct {
		message string
		want    []string
	}{
		{"", []string{""}},
		{"one", []string{"one"}},
		{"one\n", []string{"one"}},
		{"one\r\n", []string{"one"}},
		{"\n", []string{""}},
		{"\n\n", []string{"", ""}},
		{"one\ntwo\r\nthree", []string{"one", "two", "three"}},
		{"one\n\ntwo", []string{"one", "", "two"}},
		{"a\rb\r", []string{"a\rb\r"}},
		{"12345678", []string{"12345678"}},
		{"12345678\n", []string{"12345678"}},
		{"12345678\r\n9", []string{"12345678", "9"}},
		{"123456789", []string{"12345678", "9"}},
		{"123456789\r\n", []string{"12345678", "9"}},
		{"1234567é", []string{"1234567", "é"}},
		{"123456☃", []string{"123456", "☃"}},
		{"12345🙂", []string{"12345", "🙂"}},
		{"1234🙂", []string{"1234🙂"}},
		{"🙂🙂🙂", []string{"🙂🙂", "🙂"}},
		{strings.Repeat("\x80", 10), []string{strings.Repeat("\x80", 8), "\x80\x80"}},
	} {
		assert.Equal(t, c.want, records(c.message, 8), "%q", c.message)
	}
}

func FuzzEachLineIsARecord(f *testing.F) {
	for _, s := range []string{"", "\n", "a\r\nb", "a\x00b", strings.Repeat("é", 100), "<0>x\n<0>y\r", "\xff\n\xfe"} {
		f.Add(s, uint8(8))
	}
	f.Fuzz(func(t *testing.T, message string, bound uint8) {
		limit := max(int(bound), utf8.UTFMax)
		all := records(message, limit)
		for _, record := range all {
			assert.LessOrEqual(t, len(record), limit)
			assert.NotContains(t, record, "\n")
			assert.True(t, !utf8.ValidString(message) || utf8.ValidString(record), "cut within a character: %q", record)
		}
		joined := strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "")
		assert.Equal(t, strings.ReplaceAll(joined, "\r", ""), strings.ReplaceAll(strings.Join(all, ""), "\r", ""))
		lines := strings.Count(strings.TrimSuffix(message, "\n"), "\n") + 1
		assert.GreaterOrEqual(t, len(all), lines)
	})
}

func TestIdentCannotForge(t *testing.T) {
	assert.Equal(t, "a_b_c_d e", cleanIdent("a\nb\x00c\x1bd e"))
	assert.Len(t, cleanIdent(strings.Repeat("x", 5000)), maxIdent)
}

func TestMasks(t *testing.T) {
	assert.Equal(t, 1<<3, LogMask(LOG_ERR))
	assert.Equal(t, 1<<3, LogMask(LOG_LOCAL7|LOG_ERR))
	assert.Equal(t, 1, LogUpto(LOG_EMERG))
	assert.Equal(t, 0xff, LogUpto(LOG_DEBUG))
	assert.Equal(t, 0x1f, LogUpto(LOG_AUTH|LOG_WARNING))
}

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
