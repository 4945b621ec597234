// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"slices"
	"time"
)

// The floors: what a start cannot undercut, measured in the same rounds.
//
// One boot of the Go runtime and daemon(3) is the program in testdata/floor. A
// start by re-execution has one more boot, that of the launcher, and a start
// in pure Go three: launcher, session leader, daemon. The limit for pure Go is in
// runs of this library's own program that does nothing: an empty program without
// cgo does not even have package os. Its three runs are shown for scale.

const (
	floorFork         = "floor"
	floorForkStatic   = "floor, static"
	floorReexec       = "floor and an empty run"
	floorReexecStatic = "floor and an empty run, static"
	floorPure         = "three runs that do nothing, pure Go"
	floorPureEmpty    = "three runs of an empty program, pure Go"
)

var floorNames = []string{floorFork, floorForkStatic, floorReexec, floorReexecStatic, floorPureEmpty, floorPure}

// floors are the rows of the floors.
type floors struct{ rows map[string]*row }

func newFloors() *floors {
	f := &floors{map[string]*row{}}
	for _, name := range floorNames {
		f.rows[name] = &row{name: name}
	}
	return f
}

// round measures all of them once; what could not be built is left out.
func (f *floors) round(h *harness) error {
	for _, b := range []struct{ program, empty, fork, reexec string }{
		{"floor", "empty cgo", floorFork, floorReexec},
		{"floor static", "empty static", floorForkStatic, floorReexecStatic},
	} {
		if h.programs[b.program] == "" || h.programs[b.empty] == "" {
			continue
		}
		d, err := h.start(h.programs[b.program])
		if err != nil {
			return err
		}
		if err := h.kill(d); err != nil {
			return err
		}
		empty, err := h.run(h.programs[b.empty])
		if err != nil {
			return err
		}
		fork, reexec := f.rows[b.fork], f.rows[b.reexec]
		fork.samples, reexec.samples = append(fork.samples, d.up), append(reexec.samples, d.up+empty)
		fork.late = append(fork.late, d.up-d.exited)
	}
	for _, b := range []struct{ program, name string }{{"empty pure Go", floorPureEmpty}, {"pure Go", floorPure}} {
		if h.programs[b.program] == "" {
			continue
		}
		var sum time.Duration
		for range 3 {
			took, err := h.run(h.programs[b.program], "nothing")
			if err != nil {
				return err
			}
			sum += took
		}
		f.rows[b.name].samples = append(f.rows[b.name].samples, sum)
	}
	return nil
}

// list are the rows that were measured, in the order of the tables.
func (f *floors) list() []*row {
	var rows []*row
	for _, name := range floorNames {
		if r := f.rows[name]; len(r.samples) > 0 {
			r.note = noteLate(r.late)
			rows = append(rows, r)
		}
	}
	return rows
}

// A start's floor, and the most that the library may take of it. 0: no limit
// is set.
var startLimits = map[string]struct {
	floor           string
	daemon, service float64
}{
	"cgo":              {floorReexec, 1.15, 1.45},
	"static":           {floorReexecStatic, 0, 1.45},
	"pure Go":          {floorPure, 1.05, 1.45},
	"forkfirst":        {floorFork, 1.25, 1.8},
	"forkfirst static": {floorForkStatic, 1.25, 1.8},
}

// rival is the floor of a start of this library's program, with its limit.
func (f *floors) rival(program string, service bool) rival {
	l := startLimits[program]
	most := l.daemon
	if service {
		most = l.service
	}
	return rival{name: l.floor, most: most, row: f.rows[l.floor]}
}

// noteLate says of a launcher that it exits before its daemon is up.
func noteLate(late []time.Duration) string {
	late = slices.Clone(late)
	if len(late) == 0 {
		return ""
	}
	if m := median(late); m > 100*time.Microsecond {
		return "exits " + pretty(m) + " before it is up"
	}
	return ""
}
