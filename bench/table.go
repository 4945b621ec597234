//go:build unix

// Command bench prints side-by-side measurements of this library and of what
// one would use without it: medians, and ratios of medians from one run.
//
//	go run ./bench syslog
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A contender is one row of a table: measure runs it n times and tells how
// long that took.
type contender struct {
	name    string
	measure func(n int) time.Duration
	rivals  []rival
}

// A rival is the row that a row is compared with, and the most that it may
// take of that row's time.
type rival struct {
	name string
	most float64
}

// printTable measures the contenders in turn, rounds times over, so that what
// else the machine does meets all of them, and prints nanoseconds a call. It
// is false when a ratio is above its limit.
func printTable(contenders []contender, rounds, n int) bool {
	times := map[string][]float64{}
	for range rounds {
		for _, c := range contenders {
			times[c.name] = append(times[c.name], float64(c.measure(n).Nanoseconds())/float64(n))
		}
	}
	median := func(name string) float64 {
		t := slices.Sorted(slices.Values(times[name]))
		if len(t) == 0 {
			return 0
		}
		return t[len(t)/2]
	}
	within := true
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "what\tmedian ns\tfastest ns\tratios (limit)\n")
	for _, c := range contenders {
		var ratios []string
		for _, r := range c.rivals {
			if median(r.name) == 0 {
				continue
			}
			ratio := median(c.name) / median(r.name)
			ratios = append(ratios, fmt.Sprintf("%.2f × %s (%.2f)", ratio, r.name, r.most))
			within = within && ratio <= r.most
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%s\n", c.name, median(c.name), slices.Min(times[c.name]), strings.Join(ratios, ", "))
	}
	w.Flush()
	return within
}

// benches are the tables by name; each file adds its own in an init function.
var benches = map[string]func() bool{}

func main() {
	if len(os.Args) != 2 || benches[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "Usage: go run ./bench syslog")
		os.Exit(2)
	}
	if !benches[os.Args[1]]() {
		os.Exit(1)
	}
}
