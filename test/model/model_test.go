// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

// Package model_test has spin(1) check pidfile.pml, the model of the pidfile's protocol.
package model_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func model(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("pidfile.pml")
	require.NoError(t, err)
	return string(text)
}

// TestStepsOfTheModelNameFunctions: each "file.go function" is in that file.
func TestStepsOfTheModelNameFunctions(t *testing.T) {
	steps := regexp.MustCompile(`([a-z_]+\.go) (?:\(\*?(\w+)\)\.)?(\w+)`).FindAllStringSubmatch(model(t), -1)
	require.Greater(t, len(steps), 30)
	for _, s := range steps {
		source, err := os.ReadFile(filepath.Join("../..", s[1]))
		require.NoError(t, err, s[0])
		declared := `(?m)^func ` + s[3] + `[(\[]`
		if s[2] != "" {
			declared = `(?m)^func \(\w+ \*?` + s[2] + `(\[\w+\])?\) ` + s[3] + `\(`
		}
		assert.Regexp(t, declared, string(source), s[0])
	}
}

// check is what spin's verifier found: an error, or that it saw all states; with preemptions,
// all that at most so many of them lead to: moments at which a process that could go on has to
// wait for another. A process that waits by itself costs none.
func check(t *testing.T, preemptions int, macros ...string) (failed bool, states string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pidfile.pml"), []byte(model(t)), 0o600))
	run := func(name string, args ...string) string {
		c := exec.Command(name, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	run("spin", append(macros, "-a", "pidfile.pml")...)
	verifier := []string{"-w", "-O2", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=4000", "-o", "pan", "pan.c"}
	options := []string{"-m100000", "-w24"}
	if preemptions > 0 {
		verifier = append(verifier, "-DBCS", "-DNOREDUCE", "-DCONSERVATIVE=2")
		options = append(options, fmt.Sprintf("-L%d", preemptions))
	}
	run("gcc", verifier...)
	out := run("./pan", options...)
	require.NotContains(t, out, "max search depth too small")
	found := regexp.MustCompile(`errors: (\d+)\n\s*(\d+) states, stored`).FindStringSubmatch(out)
	require.NotNil(t, found, out)
	if found[1] == "0" {
		require.NotContains(t, out, "Search not completed")
	}
	return found[1] != "0", found[2]
}

// TestTheModel checks every state of the protocol, and that the model finds what is wrong
// with changed ones.
func TestTheModel(t *testing.T) {
	if os.Getenv("DAEMONIZE_MODEL") == "" {
		t.Skip("takes a minute, spin(1) and gcc: DAEMONIZE_MODEL=1 go test -v ./test/model; DAEMONIZE_MODEL=all takes several and 4 GB, for two starts as well")
	}
	const none = "0"
	type configuration struct {
		starts, stops int
		mutant        string // a step that pidfile.pml leaves out
		hostile       int    // 1: a daemon turns hostile
		foreign       int    // 1: one start and one stop are in another PID namespace
		preemptions   int    // at most; 0 for any number
		wrong         bool
	}
	cases := []configuration{
		{1, 1, none, 0, 0, 0, false},
		{1, 1, "NOSECOND", 0, 0, 0, true},
		{1, 1, "NOCOMPARE", 0, 0, 0, true},
		{1, 1, "NOWAIT", 0, 0, 0, true},
		{1, 1, "NOBODY", 1, 0, 0, true},
		{2, 0, "PIDFIRST", 0, 0, 0, true},
		{1, 1, "NOERASE", 0, 0, 0, true},
	}
	if os.Getenv("DAEMONIZE_MODEL") == "all" {
		cases = append(cases, configuration{2, 0, none, 0, 0, 0, false},
			configuration{1, 1, none, 1, 0, 0, false},
			configuration{2, 0, none, 0, 1, 0, false},
			// Bounded: those with more than two actors have more states than memory holds. The mutants show
			// that three preemptions are enough to find a fault.
			configuration{1, 1, "NOSECOND", 0, 0, 3, true},
			configuration{1, 1, "NOCOMPARE", 0, 0, 3, true},
			configuration{1, 1, "NOWAIT", 0, 0, 3, true},
			configuration{1, 1, "NOERASE", 0, 0, 3, true},
			configuration{1, 2, none, 0, 0, 3, false},
			configuration{2, 1, none, 0, 0, 3, false},
			configuration{2, 2, none, 0, 0, 2, false},
			configuration{1, 2, none, 1, 0, 3, false},
			configuration{2, 2, none, 1, 0, 2, false},
			configuration{2, 2, none, 0, 1, 2, false},
			configuration{2, 2, none, 1, 1, 2, false})
	}
	for _, c := range cases {
		macros := fmt.Sprintf("-DSTARTS=%d -DSTOPS=%d -DMUTANT=%s -DHOSTILE=%d -DFOREIGN=%d",
			c.starts, c.stops, c.mutant, c.hostile, c.foreign)
		failed, states := check(t, c.preemptions, strings.Fields(macros+" -DTRIES=0 -DREMOVALS=1 -DBEYOND=0")...)
		assert.Equal(t, c.wrong, failed, macros)
		if c.preemptions > 0 {
			macros += fmt.Sprintf(" (%d preemptions)", c.preemptions)
		}
		t.Logf("counterexample: %-5t states: %-8s %s", failed, states, macros)
	}
}
