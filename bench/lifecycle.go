//go:build linux

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one way to a daemon.
type contender struct {
	name    string
	program string
	start   string // the argument that starts the daemon
	stop    string // the one that stops it; "": it has none
}

var contenders = []contender{
	{"C, daemon(3)", "C", "start", ""},
	{"this library, cgo: Daemon", "cgo", "daemon", ""},
	{"this library, cgo: service", "cgo", "start", "stop"},
	{"this library, static: Daemon", "static", "daemon", ""},
	{"this library, static: service", "static", "start", "stop"},
	{"this library, pure Go: Daemon", "pure Go", "daemon", ""},
	{"this library, pure Go: service", "pure Go", "start", "stop"},
	{"go-daemon, with a pidfile", "go-daemon", "start", "stop"},
	{"godaemon", "godaemon", "start", ""},
}

// lifecycle measures start and stop.
//
// A start begins with the exec of the program and ends when it has exited and
// the daemon is up, whichever is later. A stop ends when the program has
// exited and the daemon is gone. A Go program cannot fork: to become a daemon it has
// to be run again, so a start costs two runs of it at least, and a stop one.
func lifecycle(b *bench) error {
	programs := buildAll(b.dir)
	lab, err := newLab(filepath.Join(b.dir, "run"))
	if err != nil {
		return err
	}
	defer lab.close()

	// What there is to measure in a round. Row i of all tables has one sample a round.
	var starts, stops, runs []*row
	var todo []func() error
	for _, name := range programNames {
		path := programs[name]
		if path == "" {
			continue
		}
		twice, once := &row{name: "two runs, " + name}, &row{name: "one run, " + name}
		runs = append(runs, twice, once)
		todo = append(todo, func() error {
			first, err := lab.run(path, "nothing")
			if err != nil {
				return err
			}
			second, err := lab.run(path, "nothing")
			twice.samples = append(twice.samples, first+second)
			once.samples = append(once.samples, first)
			return err
		})
		starts = append(starts, twice)
		if name != "C" && name != "godaemon" {
			stops = append(stops, once)
		}
	}
	var notes []func()
	for _, c := range contenders {
		path := programs[c.program]
		if path == "" {
			continue
		}
		up := &row{name: c.name, baselines: []string{"two runs, " + c.program, "C, daemon(3)"}}
		down := &row{name: c.name, baselines: []string{"one run, " + c.program}}
		var early, after []time.Duration
		starts = append(starts, up)
		if c.stop != "" {
			stops = append(stops, down)
		}
		todo = append(todo, func() error {
			d, err := lab.start(path, c.start)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			up.samples = append(up.samples, d.up)
			early = append(early, d.up-d.exited)
			if c.stop == "" {
				return lab.kill(d)
			}
			t, waited, err := lab.stop(d, path, c.stop)
			down.samples = append(down.samples, t)
			after = append(after, waited)
			return err
		})
		notes = append(notes, func() {
			if e := median(early); e > 100*time.Microsecond {
				up.note = fmt.Sprintf("exits %s before its daemon is up", pretty(e))
			}
			if len(after) > 0 {
				one := find(runs, "one run, "+c.program)
				down.note = fmt.Sprintf("one run and %s", pretty(median(down.samples)-median(one.samples)))
				if w := median(after); w > 100*time.Microsecond {
					down.note += fmt.Sprintf("; exits %s before its daemon is gone", pretty(w))
				}
			}
		})
	}

	const warmup = 3
	for round := range warmup + b.rounds {
		for _, i := range rand.Perm(len(todo)) {
			if err := todo[i](); err != nil {
				return err
			}
		}
		if round == warmup-1 {
			for _, r := range append(append(starts, stops...), runs...) {
				r.samples = nil
			}
		}
	}
	for _, note := range notes {
		note()
	}
	if b.wanted["start"] {
		printTable(os.Stdout, fmt.Sprintf("start: until the program has exited and the daemon is up, %d rounds", b.rounds), starts)
	}
	if b.wanted["stop"] {
		printTable(os.Stdout, fmt.Sprintf("stop: until the program has exited and the idle daemon is gone, %d rounds", b.rounds), stops)
	}
	return nil
}

func find(rows []*row, name string) *row {
	for _, r := range rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

// lab is where daemons are started and stopped.
type lab struct {
	env   []string
	ready *os.File // the FIFO that they write their pids to
	lines *bufio.Reader
	null  *os.File
}

func newLab(dir string) (*lab, error) {
	fifo := filepath.Join(dir, "ready")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		return nil, err
	}
	if err := os.Chmod(fifo, 0o666); err != nil { // despite the umask
		return nil, err
	}
	// Both ends: it never comes to its end, and nobody waits in open. Blocking
	// reads, without Go's poller: os.NewFile takes it as it is.
	fd, err := unix.Open(fifo, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	l := &lab{ready: os.NewFile(uintptr(fd), fifo), null: null}
	l.lines = bufio.NewReader(l.ready)
	l.env = []string{"PATH=" + os.Getenv("PATH"), "BENCH_READY=" + fifo, "BENCH_DIR=" + dir}
	return l, nil
}

func (l *lab) close() {
	l.ready.Close()
	l.null.Close()
}

// run runs a program and tells how long it took.
func (l *lab) run(path, argument string) (time.Duration, error) {
	start := time.Now()
	p, err := os.StartProcess(path, []string{path, argument}, &os.ProcAttr{Env: l.env, Files: []*os.File{l.null, l.null, os.Stderr}})
	if err != nil {
		return 0, err
	}
	state, err := p.Wait()
	took := time.Since(start)
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s %s: %v", path, argument, state)
	}
	return took, err
}

// daemon is one that was started.
type daemon struct {
	pidfd      int
	exited, up time.Duration // since the exec of its launcher
}

func (l *lab) start(path, argument string) (d daemon, err error) {
	start := time.Now()
	if d.exited, err = l.run(path, argument); err != nil {
		return d, err
	}
	line, err := l.lines.ReadString('\n')
	d.up = time.Since(start)
	if err != nil {
		return d, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return d, err
	}
	d.pidfd, err = unix.PidfdOpen(pid, 0)
	return d, err
}

// stop stops a daemon by its program; waited is how long it lived after that had exited.
func (l *lab) stop(d daemon, path, argument string) (took, waited time.Duration, err error) {
	start := time.Now()
	exited, err := l.run(path, argument)
	if err != nil {
		return 0, 0, err
	}
	err = l.gone(d)
	took = time.Since(start)
	return took, took - exited, err
}

// kill ends a daemon that knows no stop.
func (l *lab) kill(d daemon) error {
	if err := unix.PidfdSendSignal(d.pidfd, unix.SIGKILL, nil, 0); err != nil {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return l.gone(d)
}

func (l *lab) gone(d daemon) error {
	defer unix.Close(d.pidfd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(d.pidfd), Events: unix.POLLIN}}, 10000)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("poll", err)
		case n == 0:
			return fmt.Errorf("the daemon did not end in 10 s")
		default:
			return nil
		}
	}
}
