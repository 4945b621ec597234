package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// tool is one way to a daemon and what it has for its administrator: commands, nil
// where it has none.
type tool struct {
	name       string
	once       []string // a run of the same program that does nothing, and succeeds
	start      []string
	status     []string
	restart    []string
	stop       []string
	statusNote string // what its status does not prove
}

// findTools are all that the machine has; it says what is missing. Their
// pidfiles are in the lab's directory.
func findTools(l *lab) []tool {
	var tools []tool
	add := func(program string, t tool) {
		path := l.programs[program]
		if path == "" {
			return // it was said
		}
		t.once = []string{path, "nothing"}
		for _, c := range []*[]string{&t.start, &t.status, &t.restart, &t.stop} {
			if *c != nil {
				*c = append([]string{path}, *c...)
			}
		}
		tools = append(tools, t)
	}
	find := func(name, debian string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: left out: %s: apt-get install %s\n", name, debian)
		}
		return path
	}
	add("C", tool{name: "C, daemon(3)", start: []string{"start"}})
	for _, build := range []string{"cgo", "static", "pure Go"} {
		add(build, tool{name: "this library, " + build + ": Daemon", start: []string{"daemon"}})
		add(build, tool{name: "this library, " + build + ": service", start: []string{"start"}, status: []string{"status"}, restart: []string{"restart"}, stop: []string{"stop"}})
	}
	add("go-daemon", tool{name: "go-daemon, with a pidfile", start: []string{"start"}, status: []string{"status"}, stop: []string{"stop"}, statusNote: "any process with that pid will do"})
	add("godaemon", tool{name: "godaemon", start: []string{"start"}})

	const python = "/usr/bin/python3" // the one that Debian's packages are for
	if source, err := unpack(l.built, "python-daemon"); err == nil && exec.Command(python, "-I", "-c", "import daemon.pidfile").Run() == nil {
		script := []string{python, "-I", filepath.Join(source, "main.py")}
		tools = append(tools, tool{name: "python3-daemon", once: append(script, "nothing"), start: append(script[:3:3], "start")})
	} else {
		fmt.Fprintln(os.Stderr, "bench: left out: python3-daemon: apt-get install python3-daemon")
	}
	own := l.dir
	if ssd := find("start-stop-daemon", "dpkg"); ssd != "" {
		for _, p := range []struct{ name, path, argument string }{
			{theirs, l.programs["C"], "run"},
			{theirs + ", Go program", l.programs["pure Go"], "bare"},
		} {
			if p.path == "" {
				continue
			}
			name := filepath.Join(own, "ssd-"+p.argument+".pid")
			t := tool{name: p.name, once: []string{ssd, "--version"}, statusNote: "any process with that pid will do"}
			t.start = []string{ssd, "--start", "--background", "--quiet", "--make-pidfile", "--pidfile", name, "--exec", p.path, "--", p.argument}
			t.status = []string{ssd, "--status", "--pidfile", name}
			t.stop = []string{ssd, "--stop", "--quiet", "--retry", "TERM/4/KILL/2", "--remove-pidfile", "--pidfile", name}
			tools = append(tools, t)
		}
	}
	if daemonize := find("daemonize", "daemonize"); daemonize != "" && l.programs["C"] != "" {
		tools = append(tools, tool{name: "daemonize(1)", start: []string{daemonize, "-p", filepath.Join(own, "daemonize.pid"), "-l", filepath.Join(own, "daemonize.lock"), l.programs["C"], "run"}})
	}
	return tools
}
