// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package inject_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Which cases run: DAEMONIZE_INJECT=all, sample, K/N for the Kth of N parts (from 0), or another
// regular expression that their names match ("sendmsg #1 "). It is the name that decides, so each run
// has the same ones. The sample is one case of 64, and those that once fell.
const envHowMany = "DAEMONIZE_INJECT"

// fellOnce matches the names of cases in which the library was wrong, once.
var fellOnce = regexp.MustCompile(`^start, daemon: write #[1-3] E` + // the daemon and its launcher waited for each other
	`|^run, caller: read #[34] delay|^stop, caller: fcntl #\d+ EINTR`) // getent's answer was read late; a lock was not asked again

func chosen(i injection) bool {
	part, parts := uint32(0), uint32(1)
	switch text := os.Getenv(envHowMany); text {
	case "all":
	case "sample":
		if parts = 64; fellOnce.MatchString(i.String()) {
			return true
		}
	default:
		if n, _ := fmt.Sscanf(text, "%d/%d", &part, &parts); n != 2 {
			return regexp.MustCompile(text).MatchString(i.String())
		}
	}
	h := fnv.New32a()
	fmt.Fprint(h, i)
	return h.Sum32()%parts == part
}

var caller = role{name: "caller", follow: true}

// inCopy is the process that the launcher starts, and its child that becomes the daemon: the
// first one in the constructor, or in the first stage of the build without C.
var inCopy = role{name: "copy", at: "execve", nth: 1}

func TestStart(t *testing.T)          { everyCallFails(t, "start", caller) }
func TestStartInTheCopy(t *testing.T) { everyCallFails(t, "start", inCopy) }
func TestStartInTheDaemon(t *testing.T) {
	everyCallFails(t, "start", inDaemon())
}
func TestSecondStart(t *testing.T) { everyCallFails(t, "second start", caller) }
func TestStatus(t *testing.T)      { everyCallFails(t, "status", caller) }
func TestReload(t *testing.T)      { everyCallFails(t, "reload", caller) }
func TestReloadInTheDaemon(t *testing.T) {
	everyCallFails(t, "reload", role{name: "daemon", running: true})
}
func TestRestart(t *testing.T)            { everyCallFails(t, "restart", caller) }
func TestRestartInTheDaemon(t *testing.T) { everyCallFails(t, "restart", inDaemon()) }
func TestStop(t *testing.T)               { everyCallFails(t, "stop", caller) }
func TestStopInTheDaemon(t *testing.T) {
	everyCallFails(t, "stop", role{name: "daemon", running: true})
}
func TestRun(t *testing.T) { everyCallFails(t, "run", role{name: "caller", follow: true}) }

// inDaemon is the daemon, from when the constructor has told its pid, or from its exec on.
func inDaemon() role {
	if testbed.UsesLibc {
		return role{name: "daemon", at: "sendto", nth: 1}
	}
	return role{name: "daemon", at: "execve", nth: 2}
}

// everyCallFails has each call fail that the process of that role makes.
func everyCallFails(t *testing.T, verb string, r role) {
	if os.Getenv(envHowMany) == "" {
		t.Skip("takes minutes, and strace(1): DAEMONIZE_INJECT=sample go test -v ./test/inject")
	}
	testbed.NeedRoot(t)
	testbed.NeedLinuxBuild(t, "the list of calls")
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: other processors' system calls have other names")
	}
	testbed.Package(t, "strace", "strace")
	isolate := testbed.IsolateRootOneWay
	if r != inCopy && (verb == "start" || verb == "second start" || verb == "restart") {
		isolate = testbed.IsolateRoot // the other verbs are the same with package forkfirst
	}
	if !isolate(t) {
		return
	}
	b := &bench{verb: verb, role: r}
	if testbed.ForksFirst() && r == caller {
		b.role.follow = false // a launcher in C has one thread, and its child is the daemon
	}
	testbed.Hear(t)
	require.NoError(t, os.MkdirAll("/run/inject", 0o755))
	b.plain(t)
	var cases []injection
	all := b.cases(t)
	for _, i := range all {
		if chosen(i) {
			cases = append(cases, i)
		}
	}
	b.runAll(cases)
	b.report(t, len(cases), len(all))
}

// bench runs the cases of a verb and role.
type bench struct {
	verb  string
	role  role
	calls map[string]int
	took  time.Duration // the verb under strace, with nothing injected

	mu         sync.Mutex
	fell       []string
	once       []string // fell, and did not when they ran again, or fell again
	excused    map[string]int
	notReached int
	said       map[string]int
}

// newScene makes a directory for cases, one after another.
func newScene(name string) (*scene, error) {
	s := &scene{dir: filepath.Join("/run/inject", name)}
	return s, os.MkdirAll(s.dir, 0o755)
}

// setUp makes the file for Reload, and the daemon that the verb needs.
func (b *bench) setUp(s *scene) error {
	for _, name := range []string{traceFile, stopsFile, attachedFile} {
		_ = os.Remove(filepath.Join(s.dir, name))
	}
	file := filepath.Join(s.dir, reloaded)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(file, 0o666); err != nil {
		return err
	}
	if b.verb == "start" || b.verb == "run" || s.old != 0 {
		return nil
	}
	if e := plainly(s.dir, "start"); e.code != 0 {
		return fmt.Errorf("a start before: %d %s", e.code, e.stderr)
	}
	var err error
	s.settles(one)
	s.old, err = pidIn(s.dir)
	s.before = s.files()
	return err
}

// act does the verb under strace, and returns what came of it and the trace. The tracer is there
// until detach.
func (b *bench) act(s *scene, filter []string, limit time.Duration) (e ended, detach func(), err error) {
	c, detach, err := traced(s.dir, strings.TrimPrefix(b.verb, "second "), b.role, filter)
	if err != nil {
		return e, func() {}, err
	}
	if b.verb == "run" {
		for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(poll) {
			if out, _ := os.ReadFile(filepath.Join(s.dir, "stdout")); len(out) > 0 {
				break
			}
			select {
			case <-c.done:
				end = time.Now()
			default:
			}
		}
		_ = c.Process.Signal(unix.SIGTERM)
	}
	return c.end(limit), detach, nil
}

// plain lists the calls.
func (b *bench) plain(t *testing.T) {
	b.calls, b.said, b.excused = map[string]int{}, map[string]int{}, map[string]int{}
	s, err := newScene("plain")
	require.NoError(t, err)
	defer s.kill()
	for range 2 { // threads take turns: the second run has perhaps more of some call
		require.NoError(t, b.setUp(s))
		e, detach, err := b.act(s, nil, time.Minute)
		require.NoError(t, err)
		i := injection{verb: b.verb, role: b.role, action: "delay", ready: true}
		require.Empty(t, s.judge(i, e), "without an injection: %+v", e)
		detach()
		trace, err := os.ReadFile(filepath.Join(s.dir, traceFile))
		require.NoError(t, err)
		text := string(trace)
		if b.role.at != "" {
			if before, _, found := strings.Cut(text, readyFrame); found {
				text = before
			}
		}
		for call, n := range count(text) {
			b.calls[call] = max(b.calls[call], n)
		}
		b.took = max(b.took, e.took)
		require.Empty(t, s.after())
	}
	if s.old != 0 {
		require.Empty(t, s.cleanStop())
	}
	require.Empty(t, s.cleanRound())
}

// cases are all that there are.
func (b *bench) cases(t *testing.T) (all []injection) {
	for call, n := range b.calls {
		listed, known := errnos[call]
		if !known {
			t.Errorf("which errnos has %s?", call)
		}
		actions := strings.Fields(listed)
		if !ofRuntime[call] {
			actions = append(actions, "delay", "kill")
		} else {
			n = min(n, runtimeCalls)
		}
		for nth := range n {
			for _, action := range actions {
				all = append(all, injection{verb: b.verb, role: b.role, call: call, nth: nth + 1,
					action: action, runtime: ofRuntime[call]})
			}
		}
	}
	slices.SortFunc(all, func(a, b injection) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// runAll has several cases at once: most of them wait.
func (b *bench) runAll(cases []injection) {
	queue, wg := make(chan injection), sync.WaitGroup{}
	for worker := range runtime.NumCPU() * 4 {
		wg.Go(func() {
			var s *scene
			n := 0
			for i := range queue {
				if s == nil {
					s, _ = newScene(fmt.Sprintf("%d-%d", worker, n))
				}
				again, fell := b.run(s, i, limit+b.took)
				if !again { // the next one gets another directory
					s.kill()
					s, n = nil, n+1
				}
				if fell { // or the machine is busy
					s, _ = newScene(fmt.Sprintf("%d-%d", worker, n))
					b.run(s, i, time.Minute+b.took)
					s.kill()
					s, n = nil, n+1
				}
			}
			if s != nil {
				s.kill()
			}
		})
	}
	for _, i := range cases {
		queue <- i
	}
	close(queue)
	wg.Wait()
}

// run is one case, again if the directory may be used again. A case that falls counts in its
// second run, with a limit of more than a minute; the report has the first one, too.
func (b *bench) run(s *scene, i injection, limit time.Duration) (again, fell bool) {
	if err := b.setUp(s); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.falls(i, err.Error(), ended{}, ""), false
	}
	what := map[string]string{"delay": "delay_enter=1000000", "kill": "signal=SIGKILL"}[i.action]
	if what == "" {
		what = "error=" + i.action
	}
	filter := []string{"-e", "trace=write," + i.call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", i.call, what, i.nth)}
	e, detach, err := b.act(s, filter, limit)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.falls(i, err.Error(), e, ""), false
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, traceFile))
	trace := string(text)
	i.ready = strings.Contains(trace, readyFrame)
	i.runtime = i.runtime || newThread.MatchString(trace)
	reached := count(trace)[i.call] >= i.nth
	wrong := s.judge(i, e)
	detach()
	if wrong == "" {
		wrong = s.after()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case wrong != "" && limit < time.Minute:
		b.once = append(b.once, fmt.Sprintf("%s: %s", i, wrong))
		return false, true
	case wrong != "":
		return b.falls(i, wrong, e, trace), false
	case !reached:
		b.notReached++
	case e.code > 0 && e.code != plainCode[b.verb] && !i.runtime:
		b.said[withoutNumbers.ReplaceAllString(e.stderr, "N")]++
	}
	return true, false
}

var injectedLine = regexp.MustCompile("INJECTED|DELAYED|killed by")

// falls notes a case that fell. The caller holds mu.
func (b *bench) falls(i injection, why string, e ended, trace string) bool {
	for _, x := range excuses {
		is := func(pattern, text string) bool { return pattern == "" || pattern == text }
		if is(x.call, i.call) && is(x.action, i.action) && strings.Contains(e.stderr, x.says) &&
			(x.trace == nil || x.trace.MatchString(trace)) {
			b.excused[x.why]++
			return false
		}
	}
	var injected []string
	for line := range strings.Lines(trace) {
		if injectedLine.MatchString(line) {
			injected = append(injected, line)
		}
	}
	b.fell = append(b.fell, fmt.Sprintf("%s: %s\n  exit %d after %s\n  stdout %q\n  stderr %q\n  %s",
		i, why, e.code, e.took.Round(time.Millisecond), e.stdout, e.stderr, strings.Join(injected, "  ")))
	return false
}
