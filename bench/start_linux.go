package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The table start: until a daemon is up, and until it is gone.
//
// A start begins with the exec of the program and ends when it has exited and
// the daemon is up, whichever is later. A stop ends when the program has
// exited and the daemon is gone. A Go program cannot fork: to become a daemon
// it has to be run again, so a start costs two runs of it at least, and a stop one.
//
// It needs gcc, and for the peers golang-github-sevlyar-go-daemon-dev and
// golang-github-vividcortex-godaemon-dev of Debian; what is missing is left
// out, with a message. As root its daemons are in namespaces of their own; as
// anyone else their messages go to the machine's syslog.

func init() {
	benches["start"] = withHarness(starts)
}

// The limits that the library has set itself.
const (
	mostStart = 1.25                 // times two runs of the program, with cgo
	mostStop  = 2 * time.Millisecond // above one run of the program
)

// way is one way to a daemon.
type way struct {
	name    string
	program string
	start   string // the argument that starts the daemon
	stop    string // the one that stops it; "": it has none
	ours    bool   // the limits are for this library
}

var ways = []way{
	{"C, daemon(3)", "C", "start", "", false},
	{"this library, cgo: Daemon", "cgo", "daemon", "", true},
	{"this library, cgo: service", "cgo", "start", "stop", true},
	{"this library, static: Daemon", "static", "daemon", "", true},
	{"this library, static: service", "static", "start", "stop", true},
	{"this library, pure Go: Daemon", "pure Go", "daemon", "", true},
	{"this library, pure Go: service", "pure Go", "start", "stop", true},
	{"go-daemon, with a pidfile", "go-daemon", "start", "stop", false},
	{"godaemon", "godaemon", "start", "", false},
}

// measured is what the rounds tell of a way.
type measured struct {
	way
	up, down     row
	early, after []time.Duration // how long its launcher had exited when it was up; its stop, when it was gone
}

func starts(h *harness) (within bool, err error) {
	var todo []func() error // all that a round measures
	once, twice := map[string]*row{}, map[string]*row{}
	for _, name := range programNames {
		path := h.programs[name]
		if path == "" {
			continue
		}
		one, two := &row{name: "one run, " + name}, &row{name: "two runs, " + name}
		once[name], twice[name] = one, two
		todo = append(todo, func() error {
			a, err := h.run(path, "nothing")
			if err != nil {
				return err
			}
			b, err := h.run(path, "nothing")
			one.samples, two.samples = append(one.samples, a), append(two.samples, a+b)
			return err
		})
	}
	var all []*measured
	for _, w := range ways {
		path := h.programs[w.program]
		if path == "" {
			continue
		}
		m := &measured{way: w}
		most := 0.0
		if w.ours && w.program != "pure Go" {
			most = mostStart
		}
		m.up = row{name: w.name, rivals: []rival{{name: twice[w.program].name, most: most}, {name: ways[0].name}}}
		m.down = row{name: w.name, rivals: []rival{{name: once[w.program].name}}}
		all = append(all, m)
		todo = append(todo, func() error { return m.round(h, path) })
	}

	const warmup = 3
	for round := range warmup + *rounds {
		for _, i := range rand.Perm(len(todo)) {
			if err := todo[i](); err != nil {
				return false, err
			}
		}
		if round == warmup-1 {
			for _, name := range programNames {
				if once[name] != nil {
					once[name].samples, twice[name].samples = nil, nil
				}
			}
			for _, m := range all {
				m.up.samples, m.down.samples, m.early, m.after = nil, nil, nil, nil
			}
		}
	}

	// Each program's runs, then the daemons.
	var startRows, stopRows []*row
	for _, name := range programNames {
		if once[name] == nil {
			continue
		}
		startRows = append(startRows, twice[name])
		for _, m := range all {
			if m.program == name && m.stop != "" {
				stopRows = append(stopRows, once[name])
			}
		}
	}
	within = true
	for _, m := range all {
		startRows = append(startRows, &m.up)
		if early := median(m.early); early > 100*time.Microsecond {
			m.up.note = fmt.Sprintf("exits %s before it is up", pretty(early))
		}
		if m.stop == "" {
			continue
		}
		stopRows = append(stopRows, &m.down)
		more := median(m.down.samples) - median(once[m.program].samples)
		m.down.note = "a run and " + pretty(more)
		if m.ours {
			m.down.note += fmt.Sprintf(" (%s)", pretty(mostStop))
			within = within && more <= mostStop
		}
		if after := median(m.after); after > 100*time.Microsecond {
			m.down.note += fmt.Sprintf(", exits %s before it is gone", pretty(after))
		}
	}
	started := printRows(fmt.Sprintf("start: until the program has exited and the daemon is up, %d rounds", *rounds), startRows)
	stopped := printRows(fmt.Sprintf("stop: until the program has exited and the idle daemon is gone, %d rounds", *rounds), stopRows)
	return within && started && stopped, nil
}

// round starts the daemon and stops it.
func (m *measured) round(h *harness, path string) error {
	d, err := h.start(path, m.start)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.up.samples = append(m.up.samples, d.up)
	m.early = append(m.early, d.up-d.exited)
	if m.stop == "" {
		return h.kill(d)
	}
	took, waited, err := h.stop(d, path, m.stop)
	m.down.samples = append(m.down.samples, took)
	m.after = append(m.after, waited)
	return err
}
