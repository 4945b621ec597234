// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package inject_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var withoutNumbers = regexp.MustCompile(`\d+`)

// report prints the figures, and what fell.
func (b *bench) report(t *testing.T, cases, all int) {
	calls := 0
	for _, n := range b.calls {
		calls += n
	}
	excused := 0
	for _, n := range b.excused {
		excused += n
	}
	t.Logf("%s, %s: %d calls of %d kinds, %d cases of %d, %d not reached, %d fell, %d excused; "+
		"without an injection it takes %s under strace",
		b.verb, b.role.name, calls, len(b.calls), cases, all, b.notReached, len(b.fell), excused, b.took)
	for _, text := range slices.Sorted(maps.Keys(b.said)) {
		t.Logf("%4d times: %s", b.said[text], strings.TrimSpace(text))
	}
	for why, n := range b.excused {
		t.Logf("%4d excused: %s", n, why)
	}
	for _, text := range b.once {
		t.Logf("ran again: %s", text)
	}
	for _, text := range b.fell {
		t.Error(text)
	}
}
