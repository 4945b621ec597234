// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of a table: what was measured, once in each round.
type row struct {
	name    string
	samples []time.Duration
	rivals  []rival
	note    string
	late    []time.Duration // of a start: how long its launcher had exited when the daemon was up
}

// A rival is the row that a row is compared with, and the most that it may
// take of that row's time; 0 for no limit.
type rival struct {
	name string
	most float64
	row  *row // one that is not in the table; nil: the table's by that name
}

// printRows prints medians and minima, and each row's ratios to its rivals. A
// ratio is the median of those of the single rounds: what slows the machine
// down for a while slows both sides. It is false when one is above its limit.
func printRows(title string, rows []*row) bool {
	within := true
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmedian\tfastest\tratios (limit)\t")
	for _, r := range rows {
		if len(r.samples) == 0 {
			continue
		}
		var ratios []string
		for _, rival := range r.rivals {
			other := rival.row
			if i := slices.IndexFunc(rows, func(o *row) bool { return o.name == rival.name && o != r }); i >= 0 && other == nil {
				other = rows[i]
			}
			if other == nil || len(other.samples) == 0 {
				continue
			}
			n := ratio(r.samples, other.samples)
			text := fmt.Sprintf("%.2f × %s", n, rival.name)
			if rival.most > 0 {
				text += fmt.Sprintf(" (%.2f)", rival.most)
				if n > rival.most {
					text += " TOO MUCH"
					within = false
				}
			}
			ratios = append(ratios, text)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.name, pretty(median(r.samples)), pretty(slices.Min(r.samples)), strings.Join(ratios, ", "), r.note)
	}
	w.Flush()
	return within
}

// A contender is a row for what can be called many times: measure calls it n
// times and tells how long that took.
type contender struct {
	name    string
	measure func(n int) time.Duration
	rivals  []rival
}

// printTable measures the contenders in turn, rounds times over, so that what
// else the machine does meets all of them, and prints the time of one call. It
// is false when a ratio is above its limit.
func printTable(title string, contenders []contender, rounds, n int) bool {
	rows := make([]*row, len(contenders))
	for i, c := range contenders {
		rows[i] = &row{name: c.name, rivals: c.rivals}
	}
	for range rounds {
		for i, c := range contenders {
			rows[i].samples = append(rows[i].samples, c.measure(n)/time.Duration(n))
		}
	}
	return printRows(fmt.Sprintf("%s: one call, %d rounds of %d", title, rounds, n), rows)
}

func median[T time.Duration | float64](samples []T) T {
	s := slices.Sorted(slices.Values(samples))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratio is the median of the rounds' ratios.
func ratio(samples, rival []time.Duration) float64 {
	ratios := make([]float64, min(len(samples), len(rival)))
	for i := range ratios {
		ratios[i] = float64(samples[i]) / float64(rival[i])
	}
	return median(ratios)
}

// pretty keeps three or four digits.
func pretty(d time.Duration) string {
	switch {
	case d.Abs() < 10*time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d.Abs() < time.Millisecond:
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	case d.Abs() < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
