//go:build unix && !(cgo && !daemonizego)

package daemonize

// The marker's parser in this half.

import (
	"fmt"
	"strings"
)

// goMarker is what the Go half makes of a launcher's marker; those of stage 1
// have a third number.
func goMarker(text string) (string, bool) {
	if strings.Count(text, ":") > 1 {
		return "", false
	}
	if m, ok := parseMark(text); ok {
		return fmt.Sprintf("%d %d\n", m.launcher, m.report), true
	}
	return "no\n", true
}
