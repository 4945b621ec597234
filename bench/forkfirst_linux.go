package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// The table forkfirst: the same start, with package forkfirst and without it.
// Its limits are those that the package has set itself; the run of an empty
// program is for scale. README.md tells where the time goes.

func init() {
	benches["forkfirst"] = withHarness(forkFirst)
}

func forkFirst(plain *harness) (within bool, err error) {
	const c, goDaemon = "C, daemon(3)", "go-daemon, with a pidfile"
	vs := func(names ...string) (rivals []rival) {
		for _, name := range names {
			rivals = append(rivals, rival{name: name})
		}
		return rivals
	}
	limits := func(most float64) []rival { return []rival{{name: c, most: most}, {name: goDaemon, most: 0.75}} }
	var rows []*row
	var todo []func() error
	for _, w := range []struct {
		program, argument, env string
		row                    row
	}{
		{"C", "start", "", row{name: c}},
		{"cgo", "daemon", "", row{name: "cgo: Daemon", rivals: vs(c, goDaemon)}},
		{"forkfirst", "start", "BENCH_START=daemon", row{name: "forkfirst: Daemon", rivals: limits(2.5)}},
		{"forkfirst static", "start", "BENCH_START=daemon", row{name: "forkfirst, static: Daemon", rivals: limits(2.3)}},
		{"cgo", "start", "", row{name: "cgo: service", rivals: vs(c, goDaemon)}},
		{"forkfirst", "start", "", row{name: "forkfirst: service", rivals: vs(c, goDaemon)}},
		{"forkfirst static", "start", "", row{name: "forkfirst, static: service", rivals: vs(c, goDaemon)}},
		{"pure Go", "daemon", "", row{name: "pure Go: Daemon", rivals: vs(c, goDaemon)}},
		{"go-daemon", "start", "", row{name: goDaemon}},
		{"empty cgo", "nothing", "", row{name: "one run, empty program with cgo", rivals: vs(c)}},
		{"empty static", "nothing", "", row{name: "one run, the same static", rivals: vs(c)}},
		{"cgo", "nothing", "", row{name: "one run, cgo", rivals: vs(c)}},
		{"static", "nothing", "", row{name: "one run, static", rivals: vs(c)}},
		{"pure Go", "nothing", "", row{name: "one run, pure Go", rivals: vs(c)}},
	} {
		path := plain.programs[w.program]
		if path == "" {
			continue
		}
		h := *plain
		if w.env != "" {
			h.env = append(slices.Clone(plain.env), w.env)
		}
		r := &w.row
		rows = append(rows, r)
		todo = append(todo, func() error {
			if w.argument == "nothing" {
				took, err := h.run(path, w.argument)
				r.samples = append(r.samples, took)
				return err
			}
			d, err := h.start(path, w.argument)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			r.samples = append(r.samples, d.up)
			return h.kill(d)
		})
	}
	const warmup = 3
	for round := range warmup + *rounds {
		for _, i := range rand.Perm(len(todo)) {
			if err := todo[i](); err != nil {
				return false, err
			}
		}
		if round == warmup-1 {
			for _, r := range rows {
				r.samples = nil
			}
		}
	}
	return printRows(fmt.Sprintf("forkfirst: until the program has exited and the daemon is up, %d rounds", *rounds), rows), nil
}
