// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package inject_test

// What must hold after a case, seen from outside.

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/madhadron/daemonize/internal/testbed"
)

// scene is the directory of a case and what was there before the verb.
type scene struct {
	dir    string
	old    int    // the daemon that ran; 0: none
	before string // its files
}

// processes are those of the case that are there, and the straces.
func (s *scene) processes() (ours, straces []int) {
	want := []byte("\x00" + envDir + "=" + s.dir + "\x00")
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		environ, err := os.ReadFile(d + "/environ")
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), want) || !testbed.Alive(pid) {
			continue
		}
		if comm, _ := os.ReadFile(d + "/comm"); string(comm) == "strace\n" {
			straces = append(straces, pid)
		} else {
			ours = append(ours, pid)
		}
	}
	return ours, straces
}

// settles waits until as many processes are left, and returns those that are.
func (s *scene) settles(want func(pids []int) bool) (pids []int) {
	within(func() bool {
		pids, _ = s.processes()
		return want(pids)
	})
	return pids
}

func none(pids []int) bool { return len(pids) == 0 }

func one(pids []int) bool { return len(pids) == 1 }

func atMostOne(pids []int) bool { return len(pids) < 2 }

// withoutWaiter leaves out the daemon's parent: a launcher that is killed when the daemon has just
// become ready cannot end the process that waits for the daemon. That ends with the daemon.
func (s *scene) withoutWaiter(pids []int) []int {
	daemon, _ := pidIn(s.dir)
	status, _ := testbed.ReadStatus(daemon, 0)
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return status["PPid"] == strconv.Itoa(pid) })
}

// kill ends what a case has left.
func (s *scene) kill() {
	within(func() bool {
		ours, straces := s.processes()
		all := append(straces, ours...)
		for _, pid := range all {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(all) == 0
	})
}

var unprivileged = sync.OnceValue(func() string {
	u := testbed.Must(user.Lookup(daemonUser))
	return strings.Repeat("\t"+u.Uid, 4)
})

// daemonIs is "" if the only process is a daemon that its pidfile names, with all threads
// without privileges.
func (s *scene) daemonIs(pids []int) string {
	if len(pids) != 1 {
		return fmt.Sprintf("processes %v, not one daemon", pids)
	}
	if pid, err := pidIn(s.dir); err != nil || pid != pids[0] {
		return fmt.Sprintf("the pidfile names %d (%v), the daemon is %d", pid, err, pids[0])
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pids[0]))
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(text), "\nUid:"+unprivileged()+"\n") {
			return "a thread of the daemon has not dropped its privileges"
		}
	}
	return ""
}

// injection is what was done to the verb.
type injection struct {
	verb    string
	role    role
	call    string
	nth     int
	action  string // an errno, "delay" or "kill"
	runtime bool   // the Go runtime's call, of which no message is asked
	ready   bool   // the daemon said that it is ready, before or after
}

func (i injection) String() string {
	return fmt.Sprintf("%s, %s: %s #%d %s", i.verb, i.role.name, i.call, i.nth, i.action)
}

// ofCaller is true if the injected process is the one that a person has started.
func (i injection) ofCaller() bool { return i.role.at == "" && !i.role.running }

// says is a message: who speaks, and what was attempted. A loader speaks for itself.
var says = regexp.MustCompile(`(?m)^(svc|[^ :]*\.test|/proc/self/exe)(: |\.).*\w+.* \w+`)

// judge is what is wrong with what the verb did; "" is nothing.
func (s *scene) judge(i injection, e ended) string {
	if e.hung {
		return "it hangs"
	}
	killed := i.action == "kill" && i.ofCaller() && e.code == -1
	if again := i.call == "fcntl" && i.action == "EINTR"; (again || i.action == "delay") && e.code != plainCode[i.verb] {
		return fmt.Sprintf("%s makes it end with %d", i.action, e.code)
	}
	if wrong := s.truth(i, e, killed); wrong != "" {
		return wrong
	}
	switch {
	case e.code == plainCode[i.verb], killed, i.runtime:
	case e.code == 0 || e.code == -1:
		return fmt.Sprintf("it ends with %d", e.code)
	case strings.Contains(e.stderr, "panic: ") || strings.Contains(e.stderr, "fatal error: "):
		return "it panics"
	case !says.MatchString(e.stderr):
		return fmt.Sprintf("it ends with %d, and no message says what was attempted", e.code)
	}
	return ""
}

// plainCode is the exit code of a verb that works.
var plainCode = map[string]int{"second start": 1}

var saysDead = regexp.MustCompile("not running|dead")

// truth is what is wrong with the state that the verb left, given what it said.
func (s *scene) truth(i injection, e ended, killed bool) string {
	left := func(want func([]int) bool) string {
		if pids := s.settles(want); !want(pids) {
			return fmt.Sprintf("processes %v are left", pids)
		}
		return ""
	}
	// Of the daemon that ran, nobody has ended it.
	oldRuns := func() string {
		if wrong := s.daemonIs(s.settles(one)); wrong != "" {
			return wrong
		}
		if pid, _ := pidIn(s.dir); pid != s.old {
			return "another daemon runs"
		}
		return ""
	}
	oldHit := i.role.running && (i.action == "kill" || i.runtime)
	switch i.verb {
	case "start", "restart":
		pids := s.settles(func(pids []int) bool {
			if e.code == 0 {
				return len(pids) == 1
			}
			if killed {
				pids = s.withoutWaiter(pids)
			}
			return len(pids) == 0 || (killed || pids[0] == s.old) && s.daemonIs(pids) == ""
		})
		if killed {
			pids = s.withoutWaiter(pids)
		}
		switch {
		case e.code == 0 && len(pids) == 0 && i.ready && !i.ofCaller() && (i.action == "kill" || i.runtime):
			return "" // it was ready, and died then
		case e.code == 0:
			if s.old != 0 && len(pids) == 1 && pids[0] == s.old {
				return "the old daemon still runs"
			}
			return s.daemonIs(pids)
		case len(pids) == 0:
			return ""
		case killed || s.old != 0 && len(pids) == 1 && pids[0] == s.old:
			return s.daemonIs(pids)
		}
		var states []string
		for _, pid := range pids {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			states = append(states, string(text))
		}
		return fmt.Sprintf("it failed, but processes %v are left (before: %d): %q", pids, s.old, states)
	case "second start":
		if e.code == 0 {
			return "it says that a second daemon runs"
		}
		return oldRuns()
	case "status":
		truth := fmt.Sprintf("svc is running (pid %d).\n", s.old)
		if e.code == 0 && e.stdout != truth {
			return fmt.Sprintf("it says %q", e.stdout)
		}
		if !i.runtime && (e.code == 1 || e.code == 3) || saysDead.MatchString(e.stdout) {
			return fmt.Sprintf("it ends with %d and says %q of a daemon that runs", e.code, e.stdout)
		}
		return oldRuns()
	case "reload":
		if e.code == 7 {
			return "it says that the daemon does not run"
		}
		if oldHit {
			return left(atMostOne)
		}
		if e.code == 0 && !i.role.running && !within(func() bool { return s.size(reloaded) > 0 }) {
			return "it says that it told the daemon, which heard nothing"
		}
		return oldRuns()
	case "stop":
		if e.code == 0 {
			return left(none)
		}
		if pids := s.settles(func(pids []int) bool { return none(pids) || slices.Equal(pids, []int{s.old}) }); !none(pids) {
			return oldRuns()
		}
		return ""
	}
	return left(none) // run
}

func (s *scene) size(name string) int64 {
	info, err := os.Stat(filepath.Join(s.dir, name))
	if err != nil {
		return 0
	}
	return info.Size()
}

// files is what the service's files are, to be compared.
func (s *scene) files() string {
	text := ""
	names, _ := filepath.Glob(filepath.Join(s.dir, "svc.*"))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			text += fmt.Sprintln(name, info.Sys().(*syscall.Stat_t).Ino, info.Size(), info.ModTime().UnixNano())
		}
	}
	return text
}

// after is what is wrong with what comes next. Where neither a file nor a process of the service
// is left, and where the daemon and the files of before are untouched, it is the next case that
// starts, and stops.
func (s *scene) after() string {
	pids, _ := s.processes()
	switch {
	case len(pids) == 0 && s.files() == "":
		s.old = 0
		return ""
	case slices.Equal(pids, []int{s.old}) && s.files() == s.before:
		return ""
	}
	s.old = 0
	if wrong := s.cleanStop(); wrong != "" || s.files() == "" {
		return wrong
	}
	return s.cleanRound()
}

func (s *scene) cleanStop() string {
	if e := plainly(s.dir, "stop"); e.code != 0 {
		return fmt.Sprintf("afterwards, stop ends with %d: %s", e.code, e.stderr)
	}
	if pids := s.settles(none); !none(pids) {
		return fmt.Sprintf("afterwards, processes %v outlive stop", pids)
	}
	return ""
}

// cleanRound is what is wrong with a start, status and stop.
func (s *scene) cleanRound() string {
	for _, verb := range []string{"start", "status"} {
		if e := plainly(s.dir, verb); e.code != 0 {
			return fmt.Sprintf("afterwards, %s ends with %d: %s%s", verb, e.code, e.stdout, e.stderr)
		}
		if wrong := s.daemonIs(s.settles(one)); wrong != "" {
			return "afterwards, " + verb + ": " + wrong
		}
	}
	return s.cleanStop()
}
