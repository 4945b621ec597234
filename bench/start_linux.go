// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The tables start and forkfirst: until a daemon is up, and until it is gone.
//
// A start begins with the exec of the program and ends when it has exited and
// the daemon is up, whichever is later. A stop ends when the program has
// exited and the daemon is gone.
//
// They need gcc, and for the peers golang-github-sevlyar-go-daemon-dev and
// golang-github-vividcortex-godaemon-dev of Debian; what is missing is left
// out, with a message. As root the daemons are in namespaces of their own; as
// anyone else their messages go to the machine's syslog.

func init() {
	benches["start"] = withHarness(func(h *harness) (bool, error) { return starts(h, "start", startWays) })
	benches["forkfirst"] = withHarness(func(h *harness) (bool, error) { return starts(h, "forkfirst", forkFirstWays) })
}

// The most that a stop may take, times one run of the same program.
const mostStop = 1.4

// way is one way to a daemon.
type way struct {
	name    string
	program string
	start   string // the argument that starts the daemon
	stop    string // the one that stops it; "": it has none
	ours    bool   // this library's: the limits are for these
	env     string // one more variable
	against bool   // the program of the other checkout
}

const nameC, nameGoDaemon = "C, daemon(3)", "go-daemon, with a pidfile"

var startWays = []way{
	{name: nameC, program: "C", start: "start"},
	{name: "this library, cgo: Daemon", program: "cgo", start: "daemon", ours: true},
	{name: "this library, cgo: service", program: "cgo", start: "start", stop: "stop", ours: true},
	{name: "this library, static: Daemon", program: "static", start: "daemon", ours: true},
	{name: "this library, static: service", program: "static", start: "start", stop: "stop", ours: true},
	{name: "this library, pure Go: Daemon", program: "pure Go", start: "daemon", ours: true},
	{name: "this library, pure Go: service", program: "pure Go", start: "start", stop: "stop", ours: true},
	{name: nameGoDaemon, program: "go-daemon", start: "start", stop: "stop"},
	{name: "godaemon", program: "godaemon", start: "start"},
}

var forkFirstWays = []way{
	{name: nameC, program: "C", start: "start"},
	{name: "forkfirst: Daemon", program: "forkfirst", start: "start", env: "BENCH_START=daemon", ours: true},
	{name: "forkfirst: service", program: "forkfirst", start: "start", stop: "stop", ours: true},
	{name: "forkfirst, static: Daemon", program: "forkfirst static", start: "start", env: "BENCH_START=daemon", ours: true},
	{name: "forkfirst, static: service", program: "forkfirst static", start: "start", stop: "stop", ours: true},
	{name: "this library, cgo: Daemon", program: "cgo", start: "daemon", ours: true},
	{name: "this library, cgo: service", program: "cgo", start: "start", stop: "stop", ours: true},
	{name: nameGoDaemon, program: "go-daemon", start: "start", stop: "stop"},
}

// measured is what the rounds tell of a way.
type measured struct {
	way
	h        *harness
	path     string
	up, down row
	after    []time.Duration // how long its stop had exited when it was gone
}

func newMeasured(h *harness, w way, floors *floors) *measured {
	m := &measured{way: w, h: h, path: h.program(w.program, w.against)}
	if w.env != "" {
		other := *h
		other.env = append(slices.Clone(h.env), w.env)
		m.h = &other
	}
	m.down.rivals = []rival{{name: "one run, " + w.program}}
	if w.ours {
		m.up.rivals = append(m.up.rivals, floors.rival(w.program, w.stop != ""))
		m.down.rivals[0].most = mostStop
	}
	if w.against {
		m.name += againstSuffix
		m.up.rivals, m.down.rivals = nil, nil // its limits were others
	}
	if w.name != nameC {
		m.up.rivals = append(m.up.rivals, rival{name: nameC})
	}
	m.up.name, m.down.name = m.name, m.name
	return m
}

// starts measures ways and prints their starts and stops.
func starts(h *harness, table string, ways []way) (within bool, err error) {
	floors := newFloors()
	todo := []func() error{func() error { return floors.round(h) }} // all that a round measures
	once := map[string]*row{}
	var all []*measured
	for _, w := range ways {
		if h.programs[w.program] == "" {
			continue
		}
		m := newMeasured(h, w, floors)
		all = append(all, m)
		todo = append(todo, m.round)
		if w.ours && h.against != nil {
			w.against = true
			before := newMeasured(h, w, floors)
			all = append(all, before)
			todo = append(todo, before.round)
			m.up.rivals = append(m.up.rivals, against(&before.up))
			m.down.rivals = append(m.down.rivals, against(&before.down))
		}
		if w.stop != "" && once[w.program] == nil {
			one := &row{name: "one run, " + w.program}
			once[w.program] = one
			todo = append(todo, func() error {
				took, err := h.run(h.programs[w.program], "nothing")
				one.samples = append(one.samples, took)
				return err
			})
		}
	}

	const warmup = 3
	for round := range warmup + *rounds {
		for _, i := range rand.Perm(len(todo)) {
			if err := todo[i](); err != nil {
				return false, err
			}
		}
		if round == warmup-1 {
			for _, r := range floors.rows {
				r.samples, r.late = nil, nil
			}
			for _, r := range once {
				r.samples = nil
			}
			for _, m := range all {
				m.up.samples, m.up.late, m.down.samples, m.after = nil, nil, nil, nil
			}
		}
	}

	// The floors and each program's run, then the daemons.
	startRows := floors.list()
	var stopRows []*row
	for _, w := range ways {
		if one := once[w.program]; one != nil && !slices.Contains(stopRows, one) {
			stopRows = append(stopRows, one)
		}
	}
	for _, m := range all {
		m.up.note = noteLate(m.up.late)
		startRows = append(startRows, &m.up)
		if m.stop == "" {
			continue
		}
		stopRows = append(stopRows, &m.down)
		if after := median(m.after); after > 100*time.Microsecond {
			m.down.note = fmt.Sprintf("exits %s before it is gone", pretty(after))
		}
	}
	started := printRows(fmt.Sprintf("%s: until the program has exited and the daemon is up, %d rounds", table, *rounds), startRows)
	stopped := printRows(fmt.Sprintf("%s: stop: until the program has exited and the idle daemon is gone, %d rounds", table, *rounds), stopRows)
	return started && stopped, nil
}

// round starts the daemon and stops it.
func (m *measured) round() error {
	d, err := m.h.start(m.path, m.start)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.up.samples, m.up.late = append(m.up.samples, d.up), append(m.up.late, d.up-d.exited)
	if m.stop == "" {
		return m.h.kill(d)
	}
	took, waited, err := m.h.stop(d, m.path, m.stop)
	m.down.samples = append(m.down.samples, took)
	m.after = append(m.after, waited)
	return err
}
