// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package inject_test

// How strace(1) is used: what it traces, in which process, and from which moment on.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"golang.org/x/sys/unix"
)

// role is the process of a verb whose calls are injected.
type role struct {
	name string
	// follow has strace trace the threads. Its children are left alone from their exec on.
	follow bool
	// A process that the caller makes is stopped by SIGSTOP at this call, for strace to attach
	// to it: the process that makes it for the nth time. "" is the caller itself.
	at  string
	nth int
	// running is a daemon that is there already.
	running bool
}

// command is the service's verb in the directory of a case, its output in files there.
func command(dir, verb string, strace ...string) *exec.Cmd {
	c := testbed.Command("injected", verb)
	c.Env = append(c.Env, envDir+"="+dir, "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=2")
	if len(strace) > 0 {
		c.Args = append(append([]string{"strace"}, strace...), append([]string{c.Path}, c.Args[1:]...)...)
		c.Path = stracePath
	}
	c.Dir = "/"
	c.Stdout, c.Stderr = create(dir, "stdout"), create(dir, "stderr")
	return c
}

var stracePath, _ = exec.LookPath("strace")

func create(dir, name string) *os.File {
	return testbed.Must(os.Create(filepath.Join(dir, name)))
}

// ended is what came of a command.
type ended struct {
	code           int // -1: a signal
	stdout, stderr string
	hung           bool
	took           time.Duration
}

// started is a command that runs.
type started struct {
	*exec.Cmd
	dir   string
	began time.Time
	done  chan struct{}
}

func start(dir string, c *exec.Cmd) (*started, error) {
	defer c.Stdout.(*os.File).Close()
	defer c.Stderr.(*os.File).Close()
	s := &started{Cmd: c, dir: dir, began: time.Now(), done: make(chan struct{})}
	if err := c.Start(); err != nil {
		return nil, err
	}
	go func() { _ = c.Wait(); close(s.done) }()
	return s, nil
}

// end waits for the end, and kills what has not ended in time.
func (s *started) end(limit time.Duration) ended {
	e := ended{}
	select {
	case <-s.done:
	case <-time.After(limit):
		e.hung = true
		_ = s.Process.Kill()
		<-s.done
	}
	e.took, e.code = time.Since(s.began), s.ProcessState.ExitCode()
	out, _ := os.ReadFile(filepath.Join(s.dir, "stdout"))
	text, _ := os.ReadFile(filepath.Join(s.dir, "stderr"))
	e.stdout, e.stderr = string(out), string(text)
	return e
}

// plainly runs the verb without strace.
func plainly(dir, verb string) ended {
	s, err := start(dir, command(dir, verb))
	if err != nil {
		return ended{code: -1, stderr: err.Error()}
	}
	return s.end(limit)
}

const (
	limit = 10 * time.Second     // is how long a verb may take
	poll  = 5 * time.Millisecond // is how often we look: many cases run at once, and looking costs
)

// within waits up to the limit for the condition, and is true if it held.
func within(condition func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(poll) {
		if condition() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// What strace writes.
const (
	traceFile    = "trace"
	stopsFile    = "stops"
	attachedFile = "strace.err"
)

// traced starts the verb with the process of that role under strace. detach ends strace, if it
// is there still.
func traced(dir, verb string, r role, filter []string) (s *started, detach func(), err error) {
	detach = func() {}
	args := append([]string{"-qq", "-y", "-o", filepath.Join(dir, traceFile), "-s", "100"}, filter...)
	follow := func() []string { return append([]string{"-f"}, args...) }
	switch {
	case r.running:
		pid, err := pidIn(dir)
		if err != nil {
			return nil, nil, err
		}
		if detach, err = attach(dir, pid, follow()); err != nil {
			return nil, nil, err
		}
		s, err = start(dir, command(dir, verb))
		return s, detach, err
	case r.at != "":
		stops := filepath.Join(dir, stopsFile)
		s, err = start(dir, command(dir, verb,
			"-D", "-f", "-o", stops, "-e", "trace="+r.at, "-e", "inject="+r.at+":signal=SIGSTOP"))
		if err != nil {
			return nil, nil, err
		}
		pid, err := stopped(s, stops, r.nth)
		if err == nil {
			detach, err = attach(dir, pid, follow())
		}
		if err != nil {
			e := s.end(0)
			text, _ := os.ReadFile(stops)
			return nil, nil, fmt.Errorf("%w; exit %d after %s: %s%s", err, e.code, e.took, e.stderr, text)
		}
		return s, detach, unix.Kill(pid, unix.SIGCONT)
	case r.follow:
		args = append(follow(), "-b", "execve")
	}
	s, err = start(dir, command(dir, verb, append([]string{"-D"}, args...)...))
	return s, detach, err
}

var stop = regexp.MustCompile(`(?m)^(\d+) +--- stopped by SIGSTOP ---$`)

// stopped waits for the nth process that strace has stopped, and ends that strace.
func stopped(s *started, file string, nth int) (pid int, err error) {
	for continued, end := 0, time.Now().Add(limit); time.Now().Before(end); time.Sleep(poll) {
		text, _ := os.ReadFile(file)
		for i, found := range stop.FindAllStringSubmatch(string(text), -1) {
			pid, _ = strconv.Atoi(found[1])
			switch {
			case i+1 < continued:
			case i+1 < nth:
				_ = unix.Kill(pid, unix.SIGCONT)
				continued = i + 1
			default:
				return pid, detached(pid)
			}
		}
		select {
		case <-s.done:
			return 0, errors.New("it ended before the process was there")
		default:
		}
	}
	return 0, errors.New("the process never came to the call where it was to be stopped")
}

// detached ends the strace of the process, which stays stopped.
func detached(pid int) error {
	if within(func() bool {
		tracer := tracerOf(pid)
		if tracer != 0 {
			_ = unix.Kill(tracer, unix.SIGKILL) // of SIGTERM strace 6.1 waits for a process that is stopped
		}
		return tracer == 0
	}) {
		return nil
	}
	return errors.New("strace does not end")
}

func tracerOf(pid int) int {
	status, _ := testbed.ReadStatus(pid, 0)
	tracer, _ := strconv.Atoi(status["TracerPid"])
	return tracer
}

// attach has strace attach to the process and its threads.
func attach(dir string, pid int, args []string) (detach func(), err error) {
	loud := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-qq" }) // it says when it has attached
	c := exec.Command(stracePath, append([]string{"-p", strconv.Itoa(pid)}, loud...)...)
	c.Env = append(os.Environ(), envDir+"="+dir)
	c.Stdout, c.Stderr = create(dir, "strace.out"), create(dir, attachedFile)
	s, err := start(dir, c)
	if err != nil {
		return nil, err
	}
	detach = func() {
		_ = s.Process.Signal(unix.SIGTERM)
		_ = s.end(limit)
	}
	var text []byte
	if within(func() bool {
		text, _ = os.ReadFile(filepath.Join(dir, attachedFile))
		return strings.Contains(string(text), " attached")
	}) {
		return detach, nil
	}
	detach()
	return nil, fmt.Errorf("strace does not attach: %s", text)
}

func pidIn(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "svc.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

var line = regexp.MustCompile(`(?m)^(?:(\d+) +)?(\w+)\(`)

// readyFrame is how the daemon tells its launcher that it is ready.
const readyFrame = `"r\0\0\0\0\0\0\0", 8`

// count is how often a thread makes each call, of the thread that makes most of them.
func count(trace string) map[string]int {
	most, each := map[string]int{}, map[[2]string]int{}
	for _, m := range line.FindAllStringSubmatch(trace, -1) {
		key := [2]string{m[1], m[2]}
		each[key]++
		most[m[2]] = max(most[m[2]], each[key])
	}
	return most
}
