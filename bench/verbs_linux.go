// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The table verbs: what an administrator waits for. It takes half as many
// rounds as start.
//
// It needs what start needs, dpkg's start-stop-daemon, and of Debian the
// packages daemonize and python3-daemon. Who has no restart gets the two
// commands of an init script. A run is one of the same program that does
// nothing: what its exec costs.

func init() {
	benches["verbs"] = withHarness(verbs)
}

// verbRows are the rows of one way to a daemon, one in each table.
type verbRows struct {
	commands
	one, exits, statuses, restarts, stops row
	late, after                           []time.Duration // from the launcher's exit until the daemon is up; from the stop's until it is gone
}

func verbs(h *harness) (bool, error) {
	found := findCommands(h)
	floors := newFloors()
	const warmup = 2
	n := max(*rounds/2, 1)
	all := make([]*verbRows, len(found))
	for round := range warmup + n {
		if round == 0 || round == warmup {
			for i, t := range found {
				all[i] = &verbRows{commands: t}
			}
			floors = newFloors()
		}
		if err := floors.round(h); err != nil {
			return false, err
		}
		for _, i := range rand.Perm(len(all)) {
			if err := all[i].round(h); err != nil {
				return false, fmt.Errorf("%s: %w", all[i].name, err)
			}
		}
	}
	within := true
	// most is the limit of this library's, in runs.
	table := func(title string, of func(*verbRows) *row, runs int, most float64, note func(*verbRows) string) {
		var rows []*row
		for _, v := range all {
			r := of(v)
			r.name, r.note = v.name, note(v)
			if len(v.one.samples) > 0 && len(r.samples) > 0 {
				once := &row{}
				for _, s := range v.one.samples {
					once.samples = append(once.samples, time.Duration(runs)*s)
				}
				r.rivals = []rival{{name: []string{"a run", "two runs"}[runs-1], row: once}}
				if v.program != "" {
					r.rivals[0].most = most
				}
			}
			if v.program != "" && r == &v.exits {
				r.rivals = append(r.rivals, floors.rival(v.program, v.stop != nil))
			}
			if i := slices.IndexFunc(all, func(o *verbRows) bool { return o.name == v.before }); v.before != "" && i >= 0 {
				r.rivals = append(r.rivals, against(of(all[i])))
			}
			if r.name != theirs {
				r.rivals = append(r.rivals, rival{name: theirs})
			}
			rows = append(rows, r)
		}
		within = printRows(fmt.Sprintf("%s, %d rounds", title, n), rows) && within
	}
	table("launcher exit: until the command to start has exited", func(v *verbRows) *row { return &v.exits }, 1, 0, func(v *verbRows) string {
		if late := median(v.late); late > 100*time.Microsecond {
			return "the daemon is up " + pretty(late) + " later"
		}
		return "the daemon is up"
	})
	table("status: of a daemon that runs", func(v *verbRows) *row { return &v.statuses }, 1, 0, func(v *verbRows) string { return v.statusNote })
	table("restart: until the command has exited and the new daemon is up", func(v *verbRows) *row { return &v.restarts }, 2, 0, func(v *verbRows) string {
		if v.restart == nil {
			return "a stop, a wait for the end, a start"
		}
		return ""
	})
	table("stop: until the command has exited and the daemon is gone", func(v *verbRows) *row { return &v.stops }, 1, mostStop, func(v *verbRows) string {
		if len(v.after) > 0 && median(v.after) > 100*time.Microsecond {
			return "exits " + pretty(median(v.after)) + " before it is gone"
		}
		return ""
	})
	return within, nil
}

// theirs is what everything is compared with: every Debian machine has it.
const theirs = "start-stop-daemon"

// round starts the daemon, looks at it, restarts it and stops it.
func (v *verbRows) round(h *harness) error {
	if v.once != nil {
		one, err := h.run(v.once...)
		if err != nil {
			return err
		}
		v.one.samples = append(v.one.samples, one)
	}
	d, err := h.start(v.start...)
	if err != nil {
		return err
	}
	v.exits.samples = append(v.exits.samples, d.exited)
	v.late = append(v.late, d.up-d.exited)
	if v.status != nil {
		took, err := h.run(v.status...)
		if err != nil {
			return err
		}
		v.statuses.samples = append(v.statuses.samples, took)
	}
	if v.stop == nil {
		return h.kill(d)
	}
	begin := time.Now()
	var next daemon
	if v.restart != nil {
		next, err = h.start(v.restart...)
		if err == nil {
			err = h.gone(d)
		}
	} else if _, _, err = h.stop(d, v.stop...); err == nil {
		next, err = h.start(v.start...)
	}
	if err != nil {
		return err
	}
	v.restarts.samples = append(v.restarts.samples, time.Since(begin))
	took, after, err := h.stop(next, v.stop...)
	v.stops.samples, v.after = append(v.stops.samples, took), append(v.after, after)
	return err
}
