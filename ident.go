// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// What the program, and the records that it logs, are called.

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// message is how people see an error: after the program's name.
func message(name string, err error) string {
	return name + ": " + withoutPrefix(err)
}

// withoutPrefix is an error's text where something else says who speaks.
func withoutPrefix(err error) string { return strings.TrimPrefix(err.Error(), "daemonize: ") }

// programName is what messages are signed with.
func programName() string {
	if len(os.Args) == 0 {
		return "daemonize"
	}
	return filepath.Base(os.Args[0])
}

// cleanIdent makes an ident that is bounded and cannot forge a record.
func cleanIdent(ident string) string {
	b := []byte(ident[:min(len(ident), maxIdent)])
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = '_'
		}
	}
	return string(b)
}

// defaultIdent is libc's: the program's name without its directory.
func defaultIdent() string {
	if len(os.Args) == 0 {
		return ""
	}
	return cleanIdent(os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:])
}

// oneLine makes text fit for a line of a terminal: control characters, with
// which it could do more than be seen, and what orders or hides text, such as
// bidirectional marks, become spaces.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
}

// accountName tells whether an entry of passwd(5) or group(5) can have this
// name. One with a NUL would reach C as another name; "+" and "-" begin the
// NIS lines, which are nobody's name.
func accountName(name string) bool {
	return name != "" && !strings.ContainsAny(name, ":\n\x00") && name[0] != '+' && name[0] != '-'
}
