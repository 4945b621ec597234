// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// How a message becomes records.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// --- The handler for log/slog ---

// spoken is what a handler passed on.
type spoken struct {
	priority Priority
	text     string
}

// hear returns a handler and where what it says goes.
func hear(opts *slog.HandlerOptions) (*handler, *spoken) {
	var s spoken
	return newHandler(opts, func(p Priority, text []byte) { s = spoken{p, string(text)} }), &s
}

// parse reads "message key=value a.b=value" back.
func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	m := map[string]any{}
	i := regexp.MustCompile(`(^| )[\w.]+=`).FindStringIndex(text)
	if i == nil {
		return map[string]any{slog.MessageKey: text}
	}
	m[slog.MessageKey] = text[:i[0]]
	for rest := strings.TrimPrefix(text[i[0]:], " "); rest != ""; rest = strings.TrimPrefix(rest, " ") {
		path, value, ok := strings.Cut(rest, "=")
		require.True(t, ok, "%q", text)
		if quoted, err := strconv.QuotedPrefix(value); err == nil {
			rest = value[len(quoted):]
			value, _ = strconv.Unquote(quoted)
		} else {
			value, rest, _ = strings.Cut(value, " ")
		}
		group := m
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			if group[name] == nil {
				group[name] = map[string]any{}
			}
			group = group[name].(map[string]any)
		}
		group[names[len(names)-1]] = value
	}
	return m
}

// TestHandlerIsAProperSlogHandler is testing/slogtest. It wants to see time
// and level, which are syslog's to tell: ReplaceAttr changes them, so they
// are written.
func TestHandlerIsAProperSlogHandler(t *testing.T) {
	var s *spoken
	slogtest.Run(t, func(*testing.T) slog.Handler {
		var h slog.Handler
		h, s = hear(&slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				a.Value = slog.StringValue("changed: " + a.Value.String())
			}
			return a
		}})
		return h
	}, func(t *testing.T) map[string]any { return parse(t, s.text) })
}

func TestHandlerLeavesTimeAndLevelToSyslog(t *testing.T) {
	same := func(_ []string, a slog.Attr) slog.Attr { return a }
	for _, opts := range []*slog.HandlerOptions{nil, {}, {ReplaceAttr: same}} {
		h, s := hear(opts)
		slog.New(h).With("a", 1).WithGroup("g").Warn("disk almost full", "path", "/var log", "used", 0.97)
		assert.Equal(t, spoken{LOG_WARNING, `disk almost full a=1 g.path="/var log" g.used=0.97`}, *s)
	}
}

func TestHandlerMapsLevelsToSeverities(t *testing.T) {
	for level, want := range map[slog.Level]Priority{
		math.MinInt: LOG_DEBUG, -8: LOG_DEBUG, slog.LevelDebug: LOG_DEBUG, -1: LOG_DEBUG, slog.LevelInfo: LOG_INFO, 1: LOG_INFO, 2: LOG_NOTICE, 3: LOG_NOTICE,
		slog.LevelWarn: LOG_WARNING, 7: LOG_WARNING, slog.LevelError: LOG_ERR, 11: LOG_ERR, 12: LOG_CRIT, 15: LOG_CRIT, 16: LOG_ALERT, 1000: LOG_ALERT, math.MaxInt: LOG_ALERT,
	} {
		h, s := hear(&slog.HandlerOptions{Level: slog.Level(math.MinInt)})
		slog.New(h).Log(context.Background(), level, "x")
		assert.Equal(t, spoken{want, "x"}, *s, "%d", level)
	}
}

func TestHandlerHonoursItsLevel(t *testing.T) {
	h, _ := hear(nil)
	assert.False(t, h.Enabled(context.Background(), slog.LevelDebug))
	assert.True(t, h.Enabled(context.Background(), slog.LevelInfo))
	var level slog.LevelVar
	h, _ = hear(&slog.HandlerOptions{Level: &level})
	level.Set(slog.LevelError)
	assert.False(t, h.Enabled(context.Background(), slog.LevelWarn))
}

func TestHandlerKeepsARecordOnOneLine(t *testing.T) {
	h, s := hear(nil)
	log := slog.New(h)
	log.Info("one\n<0>two", "k\nk", "v\r\nw", "e", errors.New("a\nb"), "s", struct{ X string }{"y\nz"})
	assert.Equal(t, `"one\n<0>two" "k\nk"="v\r\nw" e="a\nb" s="{X:y\nz}"`, s.text)
	log.WithGroup("g\n").Info("", "k", "\x00")
	assert.Equal(t, `"g\n.k"="\x00"`, s.text)
	log.Info("")
	assert.Equal(t, "", s.text)
	for message, want := range map[string]string{"\x7f": `"\x7f"`, "\u009b2J": `"\u009b2J"`, "\x9b2J": `"\x9b2J"`, "tab\tand ü": "tab\tand ü"} {
		slog.New(h).Info(message)
		assert.Equal(t, want, s.text)
	}
}

func TestHandlerTellsTheSource(t *testing.T) {
	h, s := hear(&slog.HandlerOptions{AddSource: true})
	slog.New(h).Info("here", "k", "v")
	assert.Regexp(t, `^here source=\S*/syslog_test.go:\d+ k=v$`, s.text)
	require.NoError(t, h.WithGroup("").Handle(t.Context(), slog.Record{Message: "there"}))
	assert.Equal(t, "there source=:0", s.text, "of a record without a source, in no group")

	h, s = hear(&slog.HandlerOptions{AddSource: true, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if src, ok := a.Value.Any().(*slog.Source); ok {
			a.Value = slog.IntValue(src.Line)
		}
		return a
	}})
	slog.New(h).Info("here")
	assert.Regexp(t, `^here source=\d+$`, s.text)
}

func TestHandlerHonoursReplaceAttr(t *testing.T) {
	h, s := hear(&slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.MessageKey:
			return slog.String("event", a.Value.String())
		case slog.TimeKey, "drop":
			return slog.Attr{}
		case slog.LevelKey:
			return slog.String("lvl", a.Value.String())
		case "password":
			return slog.String("password", "***")
		}
		return slog.String(a.Key, fmt.Sprint(groups, a.Value))
	}})
	slog.New(h).With("password", "x").WithGroup("g").Info("hello world", "drop", 1, slog.Group("h", "k", 1))
	assert.Equal(t, `event="hello world" lvl=INFO password=*** g.h.k="[g h] 1"`, s.text)
}

// TestHandlerWritesAttributesAsTextHandlerDoes compares with the one in
// package slog, which writes msg= first when time and level are dropped.
func TestHandlerWritesAttributesAsTextHandlerDoes(t *testing.T) {
	var buf bytes.Buffer
	drop := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}
	text := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: drop}))
	h, s := hear(nil)
	ours := slog.New(h)
	var nothing *netip.Addr
	for _, args := range [][]any{
		{"s", "plain", "s2", "two words", "s3", "", "s4", `"q"`, "s5", "a=b", "s6", "é☃\u2028\u00a0", "s7", "\xff", "tab", "\t", "two words", 1, "", 2, "a=b", 3},
		{"i", -1, "u", uint64(math.MaxUint64), "f", 1.5, "f2", math.Inf(1), "f3", 1e100, "b", true, "d", 1500 * time.Millisecond, "t", time.Unix(0, 5e6).UTC()},
		{"nil", nil, "err", errors.New("no"), "bytes", []byte("b c"), "addr", netip.MustParseAddr("::1"), "slice", []int{1, 2}, "cannot", net.IP{1}, "map", map[string]int{"a": 1}},
		{slog.Group("g", "a", 1, slog.Group("h", "b", 2), slog.Group("empty")), slog.Group("", "inline", 1), slog.Attr{}},
		{"lev", slog.LevelWarn, "source", &slog.Source{File: "f", Line: 3}, "any", slog.AnyValue(struct{ A, B any }{1, "x"})},
		{"v", slog.AnyValue(valuer{}), "g", slog.AnyValue(groupValuer{})},
	} {
		buf.Reset()
		text.With(args...).WithGroup("G").With("w", 1).Info("", args...)
		ours.With(args...).WithGroup("G").With("w", 1).Info("", args...)
		assert.Equal(t, strings.TrimSuffix(buf.String(), "\n"), s.text)
	}
	ours.Info("", "nil pointer", nothing)
	assert.Contains(t, s.text, "PANIC", "as a value, not of the program")
}

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("resolved value") }

type groupValuer struct{}

func (groupValuer) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("x", 1), slog.Any("y", valuer{}))
}

// Copies are made from one handler whose slices have room to spare.
func TestHandlerCopiesShareNothing(t *testing.T) {
	h, s := hear(&slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			a.Key = strings.Join(groups, "/")
		}
		return a
	}})
	base := slog.New(h).WithGroup("a").WithGroup("b").WithGroup("c")
	one, two := base.WithGroup("one"), base.WithGroup("two")
	one.Info("m", "k", 1)
	assert.Equal(t, "m a.b.c.one.a/b/c/one=1", s.text)
	two.Info("m", "k", 2)
	assert.Equal(t, "m a.b.c.two.a/b/c/two=2", s.text)

	h, s = hear(nil)
	base = slog.New(h).With("seventeen", "chars", "n", 0)
	one, two = base.With("x", 1), base.With("y", 2)
	one.Info("m")
	assert.Equal(t, "m seventeen=chars n=0 x=1", s.text)
	two.Info("m")
	assert.Equal(t, "m seventeen=chars n=0 y=2", s.text)
}
