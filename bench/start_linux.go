package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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
	benches["start"] = func() bool {
		return ownNamespace(func() bool {
			within, err := starts()
			if err != nil {
				fmt.Fprintln(os.Stderr, "bench: start:", err)
			}
			return within && err == nil
		})
	}
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

func starts() (within bool, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // daemons that are not root any more go through it
		return false, err
	}
	programs := buildAll(dir)
	lab, err := newLab(filepath.Join(dir, "run"))
	if err != nil {
		return false, err
	}
	defer lab.close()

	var todo []func() error // all that a round measures
	once, twice := map[string]*row{}, map[string]*row{}
	for _, name := range programNames {
		path := programs[name]
		if path == "" {
			continue
		}
		one, two := &row{name: "one run, " + name}, &row{name: "two runs, " + name}
		once[name], twice[name] = one, two
		todo = append(todo, func() error {
			a, err := lab.run(path, "nothing")
			if err != nil {
				return err
			}
			b, err := lab.run(path, "nothing")
			one.samples, two.samples = append(one.samples, a), append(two.samples, a+b)
			return err
		})
	}
	var all []*measured
	for _, w := range ways {
		path := programs[w.program]
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
		todo = append(todo, func() error { return m.round(lab, path) })
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
func (m *measured) round(lab *lab, path string) error {
	d, err := lab.start(path, m.start)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.up.samples = append(m.up.samples, d.up)
	m.early = append(m.early, d.up-d.exited)
	if m.stop == "" {
		return lab.kill(d)
	}
	took, waited, err := lab.stop(d, path, m.stop)
	m.down.samples = append(m.down.samples, took)
	m.after = append(m.after, waited)
	return err
}

// lab is where daemons are started and stopped.
type lab struct {
	dir   string
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
	l := &lab{dir: dir, ready: os.NewFile(uintptr(fd), fifo), null: null}
	l.lines = bufio.NewReader(l.ready)
	l.env = []string{"PATH=" + os.Getenv("PATH"), "BENCH_READY=" + fifo, "BENCH_DIR=" + dir}
	return l, nil
}

func (l *lab) close() {
	l.ready.Close()
	l.null.Close()
}

// run runs a program and tells how long it took.
func (l *lab) run(command ...string) (time.Duration, error) {
	start := time.Now()
	p, err := os.StartProcess(command[0], command, &os.ProcAttr{Env: l.env, Files: []*os.File{l.null, l.null, os.Stderr}})
	if err != nil {
		return 0, err
	}
	state, err := p.Wait()
	took := time.Since(start)
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s: %v", strings.Join(command, " "), state)
	}
	return took, err
}

// daemon is one that was started.
type daemon struct {
	pid, pidfd int
	exited, up time.Duration // since the exec of its launcher
}

func (l *lab) start(command ...string) (d daemon, err error) {
	start := time.Now()
	if d.exited, err = l.run(command...); err != nil {
		return d, err
	}
	line, err := l.lines.ReadString('\n')
	d.up = time.Since(start)
	if err != nil {
		return d, err
	}
	if d.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		return d, err
	}
	d.pidfd, err = unix.PidfdOpen(d.pid, 0)
	return d, err
}

// stop stops a daemon by its program; waited is how long it lived after that had exited.
func (l *lab) stop(d daemon, command ...string) (took, waited time.Duration, err error) {
	start := time.Now()
	exited, err := l.run(command...)
	if err != nil {
		return 0, 0, err
	}
	err = l.gone(d)
	took = time.Since(start)
	return took, took - exited, err
}

// kill ends a daemon that knows no stop.
func (l *lab) kill(d daemon) error {
	if err := unix.PidfdSendSignal(d.pidfd, unix.SIGTERM, nil, 0); err != nil {
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
			return errors.New("the daemon did not end in 10 s")
		default:
			return nil
		}
	}
}
