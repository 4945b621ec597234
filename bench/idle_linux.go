// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// The table idle: what a daemon takes that does nothing. It needs what verbs
// needs. Without daemon(3): the same Go program in the background, which
// tells what this library adds to it.

func init() {
	benches["idle"] = withHarness(idle)
}

// idleness is one look at a daemon.
type idleness struct{ rss, pss, private, threads, descriptors int } // kB, and numbers

func idle(h *harness) (bool, error) {
	found := findCommands(h)
	const looks = 5
	seen := make([][]idleness, len(found))
	for range looks {
		for i, t := range found {
			d, err := h.start(t.start...)
			if err != nil {
				return false, fmt.Errorf("%s: %w", t.name, err)
			}
			time.Sleep(200 * time.Millisecond)
			now, err := lookAt(d.pid)
			if err != nil {
				return false, fmt.Errorf("%s: %w", t.name, err)
			}
			seen[i] = append(seen[i], now)
			if t.stop != nil {
				_, _, err = h.stop(d, t.stop...)
			} else {
				err = h.kill(d)
			}
			if err != nil {
				return false, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	fmt.Printf("\nidle: a daemon 0.2 s after it is up, medians of %d\n", looks)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "RSS kB\tPss kB\tprivate kB\tthreads\tdescriptors\t  daemon")
	for i, t := range found {
		middle := func(of func(idleness) int) int {
			values := make([]int, 0, looks)
			for _, s := range seen[i] {
				values = append(values, of(s))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t  %s\n",
			middle(func(s idleness) int { return s.rss }), middle(func(s idleness) int { return s.pss }), middle(func(s idleness) int { return s.private }),
			middle(func(s idleness) int { return s.threads }), middle(func(s idleness) int { return s.descriptors }), t.name)
	}
	return true, w.Flush()
}

// lookAt reads proc(5).
func lookAt(pid int) (idleness, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return idleness{}, err
	}
	memory, err := os.ReadFile(dir + "smaps_rollup")
	if err != nil {
		return idleness{}, err
	}
	descriptors, err := os.ReadDir(dir + "fd")
	return idleness{
		rss: field(status, "VmRSS"), threads: field(status, "Threads"),
		pss: field(memory, "Pss"), private: field(memory, "Private_Clean") + field(memory, "Private_Dirty"),
		descriptors: len(descriptors),
	}, err
}

// field is a line's number; -1 without.
func field(text []byte, name string) int {
	found := regexp.MustCompile(`(?m)^` + name + `:\s+([0-9]+)`).FindSubmatch(text)
	if found == nil {
		return -1
	}
	n, err := strconv.Atoi(string(found[1]))
	must(err)
	return n
}
