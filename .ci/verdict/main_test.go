// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lines are events of go test -json for one test in package p.
func lines(test, action string, said ...string) string {
	var b strings.Builder
	for _, s := range said {
		fmt.Fprintf(&b, `{"Action":"output","Package":"p","Test":%q,"Output":%q}`+"\n", test, s+"\n")
	}
	fmt.Fprintf(&b, `{"Action":%q,"Package":"p","Test":%q}`+"\n", action, test)
	return b.String()
}

func TestVerdict(t *testing.T) {
	passes := lines("TestA", "pass", "=== RUN   TestA")
	for _, c := range []struct {
		name, leg, in string
		ok            bool
		says          string
	}{
		{"all passed", "cgo", passes, true, "1 passed, 0 failed, 0 skipped (0 of them refused)"},
		{"nothing ran", "cgo", "", false, "NO TEST RAN"},
		{"one failed", "cgo", passes + lines("TestB", "fail", "    b_test.go:3: it is broken"), false, "FAILED: TestB"},
		{"a package failed", "cgo", passes + `{"Action":"fail","Package":"p"}` + "\n", false, "FAILED: p"},
		{"it does not compile", "cgo", passes + `{"Action":"build-fail","ImportPath":"p"}` + "\n", false, "FAILED: build of p"},
		{"a skip that is allowed here", "user", passes + lines("TestB", "skip", "    b_test.go:3: needs root: sudo go test"), true, "1 skipped (0 of them refused)"},
		{"a skip that is allowed elsewhere", "cgo", passes + lines("TestB", "skip", "    b_test.go:3: needs root: sudo go test"), false, "SKIPPED, but .ci/skips does not allow it here: TestB: needs root: sudo go test"},
		{"a reason that begins like an allowed one", "user", passes + lines("TestB", "skip", "    b_test.go:3: needs root or user namespaces (EPERM): run it as root"), false, "(1 of them refused)"},
		{
			"a skip within a namespace", "cgo",
			lines("TestA", "pass", "=== RUN   TestA/sub", "    a_test.go:3: needs frobnicate: apt-get install it", "    --- SKIP: TestA/sub (0.00s)"), false,
			"SKIPPED, but .ci/skips does not allow it here: TestA/sub: needs frobnicate: apt-get install it",
		},
		{
			"a reason, and what another process writes while tests run side by side", "user",
			lines("TestA", "pause", "=== RUN   TestA", "=== PAUSE TestA") + passes + lines("TestB", "run", "=== RUN   TestB", "    b_test.go:3: works") +
				lines("TestA", "skip", "=== CONT  TestA", "    a_test.go:3: needs root: sudo go test", "hello from a daemon", "--- SKIP: TestA (0.00s)") +
				lines("TestB", "pass", "=== NAME  TestB", "    b_test.go:4: works"), true,
			"2 passed, 0 failed, 1 skipped (0 of them refused)",
		},
		{
			"skips side by side within a namespace", "cgo",
			lines("TestA", "pass", "    ns.go:1: re-execution:", "        === RUN   TestA/x", "        === PAUSE TestA/x", "        === RUN   TestA/y", "        === PAUSE TestA/y",
				"        === CONT  TestA/x", "        === CONT  TestA/y", "            a_test.go:3: works", "        === NAME  TestA/x", "            a_test.go:4: needs an unprivileged user: adduser",
				"        === NAME  TestA/y", "            a_test.go:4: needs frobnicate: apt-get install it", "        --- PASS: TestA (0.00s)",
				"            --- SKIP: TestA/x (0.00s)", "            --- SKIP: TestA/y (0.00s)"), false,
			"TestA/y: needs frobnicate: apt-get install it\n    1 passed, 0 failed, 2 skipped (1 of them refused)",
		},
		{
			"a test that never ends", "cgo",
			passes + lines("TestB", "run", "=== RUN   TestB", "    b_test.go:3: it hangs") + lines("TestC", "run", "panic: test timed out after 1s") + `{"Action":"fail","Package":"p"}` + "\n", false,
			"    --- p.TestB printed:\n        === RUN   TestB\n            b_test.go:3: it hangs\n    --- p.TestC printed:\n        panic: test timed out after 1s\n" +
				"    FAILED: p\n    FAILED: p.TestB did not end\n    FAILED: p.TestC did not end\n",
		},
		{"go's own words", "cgo", passes + "go: cannot find module\n", true, "1 passed"},
	} {
		allowed, err := readAllowed("../skips", c.leg)
		require.NoError(t, err)
		var text, out strings.Builder
		ok, err := judge(strings.NewReader(c.in), &text, &out, allowed)
		require.NoError(t, err, c.name)
		assert.Equal(t, c.ok, ok, "%s: %s", c.name, &out)
		assert.Contains(t, out.String(), c.says, c.name)
	}
}
