// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// commands are one way to a daemon, and what it has for its administrator; nil
// where it has none.
type commands struct {
	name       string
	program    string   // this library's, by its name; "" for others
	before     string   // the name of the same of the checkout of -against, if there is one
	once       []string // a run of the same program that does nothing, and succeeds
	start      []string
	status     []string
	restart    []string
	stop       []string
	statusNote string // what its status does not prove
}

// findCommands are all that the machine has; it says what is missing. Their
// pidfiles are in the directory of the harness.
func findCommands(h *harness) []commands {
	var all []commands
	add := func(path string, t commands) {
		if path == "" {
			return // it was said
		}
		if !strings.HasPrefix(t.name, floorFork) { // the floor knows no arguments
			t.once = []string{path, "nothing"}
		}
		for _, c := range []*[]string{&t.start, &t.status, &t.restart, &t.stop} {
			if *c != nil {
				*c = append([]string{path}, *c...)
			}
		}
		all = append(all, t)
	}
	find := func(name, debian string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: left out: %s: apt-get install %s\n", name, debian)
		}
		return path
	}
	add(h.programs["C"], commands{name: nameC, start: []string{"start"}})
	add(h.programs["floor"], commands{name: floorFork, start: []string{"start"}})
	add(h.programs["floor static"], commands{name: floorForkStatic, start: []string{"start"}})
	for _, build := range []string{"cgo", "static", "pure Go"} {
		name := "this library, " + build + ": "
		for _, c := range []commands{
			{name: name + "Daemon", start: []string{"daemon"}},
			{name: name + "service", start: []string{"start"}, status: []string{"status"}, restart: []string{"restart"}, stop: []string{"stop"}},
		} {
			before := c
			if c.program = build; h.against != nil {
				c.before = c.name + againstSuffix
			}
			add(h.programs[build], c)
			before.name = c.before
			add(h.against[build], before)
		}
	}
	add(h.programs["go-daemon"], commands{name: nameGoDaemon, start: []string{"start"}, status: []string{"status"}, stop: []string{"stop"}, statusNote: "any process with that pid will do"})
	add(h.programs["godaemon"], commands{name: "godaemon", start: []string{"start"}})

	const python = "/usr/bin/python3" // the one that Debian's packages are for
	if source, err := unpack(h.built, "python-daemon"); err == nil && exec.Command(python, "-I", "-c", "import daemon.pidfile").Run() == nil {
		script := []string{python, "-I", filepath.Join(source, "main.py")}
		all = append(all, commands{name: "python3-daemon", once: append(script, "nothing"), start: append(script[:3:3], "start")})
	} else {
		fmt.Fprintln(os.Stderr, "bench: left out: python3-daemon: apt-get install python3-daemon")
	}
	own := h.dir
	if ssd := find("start-stop-daemon", "dpkg"); ssd != "" {
		for _, p := range []struct{ name, path, argument string }{
			{theirs, h.programs["C"], "run"},
			{theirs + ", Go program", h.programs["pure Go"], "bare"},
		} {
			if p.path == "" {
				continue
			}
			name := filepath.Join(own, "ssd-"+p.argument+".pid")
			t := commands{name: p.name, once: []string{ssd, "--version"}, statusNote: "any process with that pid will do"}
			t.start = []string{ssd, "--start", "--background", "--quiet", "--make-pidfile", "--pidfile", name, "--exec", p.path, "--", p.argument}
			t.status = []string{ssd, "--status", "--pidfile", name}
			t.stop = []string{ssd, "--stop", "--quiet", "--retry", "TERM/4/KILL/2", "--remove-pidfile", "--pidfile", name}
			all = append(all, t)
		}
	}
	if daemonize := find("daemonize", "daemonize"); daemonize != "" && h.programs["C"] != "" {
		all = append(all, commands{name: "daemonize(1)", start: []string{daemonize, "-p", filepath.Join(own, "daemonize.pid"), "-l", filepath.Join(own, "daemonize.lock"), h.programs["C"], "run"}})
	}
	return all
}
