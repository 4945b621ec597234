// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Verdict reads the output of go test -json, writes it as plain text to a
// file, and says of one leg of .ci/run how many tests passed, failed and were
// skipped, and what those that failed printed. It fails if a test failed, if
// one did not end, if one was skipped for a reason that the allow-list does not
// have for that leg, and if no test ran at all.
//
//	go test -json ./... 2>&1 | verdict LEG ALLOW-LIST TEXT-FILE
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// skip is a test that was skipped, and what it said.
type skip struct{ test, reason string }

var (
	skipLine = regexp.MustCompile(`^\s+--- SKIP: (\S+) \(`)                  // of a test in a namespace, which runs inside another test
	closing  = regexp.MustCompile(`^(ok|FAIL|---|\?|panic:) ?\s*\S+/?\S*.*`) // go test's own last word on a package
	position = regexp.MustCompile(`^\s*\S+\.go:\d+: `)                       // where a log line was written
	section  = regexp.MustCompile(`^=== (?:RUN|NAME|PAUSE|CONT)\s+(\S+)`)    // what follows is this test's, in a namespace, too
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: verdict LEG ALLOW-LIST TEXT-FILE < output of go test -json")
		os.Exit(2)
	}
	leg := os.Args[1]
	allowed, err := readAllowed(os.Args[2], leg)
	exitIf(err)
	text, err := os.Create(os.Args[3])
	exitIf(err)
	ok, err := judge(os.Stdin, text, os.Stdout, allowed)
	exitIf(err)
	exitIf(text.Close())
	if !ok {
		os.Exit(1)
	}
}

// judge reads in, writes all of it to text and what is to be said of it to out.
func judge(in io.Reader, text, out io.Writer, allowed []*regexp.Regexp) (ok bool, err error) {
	passed, failed := 0, []string{}
	blamed := map[string]bool{} // packages that failed for one of their tests
	var skips []skip
	last := map[string]string{}      // what a test logged last: the reason, if it was skipped
	current := map[string]string{}   // of a test that runs others in a namespace: which of them
	printed := map[string][]string{} // the last lines of a test, a package or a build
	running := map[string]bool{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action == "" {
			e = event{Action: "output", Output: lines.Text() + "\n"} // go's own words: a build that failed
		}
		id := e.Package + e.ImportPath + "." + e.Test
		switch e.Action {
		case "output", "build-output":
			fmt.Fprint(text, e.Output)
			line := strings.TrimRight(e.Output, "\n")
			if printed[id] = append(printed[id], line); len(printed[id]) > most {
				printed[id] = printed[id][1:]
			}
			if inner := skipLine.FindStringSubmatch(line); inner != nil && inner[1] != e.Test {
				skips = append(skips, skip{inner[1], last[e.Package+"."+inner[1]]})
			}
			if s := section.FindStringSubmatch(strings.TrimSpace(line)); s != nil {
				current[id] = s[1]
			} else if at := position.FindString(line); at != "" { // others write there, too
				last[id] = line[len(at):]
				last[e.Package+"."+current[id]] = line[len(at):]
			}
			if e.Test == "" && closing.MatchString(line) && !strings.Contains(line, "[no test files]") {
				fmt.Fprintln(out, "   ", line)
			}
		case "run":
			running[id] = true
		case "pass", "fail", "skip":
			delete(running, id)
			if e.Action == "fail" && !(e.Test == "" && blamed[e.Package]) {
				show(out, id, printed[id])
			}
			delete(printed, id)
			switch {
			case e.Test == "" && e.Action == "fail" && !blamed[e.Package]:
				failed = append(failed, e.Package)
			case e.Test == "":
			case e.Action == "pass":
				passed++
			case e.Action == "fail":
				blamed[e.Package] = true
				failed = append(failed, e.Test)
			default:
				skips = append(skips, skip{e.Test, last[id]})
			}
		case "build-fail":
			show(out, id, printed[id])
			failed = append(failed, "build of "+e.ImportPath)
		}
	}
	if err := lines.Err(); err != nil {
		return false, err
	}

	for _, id := range slices.Sorted(maps.Keys(running)) {
		show(out, id, printed[id])
		failed = append(failed, id+" did not end")
	}

	refused := 0
	for _, s := range skips {
		ok := slices.ContainsFunc(allowed, func(r *regexp.Regexp) bool { return r.MatchString(s.reason) })
		if !ok {
			refused++
			fmt.Fprintf(out, "    SKIPPED, but .ci/skips does not allow it here: %s: %s\n", s.test, s.reason)
		}
	}
	for _, f := range failed {
		fmt.Fprintln(out, "    FAILED:", f)
	}
	fmt.Fprintf(out, "    %d passed, %d failed, %d skipped (%d of them refused)\n", passed, len(failed), len(skips), refused)
	if passed == 0 {
		fmt.Fprintln(out, "    NO TEST RAN")
	}
	return passed > 0 && len(failed) == 0 && refused == 0, nil
}

// most is how many lines of a failed test are shown.
const most = 50

func show(out io.Writer, what string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(out, "    --- %s printed:\n        %s\n", strings.Trim(what, "."), strings.Join(lines, "\n        "))
	}
}

// readAllowed reads lines "LEGS REASON", LEGS being shell patterns joined by
// commas and REASON a regular expression, and keeps the reasons for leg.
func readAllowed(file, leg string) ([]*regexp.Regexp, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var reasons []*regexp.Regexp
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		legs, reason, _ := strings.Cut(line, " ")
		r, err := regexp.Compile(strings.TrimSpace(reason))
		if err != nil || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %q: not LEGS and a regular expression: %v", file, line, err)
		}
		for pattern := range strings.SplitSeq(legs, ",") {
			if ok, _ := path.Match(pattern, leg); ok {
				reasons = append(reasons, r)
			}
		}
	}
	return reasons, nil
}

func exitIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(2)
	}
}
