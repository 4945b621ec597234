// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// All verbs at random, by several actors, with an observer.

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// howLong is what DAEMONIZE_STRESS says: a duration, or how many cycles.
func howLong(t *testing.T) (end time.Time, cycles int64) {
	t.Helper()
	const never = 1 << 62
	text := os.Getenv("DAEMONIZE_STRESS")
	if text == "" {
		text = "2s"
	}
	if n, err := strconv.Atoi(text); err == nil {
		return time.Now().Add(24 * time.Hour), int64(n)
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return time.Now().Add(d), never
}

// whatVerbsSay is all that may be heard when others start, stop and kill at
// the same time. Nothing here is a crash, a wrong pid's or unexplained.
var whatVerbsSay = regexp.MustCompile(`^((svc|service): (` + strings.Join([]string{
	`PID file exists\. Process already running\? \(pid \d+ holds /var/run/svc\.pid\)`,
	`PID file exists\. Process already running\? \(/var/run/svc\.pid is locked by a process that is just starting\)`,
	`Could not find PID file to stop\. Is the process running\?`,
	`the daemon \(pid \d+\) died before it was ready, (after|before|while) it .*`,
	`the daemon \(pid \d+\) ended before it reached the call that makes it one: main returned, exited or panicked first(: signal: killed)?`,
	`.*lookup failed: \S*getent .*: signal: killed`, // a child that is not yet
	`the copy of this program that was to become the daemon ended before it could: .*`,
	`it was told to stop before it was ready`,
	`the daemon was dead; removed its pidfile /var/run/svc\.pid`,
	`/var/run/svc\.pid is locked, but names no process: it is starting, or another program's`,
}, "|") + `)|svc is (running \(pid \d+\)|starting|not running|dead, but its pidfile /var/run/svc\.pid is left)\.)\n(What it logged: .*\n)?$`)

// TestStress has four actors start, stop, restart, reload, ask and kill -9 at random,
// while an observer looks from outside:
//
//	DAEMONIZE_STRESS=5000 go test -run TestStress -v -timeout 1h ./test/stop
func TestStress(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	end, cycles := howLong(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed) // of the choices; the kernel makes others
	before := testbed.Look(t, os.Getpid()).FDs

	over := make(chan struct{})
	watched := make(chan observed)
	go func() { watched <- observe(over) }()

	var actors sync.WaitGroup
	var cycle atomic.Int64
	var started atomic.Bool // on a slow machine the first start that succeeds comes late
	late := end.Add(time.Minute)
	more := func() bool {
		now := time.Now()
		return now.Before(end) || !started.Load() && now.Before(late)
	}
	var mu sync.Mutex
	did, heard := map[string]int{}, map[string]bool{}
	for i := range 4 {
		actors.Add(1)
		go func() {
			defer actors.Done()
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for more() && cycle.Add(1) <= cycles {
				verb, code, said := act(random)
				if verb == "start" && code == 0 {
					started.Store(true)
				}
				mu.Lock()
				did[fmt.Sprintf("%s %d", verb, code)]++
				if said != "" && !whatVerbsSay.MatchString(said) {
					heard[verb+": "+said] = true
				}
				mu.Unlock()
			}
		}()
	}
	actors.Wait()
	close(over)
	saw := <-watched
	t.Logf("%v; %d looks, %d of them at a daemon, %d at one with its name in the file", did, saw.looks, saw.holders, saw.named)
	assert.Empty(t, slices.Collect(maps.Keys(heard)))
	assert.Empty(t, saw.wrong)
	assert.NotZero(t, saw.named)
	assert.NotZero(t, did["start 0"])

	_, _ = testbed.Run(t, 0, testdaemon.Command("restart"))
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)
	left, err := os.ReadDir("/run")
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.Len(t, testbed.Look(t, os.Getpid()).FDs, len(before), "our descriptors")
	var status unix.WaitStatus
	_, err = unix.Wait4(-1, &status, unix.WNOHANG, nil)
	assert.Equal(t, unix.ECHILD, err, "no child of ours is left, dead or alive")
}

// act does one thing at random: a verb, sometimes one that is killed on its way, or
// kill -9 of a process of the daemon's at whatever stage it is.
func act(random *rand.Rand) (verb string, code int, said string) {
	as := []string{"AS=", "AS=root"}[random.IntN(2)]
	switch n := random.IntN(20); {
	case n < 6:
		verb = "start"
	case n < 9:
		verb = "stop"
	case n < 13:
		verb = "restart"
	case n < 15:
		verb = "reload"
	case n < 17:
		verb = "status"
	case n < 18:
		if pids := testbed.Find("service"); len(pids) > 0 {
			_ = unix.Kill(pids[random.IntN(len(pids))], unix.SIGKILL)
		}
		return "kill any", 0, ""
	case n < 19:
		if text, err := os.ReadFile(testdaemon.Pidfile); err == nil {
			if pid, err := strconv.Atoi(string(text)); err == nil && slices.Contains(testbed.Find("service"), pid) {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		return "kill holder", 0, ""
	default:
		c := testdaemon.Command("start", as)
		_ = c.Start()
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		_ = c.Process.Signal([]os.Signal{unix.SIGKILL, unix.SIGINT, unix.SIGTERM}[random.IntN(3)])
		_ = c.Wait()
		return "interrupted start", 0, ""
	}
	c := testdaemon.Command(verb, as)
	out, _ := c.CombinedOutput()
	said = string(out)
	if _, after, named := strings.Cut(said, "(pid "); named {
		pid := after[:strings.IndexByte(after, ')')]
		pid, _, _ = strings.Cut(pid, " ")
		if cwd, err := os.Readlink("/proc/" + pid + "/cwd"); err == nil && cwd != "/" {
			said = fmt.Sprintf("names a process in %s, no daemon: %s", cwd, said)
		}
	}
	return verb, c.ProcessState.ExitCode(), said
}

// isADaemon is true of one that has reached the call; its launcher, and whoever stops it, are
// where we are.
func isADaemon(pid string) bool {
	cwd, err := os.Readlink("/proc/" + pid + "/cwd")
	return err == nil && cwd == "/"
}

// observed is what was seen from outside.
type observed struct {
	looks, holders, named int
	wrong                 map[string]int
}

var writeLock = regexp.MustCompile(`FLOCK +ADVISORY +WRITE +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) `)

// observe looks until it is over. One read of /proc/locks is one moment.
func observe(over chan struct{}) observed {
	o := observed{wrong: map[string]int{}}
	b := make([]byte, 1<<16)
	locks := func() [][]string {
		f, err := os.Open("/proc/locks")
		if err != nil {
			panic(err)
		}
		defer f.Close()
		n, _ := f.Read(b)
		return writeLock.FindAllStringSubmatch(string(b[:n]), -1)
	}
	for {
		select {
		case <-over:
			return o
		default:
		}
		o.looks++
		first := locks()
		if len(first) == 0 {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		o.holders++
		text, err := os.ReadFile(testdaemon.Pidfile)
		second := locks()
		if len(first) > 1 { // stop locks the file for a moment, too, to remove it
			held := slices.DeleteFunc(first, func(l []string) bool { return !isADaemon(l[1]) })
			if len(held) > 1 {
				o.wrong[fmt.Sprintf("two daemons hold locks: %q", held)]++
			}
			continue
		}
		if err == nil && len(text) > 0 && len(second) == 1 && slices.Equal(first[0][1:], second[0][1:]) && isADaemon(first[0][1]) {
			if o.named++; string(text) != first[0][1] {
				o.wrong[fmt.Sprintf("the file says %q, the holder is %s", text, first[0][1])]++
			}
		}
		time.Sleep(50 * time.Microsecond)
	}
}
