//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of a table: what was measured, once in each round.
type row struct {
	name      string
	samples   []time.Duration
	baselines []string // names of rows of the same table that it is compared with
	note      string
}

// printTable prints the rows with their medians, their minima, and their ratios
// to the baselines. A ratio is the median of those of the single rounds:
// what disturbs the machine for a while disturbs both sides of it.
func printTable(w io.Writer, title string, rows []*row) {
	byName := map[string]*row{}
	columns := 0
	for _, r := range rows {
		byName[r.name] = r
		columns = max(columns, len(r.baselines))
	}
	fmt.Fprintf(w, "\n%s\n", title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tmedian\tmin%s\n", strings.Repeat("\t", columns+1))
	for _, r := range rows {
		if len(r.samples) == 0 {
			fmt.Fprintf(t, "%s\t-\t-%s%s\n", r.name, strings.Repeat("\t", columns+1), r.note)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s", r.name, pretty(median(r.samples)), pretty(slices.Min(r.samples)))
		for i := range columns {
			fmt.Fprint(t, "\t")
			if i >= len(r.baselines) {
				continue
			}
			if base := byName[r.baselines[i]]; base != nil && base != r && len(base.samples) > 0 {
				fmt.Fprintf(t, "%.2f × %s", ratio(r.samples, base.samples), r.baselines[i])
			}
		}
		fmt.Fprintf(t, "\t%s\n", r.note)
	}
	t.Flush()
}

func median[T time.Duration | float64](samples []T) T {
	s := slices.Sorted(slices.Values(samples))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratio is the median of the rounds' ratios.
func ratio(samples, baseline []time.Duration) float64 {
	ratios := make([]float64, min(len(samples), len(baseline)))
	for i := range ratios {
		ratios[i] = float64(samples[i]) / float64(baseline[i])
	}
	return median(ratios)
}

// pretty keeps three digits or so.
func pretty(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
