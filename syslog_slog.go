// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// NewHandler: log/slog to syslog.

import (
	"context"
	"encoding"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// NewHandler returns a slog.Handler that writes to syslog: the message, then
// the attributes as slog.TextHandler writes them, one record a line:
//
//	disk almost full path=/var used=0.97 mount.type=ext4
//
// A message that has control characters or is not UTF-8 is quoted, as such values are, so
// that it stays one line. The text has neither level nor time: syslog has both. It has
// the source only if AddSource is set. ReplaceAttr sees level and time all the same: if
// it changes one of them, that is written as an attribute. Nil options are the defaults:
// Level is slog.LevelInfo. Setlogmask can leave out more.
//
// Levels become severities: below Info LOG_DEBUG, Info LOG_INFO, from Info+2
// LOG_NOTICE, from Warn LOG_WARNING, from Error LOG_ERR, from Error+4
// LOG_CRIT, from Error+8 LOG_ALERT. No level becomes LOG_EMERG, which syslog
// daemons show on every terminal. The facility is Openlog's.
func NewHandler(opts *slog.HandlerOptions) slog.Handler { return newHandler(opts, syslogBytes) }

func newHandler(opts *slog.HandlerOptions, emit emitter) *handler {
	h := &handler{emit: emit}
	if opts != nil {
		h.opts = *opts
	}
	return h
}

// handler is never changed once it is in use; WithAttrs and WithGroup copy it.
type handler struct {
	opts   slog.HandlerOptions
	emit   emitter
	attrs  []byte   // of WithAttrs, formatted, each with a space before it
	groups []string // that WithGroup opened
	prefix string   // the groups' names, each with a dot after it
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	least := slog.LevelInfo
	if h.opts.Level != nil {
		least = h.opts.Level.Level()
	}
	return level >= least
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	l := line{h: &c, text: slices.Clone(h.attrs)}
	for _, a := range attrs {
		l.attr(a, h.prefix, h.groups)
	}
	c.attrs = l.text
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.groups = append(slices.Clip(h.groups), name)
	c.prefix = h.prefix + name + "."
	return &c
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	l := lines.Get().(*line)
	defer l.free()
	l.h = h
	bare := l.head(r)
	l.text = append(l.text, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		l.attr(a, h.prefix, h.groups)
		return true
	})
	text := l.text
	if bare && len(text) > 0 {
		text = text[len(" "):]
	}
	h.emit(severity(r.Level), text)
	return nil
}

// severity is the syslog severity of a slog level.
func severity(level slog.Level) Priority {
	switch {
	case level < slog.LevelInfo:
		return LOG_DEBUG
	case level < slog.LevelInfo+2:
		return LOG_INFO
	case level < slog.LevelWarn:
		return LOG_NOTICE
	case level < slog.LevelError:
		return LOG_WARNING
	case level < slog.LevelError+4:
		return LOG_ERR
	case level < slog.LevelError+8:
		return LOG_CRIT
	}
	return LOG_ALERT
}

// line is a record on its way.
type line struct {
	h    *handler
	text []byte
}

var lines = sync.Pool{New: func() any { return &line{text: make([]byte, 0, 1024)} }}

func (l *line) free() {
	const most = 16 << 10 // a rare giant is not kept
	if cap(l.text) <= most {
		l.h, l.text = nil, l.text[:0]
		lines.Put(l)
	}
}

// head writes what slog calls the built-in attributes; bare is true when no
// message stands before them.
func (l *line) head(r slog.Record) (bare bool) {
	message := slog.String(slog.MessageKey, r.Message)
	if replace := l.h.opts.ReplaceAttr; replace != nil {
		message = replace(nil, message)
		message.Value = message.Value.Resolve()
	}
	if message.Key == slog.MessageKey {
		l.message(message.Value.String())
	}
	bare = len(l.text) == 0
	if message.Key != slog.MessageKey {
		l.plain(message, "")
	}
	if !r.Time.IsZero() {
		l.ifChanged(slog.Time(slog.TimeKey, r.Time))
	}
	l.ifChanged(slog.Any(slog.LevelKey, r.Level))
	if l.h.opts.AddSource {
		l.source(r)
	}
	return bare
}

// ifChanged writes a built-in attribute that ReplaceAttr has changed.
func (l *line) ifChanged(a slog.Attr) {
	if l.h.opts.ReplaceAttr == nil {
		return
	}
	b := l.h.opts.ReplaceAttr(nil, a)
	b.Value = b.Value.Resolve()
	if !sameAttr(a, b) {
		l.plain(b, "")
	}
}

// sameAttr is slog.Attr.Equal, which panics on values that Go cannot compare.
func sameAttr(a, b slog.Attr) bool {
	return a.Key == b.Key && a.Value.Kind() == b.Value.Kind() && a.Value.String() == b.Value.String()
}

func (l *line) source(r slog.Record) {
	s := r.Source()
	if s == nil {
		s = &slog.Source{}
	}
	a := slog.Any(slog.SourceKey, s)
	if l.h.opts.ReplaceAttr != nil {
		a = l.h.opts.ReplaceAttr(nil, a)
		a.Value = a.Value.Resolve()
	}
	l.plain(a, "")
}

func (l *line) message(s string) {
	if strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && unicode.IsControl(r) || r == utf8.RuneError }) {
		l.text = strconv.AppendQuote(l.text, s)
		return
	}
	l.text = append(l.text, s...)
}

// attr writes an attribute below groups, whose names are in prefix: with the
// rules of slog.Handler for groups, replacement and empty attributes.
func (l *line) attr(a slog.Attr, prefix string, groups []string) {
	a.Value = a.Value.Resolve()
	if replace := l.h.opts.ReplaceAttr; replace != nil && a.Value.Kind() != slog.KindGroup {
		a = replace(groups, a)
		a.Value = a.Value.Resolve()
	}
	if a.Value.Kind() != slog.KindGroup {
		l.plain(a, prefix)
		return
	}
	if a.Key != "" {
		prefix += a.Key + "."
		groups = append(slices.Clip(groups), a.Key)
	}
	for _, member := range a.Value.Group() {
		l.attr(member, prefix, groups)
	}
}

// plain writes an attribute that is no group.
func (l *line) plain(a slog.Attr, prefix string) {
	if a.Key == "" && a.Value.Kind() == slog.KindAny && a.Value.Any() == nil {
		return
	}
	l.text = append(l.text, ' ')
	if prefix == "" {
		l.quoted(a.Key)
	} else if needsQuote(prefix) || needsQuote(a.Key) {
		l.text = strconv.AppendQuote(l.text, prefix+a.Key)
	} else {
		l.text = append(append(l.text, prefix...), a.Key...)
	}
	l.text = append(l.text, '=')
	l.value(a.Value)
}

func (l *line) value(v slog.Value) {
	switch v.Kind() {
	case slog.KindString:
		l.quoted(v.String())
	case slog.KindInt64:
		l.text = strconv.AppendInt(l.text, v.Int64(), 10)
	case slog.KindUint64:
		l.text = strconv.AppendUint(l.text, v.Uint64(), 10)
	case slog.KindFloat64:
		l.text = strconv.AppendFloat(l.text, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		l.text = strconv.AppendBool(l.text, v.Bool())
	case slog.KindDuration:
		l.text = append(l.text, v.Duration().String()...)
	case slog.KindTime:
		l.text = v.Time().AppendFormat(l.text, "2006-01-02T15:04:05.000Z07:00")
	default:
		l.quoted(anyText(v.Any()))
	}
}

// anyText is slog.TextHandler's: a value that panics when asked for its text,
// such as a nil pointer, must not take the daemon down.
func anyText(v any) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("!PANIC: %v", r)
		}
	}()
	switch v := v.(type) {
	case *slog.Source:
		return v.File + ":" + strconv.Itoa(v.Line)
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return "!ERROR:" + err.Error()
		}
		return string(b)
	case []byte:
		return string(v)
	}
	return fmt.Sprintf("%+v", v)
}

func (l *line) quoted(s string) {
	if needsQuote(s) {
		l.text = strconv.AppendQuote(l.text, s)
	} else {
		l.text = append(l.text, s...)
	}
}

// needsQuote is true for what would make logfmt ambiguous or a second line.
func needsQuote(s string) bool {
	if s == "" {
		return true
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c <= ' ' || c == '=' || c == '"' || c == 0x7f {
				return true
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return true
		}
		i += size
	}
	return false
}
