// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The table scale: start, status and stop of one daemon while the machine
// grows, as ratios to the small machine. It needs root, for the account files
// and the limits of its namespaces, and gcc.
//
// Small and big machine take turns, so that what else the machine does meets
// both. Where the kernel's own cost grows, the row of C tells how much of it.

func init() { benches["scale"] = withHarness(scale) }

// The most that a verb may take on the big machine, times the small one.
const mostScale = 1.3

// growth is one way in which a machine grows.
type growth struct {
	name string
	// small and big bring the machine there; what they return undoes it.
	small, big func(*harness) (undo func() error, err error)
	verbs      []string // what is shown; nil: all
	c          string   // the program of C that shows what the kernel and libc take; "": none
}

func scale(h *harness) (bool, error) {
	if os.Getuid() != 0 {
		return false, errors.New("the table needs root: the account files and limits of a namespace of its own")
	}
	if h.programs["crowd"] == "" {
		return false, errors.New("the table needs gcc")
	}
	most, why, err := mostDescriptors()
	if err != nil {
		return false, err
	}
	within := true
	for _, g := range []growth{
		{name: "processes, 10 → 5,000", small: crowd("processes", 10), big: crowd("processes", 5000), c: "C"},
		{name: "flock(2) locks of others, 0 → 10,000", small: nothing, big: crowd("locks", 10000)},
		{name: "members of the group, 10 → 200,000, and the user's groups, 1 → 1,000", small: accounts(10, 1), big: accounts(200000, 1000), verbs: []string{"start"}, c: "accounts"},
		{name: fmt.Sprintf("RLIMIT_NOFILE, 1,024 → %d (%s)", most, why), small: descriptorLimit(1024), big: descriptorLimit(most), c: "C"},
		{name: "descriptors open in the launcher, 10 → 10,000", small: descriptors(10), big: descriptors(10000), verbs: []string{"start"}, c: "C"},
		{name: "descriptors open in the daemon, 10 → 10,000", small: variable("BENCH_DESCRIPTORS=10"), big: variable("BENCH_DESCRIPTORS=10000"), verbs: []string{"status", "stop"}},
		{name: "files in the pidfile's directory, 10 → 50,000", small: files(10), big: files(50000)},
	} {
		ok, err := g.measure(h)
		if err != nil {
			return false, fmt.Errorf("%s: %w", g.name, err)
		}
		within = within && ok
	}
	ok, err := sideBySide(h, 500)
	return within && ok, err
}

// measure has both machines take turns, twice each.
func (g growth) measure(plain *harness) (bool, error) {
	const turns, warmup = 2, 1
	n := max(*rounds/8, 1) // in a turn
	type cell struct{ small, big row }
	var names []string
	cells := map[string]*cell{}
	sample := func(name string, isBig, warm bool, took time.Duration) {
		if cells[name] == nil {
			names = append(names, name)
			cells[name] = &cell{}
		}
		r := &cells[name].small
		if isBig {
			r = &cells[name].big
		}
		if !warm {
			r.samples = append(r.samples, took)
		}
	}
	turn := func(isBig bool) (err error) {
		h := *plain
		prepare := g.small
		if isBig {
			prepare = g.big
		}
		undo, err := prepare(&h)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, undo()) }()
		for round := range warmup + n {
			warm := round < warmup
			if c := plain.programs[g.c]; c != "" {
				d, err := h.start(c, "start")
				if err != nil {
					return err
				}
				sample("start, C", isBig, warm, d.up)
				if err := h.kill(d); err != nil {
					return err
				}
			}
			for _, build := range []string{"cgo", "pure Go"} {
				took, err := h.life(h.programs[build])
				if err != nil {
					return fmt.Errorf("%s: %w", build, err)
				}
				for _, verb := range []string{"start", "status", "stop"} {
					if g.verbs == nil || slices.Contains(g.verbs, verb) {
						sample(verb+", "+build, isBig, warm, took[verb])
					}
				}
			}
		}
		return nil
	}
	for range turns {
		for _, isBig := range []bool{false, true} {
			if err := turn(isBig); err != nil {
				return false, err
			}
		}
	}
	var rows []*row
	for _, name := range names {
		c := cells[name]
		r := rival{name: "small", row: &c.small, most: mostScale}
		if strings.HasSuffix(name, ", C") {
			r.most = 0
		}
		c.big.name, c.big.rivals = name, []rival{r}
		c.big.note = pretty(median(c.small.samples)) + " on the small machine"
		rows = append(rows, &c.big)
	}
	return printRows(fmt.Sprintf("scale: %s, %d rounds", g.name, turns*n), rows), nil
}

// life is one start, status and stop of a service, and how long each took.
func (h *harness) life(program string) (map[string]time.Duration, error) {
	d, err := h.start(program, "start")
	if err != nil {
		return nil, err
	}
	var status time.Duration
	for range 2 { // the kernel still frees what the start has used: the second one counts
		if status, err = h.run(program, "status"); err != nil {
			return nil, err
		}
	}
	stop, _, err := h.stop(d, program, "stop")
	return map[string]time.Duration{"start": d.up, "status": status, "stop": stop}, err
}

func undoNothing() error { return nil }

func nothing(*harness) (func() error, error) { return undoNothing, nil }

func variable(assignment string) func(*harness) (func() error, error) {
	return func(h *harness) (func() error, error) {
		h.env = append(slices.Clone(h.env), assignment)
		return undoNothing, nil
	}
}

// crowd starts testdata/c/crowd.c; undo waits until all of it has gone.
func crowd(what string, n int) func(*harness) (func() error, error) {
	return func(h *harness) (func() error, error) {
		dir, err := os.MkdirTemp(h.dir, "crowd")
		if err != nil {
			return nil, err
		}
		args := []string{what, fmt.Sprint(n)}
		if what == "locks" {
			args = append(args, dir)
		}
		c := exec.Command(h.programs["crowd"], args...)
		c.Stderr = os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
		in, err := c.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := c.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := c.Start(); err != nil {
			return nil, err
		}
		undo := func() error {
			in.Close()
			return errors.Join(c.Wait(), os.RemoveAll(dir))
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			return nil, errors.Join(fmt.Errorf("crowd %s: %q, %w", strings.Join(args, " "), line, err), undo())
		}
		return undo, nil
	}
}

// accounts puts account files of our own in place of /etc's: a group with
// members, and a user in as many groups.
func accounts(members, groups int) func(*harness) (func() error, error) {
	return func(h *harness) (func() error, error) {
		dir, err := os.MkdirTemp(h.dir, "accounts")
		if err != nil {
			return nil, err
		}
		var group strings.Builder
		group.WriteString("root:x:0:\nbenchgroup:x:70000:benchuser")
		for i := range members - 1 {
			fmt.Fprintf(&group, ",member%d", i)
		}
		for i := range groups - 1 {
			fmt.Fprintf(&group, "\nextra%d:x:%d:benchuser", i, 71000+i)
		}
		group.WriteString("\n")
		undo := []func() error{func() error { return os.RemoveAll(dir) }}
		undoAll := func() (err error) {
			for _, f := range slices.Backward(undo) {
				err = errors.Join(err, f())
			}
			return err
		}
		for name, text := range map[string]string{
			"passwd":        "root:x:0:0:root:/root:/bin/sh\nbenchuser:x:70000:70000::/:/bin/sh\n",
			"group":         group.String(),
			"nsswitch.conf": "passwd: files\ngroup: files\n",
		} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				return nil, errors.Join(err, undoAll())
			}
			if err := unix.Mount(path, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
				return nil, errors.Join(os.NewSyscallError("mount /etc/"+name, err), undoAll())
			}
			undo = append(undo, func() error { return os.NewSyscallError("umount", unix.Unmount("/etc/"+name, unix.MNT_DETACH)) })
		}
		h.env = append(slices.Clone(h.env), "BENCH_USER=benchuser", "BENCH_GROUP=benchgroup")
		return undoAll, nil
	}
}

// mostDescriptors is the highest RLIMIT_NOFILE that this process may set, and
// what it is limited by: fs.nr_open, or the hard limit without CAP_SYS_RESOURCE.
func mostDescriptors() (most uint64, why string, err error) {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return 0, "", os.NewSyscallError("getrlimit", err)
	}
	text, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return 0, "", err
	}
	if most, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil {
		return 0, "", err
	}
	undo, err := descriptorLimit(most)(nil)
	if errors.Is(err, unix.EPERM) {
		return now.Max, "the hard limit here", nil
	}
	return most, "fs.nr_open", errors.Join(err, undo())
}

// descriptorLimit is what the programs are started with.
func descriptorLimit(n uint64) func(*harness) (func() error, error) {
	return func(*harness) (func() error, error) {
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			return nil, err
		}
		set := func(limit syscall.Rlimit) error {
			return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
		}
		return func() error { return set(before) }, set(syscall.Rlimit{Cur: n, Max: max(n, before.Max)})
	}
}

// descriptors are open in this process, and inherited: not close-on-exec.
func descriptors(n int) func(*harness) (func() error, error) {
	return func(h *harness) (func() error, error) {
		undoLimit, err := descriptorLimit(12000)(h)
		if err != nil {
			return nil, err
		}
		var open []int
		undo := func() error {
			for _, fd := range open {
				unix.Close(fd)
			}
			return undoLimit()
		}
		for range n {
			fd, err := unix.Dup(int(h.null.Fd()))
			if err != nil {
				return nil, errors.Join(os.NewSyscallError("dup", err), undo())
			}
			open = append(open, fd)
		}
		return undo, nil
	}
}

// files are in a directory of its own for the pidfile.
func files(n int) func(*harness) (func() error, error) {
	return func(h *harness) (func() error, error) {
		dir, err := os.MkdirTemp(h.dir, "files")
		if err != nil {
			return nil, err
		}
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.pid", i)), nil, 0o600); err != nil {
				return nil, errors.Join(err, os.RemoveAll(dir))
			}
		}
		h.env = append(slices.Clone(h.env), "BENCH_DIR="+dir)
		return func() error { return os.RemoveAll(dir) }, nil
	}
}

// sideBySide starts n services at once and looks at all of them; one's cost is
// compared with that of one that is started alone.
func sideBySide(h *harness, n int) (bool, error) {
	var rows []*row
	fmt.Printf("\nscale: memory of %d daemons of one program, side by side; kB\n", n)
	for _, build := range []string{"cgo", "pure Go"} {
		alone := &row{name: "start alone, " + build}
		together := &row{name: fmt.Sprintf("one of %d starts at once, %s", n, build), rivals: []rival{{name: alone.name, most: mostScale}}}
		stopAlone := &row{name: "stop alone, " + build}
		stops := &row{name: fmt.Sprintf("one of %d stops, one after another, %s", n, build), rivals: []rival{{name: stopAlone.name, most: mostScale}}}
		rows = append(rows, alone, together, stopAlone, stops)
		for range max(*rounds/20, 1) {
			took, err := h.life(h.programs[build])
			if err != nil {
				return false, err
			}
			alone.samples, stopAlone.samples = append(alone.samples, took["start"]), append(stopAlone.samples, took["stop"])
		}
		if err := h.together(h.programs[build], build, n, together, stops); err != nil {
			return false, fmt.Errorf("%d daemons, %s: %w", n, build, err)
		}
		// One round of all at once: a ratio is to the median of those alone.
		for _, r := range []*row{alone, stopAlone} {
			r.samples = slices.Repeat([]time.Duration{median(r.samples)}, n)
		}
	}
	return printRows(fmt.Sprintf("scale: daemons of this library side by side, 1 → %d", n), rows), nil
}

// together starts n services at once and stops them one after another.
func (h *harness) together(program, build string, n int, started, stopped *row) error {
	env := func(i int) []string { return append(slices.Clone(h.env), fmt.Sprintf("BENCH_NAME=crowd%d", i)) }
	begin := time.Now()
	launchers := make([]*os.Process, n)
	for i := range launchers {
		p, err := os.StartProcess(program, []string{program, "start"}, &os.ProcAttr{Env: env(i), Files: []*os.File{h.null, h.null, os.Stderr}})
		if err != nil {
			return err
		}
		launchers[i] = p
	}
	var failed error
	for _, p := range launchers {
		if state, err := p.Wait(); err != nil || !state.Success() {
			failed = errors.Join(failed, fmt.Errorf("start: %v %w", state, err))
		}
	}
	if failed != nil {
		return failed
	}
	pids := make([]int, n)
	for i := range pids {
		line, err := h.lines.ReadString('\n')
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(line, &pids[i]); err != nil {
			return err
		}
	}
	started.samples = append(started.samples, time.Since(begin)/time.Duration(n))
	var sum idleness
	for _, pid := range pids {
		now, err := lookAt(pid)
		if err != nil {
			return err
		}
		sum.rss, sum.pss, sum.private = sum.rss+now.rss, sum.pss+now.pss, sum.private+now.private
	}
	fmt.Printf("%s: RSS %d, Pss %d, private %d, of one %d, %d, %d\n", build, sum.rss, sum.pss, sum.private, sum.rss/n, sum.pss/n, sum.private/n)
	for i := range n {
		other := *h
		other.env = env(i)
		took, err := other.run(program, "stop")
		if err != nil {
			return err
		}
		stopped.samples = append(stopped.samples, took)
	}
	return nil
}
