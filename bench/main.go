//go:build linux

// Bench measures this library side by side with its peers and prints tables
// that a person can read.
//
//	go run ./bench                    everything
//	go run ./bench start stop         these; -l lists them
//	go run ./bench -n 50 start        50 rounds instead of 200
//
// It needs Linux, gcc, and for the peers golang-github-sevlyar-go-daemon-dev
// and golang-github-vividcortex-godaemon-dev of Debian; what is missing is
// left out, with a message. As root it runs in namespaces of its own (PID,
// mounts), where orphans are reaped at once, there is no syslogd and /run
// is empty. As anyone else it runs where it is: ended daemons may stay
// zombies for a while, and the daemons' messages go to the machine's syslog.
//
// Every round runs each contender once, in random order; the tables show
// medians and minima over the rounds. Compare within one run only.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// benchmarks are what can be asked for. A benchmark prints its own tables.
var benchmarks = map[string]func(*bench) error{
	"start": lifecycle,
	"stop":  lifecycle, // measured in the same rounds
}

// bench is what every benchmark gets.
type bench struct {
	rounds int
	dir    string // its own: programs that it builds, FIFOs, pidfiles
	wanted map[string]bool
}

func main() {
	rounds := flag.Int("n", 200, "`rounds`")
	list := flag.Bool("l", false, "list the benchmarks")
	flag.Parse()
	names := slices.Sorted(maps.Keys(benchmarks))
	if *list {
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	b := &bench{rounds: *rounds, wanted: map[string]bool{}}
	for _, name := range flag.Args() {
		if benchmarks[name] == nil {
			fmt.Fprintf(os.Stderr, "bench: no benchmark %q among %s\n", name, strings.Join(names, ", "))
			os.Exit(2)
		}
		b.wanted[name] = true
	}
	if len(b.wanted) == 0 {
		for _, name := range names {
			b.wanted[name] = true
		}
	}
	switch {
	case os.Getpid() == 1:
		os.Exit(namespaceInit())
	case os.Getuid() == 0 && os.Getenv(inNamespace) == "":
		os.Exit(enterNamespace())
	}
	if err := b.run(names); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(names []string) (err error) {
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := os.Chmod(b.dir, 0o755); err != nil { // daemons that are not root any more go through it
		return err
	}
	done := map[string]bool{} // by the function: some names share one
	for _, name := range names {
		key := fmt.Sprintf("%p", benchmarks[name])
		if !b.wanted[name] || done[key] {
			continue
		}
		done[key] = true
		if err := benchmarks[name](b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

const inNamespace = "BENCH_IN_NAMESPACE"

// enterNamespace runs this command again as PID 1 of new namespaces.
func enterNamespace() int {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	signal.Ignore(os.Interrupt) // the terminal sends it to the child, too
	if err := c.Run(); c.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "bench: cannot make namespaces:", err)
		return 1
	}
	return c.ProcessState.ExitCode()
}

// namespaceInit is PID 1: it runs the benchmarks and reaps orphans.
func namespaceInit() int {
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"tmpfs", "/run", "tmpfs", 0}, // systemd's /dev/log leads there, and to nothing now
	} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			fmt.Fprintf(os.Stderr, "bench: mount %s: %v\n", m.target, err)
			return 1
		}
	}
	if info, err := os.Lstat("/dev/log"); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = unix.Mount("/dev/null", "/dev/log", "", unix.MS_BIND, "")
	}
	os.Setenv(inNamespace, "1")
	p, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	for {
		var status unix.WaitStatus
		switch pid, err := unix.Wait4(-1, &status, 0, nil); {
		case err == unix.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "bench: wait4:", err)
			return 1
		case pid == p.Pid && status.Signaled():
			return 128 + int(status.Signal())
		case pid == p.Pid:
			return status.ExitStatus()
		}
	}
}
