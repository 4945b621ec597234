// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// All verbs and much mischief at random, by several actors, with an observer.

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
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

// howLong is what DAEMONIZE_SOAK or DAEMONIZE_STRESS says: a duration, or how many cycles.
func howLong(t *testing.T) (end time.Time, cycles int64) {
	t.Helper()
	const never = 1 << 62
	text := cmp.Or(os.Getenv("DAEMONIZE_SOAK"), os.Getenv("DAEMONIZE_STRESS"), "1s")
	if n, err := strconv.Atoi(text); err == nil {
		return time.Now().Add(24 * time.Hour), int64(n)
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return time.Now().Add(d), never
}

// verbLimit is how long a verb may take on a machine that is slow and busy.
const verbLimit = time.Minute

// whatVerbsSay is all that may be heard when others start, stop, kill, remove and overwrite at
// the same time. Nothing here is a crash, a wrong pid's or unexplained.
var whatVerbsSay = regexp.MustCompile(`^(` + killed + `\n)?(((svc|service): (` + strings.Join([]string{
	`PID file exists\. Process already running\? \(pid \d+ holds PIDFILE\)`,
	`PID file exists\. Process already running\? \(PIDFILE is locked by a process that is just starting\)`,
	`Could not find PID file to stop\. Is the process running\?`,
	`the daemon \(pid \d+\) died before it was ready, (after|before|while) it .*`,
	`the daemon \(pid \d+\) ended before it reached the call that makes it one: main returned, exited or panicked first(: signal: killed)?`,
	`.*lookup failed: \S*getent .*: signal: killed`, // a child that is not yet
	`the copy of this program that was to become the daemon ended before it could: .*`,
	`it was told to stop before it was ready(\nsvc: the daemon \(pid \d+\) died before it was ready, (after|before|while) it .*: signal: killed)?`, // forked first
	`the daemon was dead; removed its pidfile PIDFILE`,
	`PIDFILE is locked, but names no process: it is starting, or another program's`,
	// We have removed, overwritten, locked, filled or mounted something.
	`write pidfile PIDFILE: it was removed or replaced since this start locked it, or PrivilegedAction has changed the root directory`,
	`pidfile PIDFILE: others keep it locked, or replace it all the time: see who has it open \(fuser\), then try again`,
	`PIDFILE names process \d+, but process \d+ holds LOCKFILE: look which of them is the daemon, and end it by hand`,
	`PIDFILE is locked, but not by process \d+ here, which it names: a daemon of another container holds it, .*`,
	`PIDFILE is locked and names process \d+, but nobody holds the record lock of LOCKFILE: .*`, // not Linux
	`(write )?(pidfile|lock file):? .*: (no space left on device|read-only file system)( \(is the file system full or read-only\?\))?`,
}, "|") + `)|svc is (running \(pid \d+\)|starting|not running|dead, but its pidfile PIDFILE is left)\.)\n(What it logged: .*\n)?)?$`)

// killed is said of a daemon that we have stopped (SIGSTOP), and where the machine is busy.
const killed = `svc: the daemon \(pid \d+\) did not end within 1s of SIGTERM and was killed: its action must return when its context ends`

// stressed is one of the services, in a file system of its own.
type stressed struct {
	dir, pidfile, lockfile  string
	seen, seenInode, device string

	// alone is for a start that nobody may end; whoever ends daemons has it shared.
	alone sync.RWMutex
	// files is for who removes a file, mount for who mounts.
	files, mount sync.Mutex
	overwritten  sync.Map // inodes of pidfiles that we wrote to
}

// record is what happened.
type record struct {
	sync.Mutex
	did     map[string]int
	wrong   map[string]int
	slowest map[string]time.Duration
	started atomic.Bool // on a slow machine the first start that succeeds comes late
}

func (r *record) count(what string) {
	r.Lock()
	defer r.Unlock()
	r.did[what]++
}

func (r *record) violation(format string, args ...any) {
	r.Lock()
	defer r.Unlock()
	r.wrong[fmt.Sprintf(format, args...)]++
}

// TestStress has nine actors start, stop, restart, reload, ask, kill, stop for a moment, remove,
// overwrite, lock and mount at random, for three services, while an observer looks from outside:
//
//	DAEMONIZE_SOAK=1h go test -run TestStress -v -timeout 3h ./test/stop
//	DAEMONIZE_STRESS=5000 go test -run TestStress -v -timeout 1h ./test/stop
//
// What they do not do, for that is beyond the promise: remove both NAME.pid and NAME.lock of a
// daemon that lives.
func TestStress(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	end, cycles := howLong(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed) // of the choices; the kernel makes others
	before := testbed.Look(t, os.Getpid()).FDs

	r := &record{did: map[string]int{}, wrong: map[string]int{}, slowest: map[string]time.Duration{}}
	stress := &stress{record: r}
	if _, err := exec.LookPath("busybox"); err == nil {
		stress.syslogd = testbed.StartSyslogd(t, "busybox")
	}
	var services []*stressed
	for i := range 3 {
		services = append(services, newStressed(t, i))
	}
	over := make(chan struct{})
	watched := make(chan observed)
	go func() { watched <- observe(services, over, r) }()

	var actors sync.WaitGroup
	var cycle atomic.Int64
	late := end.Add(time.Minute)
	more := func() bool {
		now := time.Now()
		return now.Before(end) || !r.started.Load() && now.Before(late)
	}
	for i := range 9 {
		actors.Add(1)
		go func() {
			defer actors.Done()
			a := &actor{stress, services[i%len(services)], rand.New(rand.NewPCG(seed, uint64(i)))}
			for more() && cycle.Add(1) <= cycles {
				a.act(t)
			}
		}()
	}
	actors.Wait()
	close(over)
	saw := <-watched
	r.did["bystanders at the end"] = stress.bystanders.retireAll(r)
	for _, what := range slices.Sorted(maps.Keys(r.did)) {
		t.Logf("%7d %s", r.did[what], what)
	}
	t.Logf("slowest: %v", r.slowest)
	t.Logf("%d looks, %d at daemons past ready, %d of them with their name in the file; %d violations",
		saw.looks, saw.ready, saw.named, len(r.wrong))
	for what, n := range r.wrong {
		assert.Fail(t, "violation", "%d times: %s", n, what)
	}
	assert.NotZero(t, saw.ready)
	assert.NotZero(t, saw.named)

	for _, pid := range testbed.Find("service") { // an overwritten pidfile keeps stop from it
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	testbed.None(t, "service")
	for _, s := range services {
		verb := func(verb string) *exec.Cmd { return testdaemon.Command(verb, "DIR="+s.dir) }
		_, _ = testbed.Run(t, 0, verb("restart"))
		testbed.HeldBy(t, s.pidfile, testbed.One(t, "service"))
		testbed.Run(t, 0, verb("stop"))
		testbed.None(t, "service")
		left, err := os.ReadDir(s.dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
	testbed.NoLocks(t)
	if stress.syslogd != nil {
		stress.syslogd.Kill()
	}
	assert.Len(t, testbed.Look(t, os.Getpid()).FDs, len(before), "our descriptors")
	var status unix.WaitStatus
	_, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	assert.Equal(t, unix.ECHILD, err, "no child of ours is left, dead or alive")
}

func newStressed(t *testing.T, i int) *stressed {
	s := &stressed{dir: fmt.Sprintf("/run/%d", i), seen: fmt.Sprintf("/run/seen.%d", i)}
	s.pidfile, s.lockfile = s.dir+"/svc.pid", s.dir+"/svc.lock"
	require.NoError(t, os.Mkdir(s.dir, 0o755))
	require.NoError(t, unix.Mount("tmpfs", s.dir, "tmpfs", 0, "mode=755,"+plenty))
	require.NoError(t, os.WriteFile(s.seen, nil, 0o644))
	s.seenInode = inode(s.seen)
	s.device = inode(s.dir)[:len("00:00")]
	require.Regexp(t, `^[0-9a-f]{2}:[0-9a-f]{2}:\d+$`, inode(s.dir))
	return s
}

const plenty = "size=1m"

// processes are those of the service, at whatever stage.
func (s *stressed) processes() []int {
	return slices.DeleteFunc(testbed.Find("service"), func(pid int) bool { return !s.has(pid) })
}

func (s *stressed) has(pid int) bool {
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return slices.Contains(strings.Split(string(environ), "\x00"), "DIR="+s.dir)
}

// signal sends one to a process of the service, and to no other one that has its pid.
func (s *stressed) signal(pid int, sig os.Signal) {
	if p, err := os.FindProcess(pid); err == nil {
		if s.has(pid) {
			_ = p.Signal(sig)
		}
		_ = p.Release()
	}
}

// stress is what the actors share.
type stress struct {
	*record
	bystanders bystanders
	tags       atomic.Int64
	syslogd    *testbed.Syslogd
	logging    sync.Mutex
}

type actor struct {
	*stress
	s      *stressed
	random *rand.Rand
}

// deeds are what an actor may do, and how often; a deed that was not possible tells so.
var deeds = []struct {
	weight int
	name   string
	do     func(a *actor, t *testing.T) bool
}{
	{10, "start", func(a *actor, t *testing.T) bool { return a.verb("start") }},
	{6, "stop", func(a *actor, t *testing.T) bool { return a.verb("stop") }},
	{8, "restart", func(a *actor, t *testing.T) bool { return a.verb("restart") }},
	{4, "reload", func(a *actor, t *testing.T) bool { return a.verb("reload") }},
	{4, "status", func(a *actor, t *testing.T) bool { return a.verb("status") }},
	{2, "interrupted start", (*actor).interruptedStart},
	{2, "kill -9 any", (*actor).killAny},
	{2, "kill -9 holder", func(a *actor, t *testing.T) bool { return a.killHolder() > 0 }},
	{2, "kill -STOP, -CONT", (*actor).stopAndContinue},
	{1, "a bystander has a dead daemon's pid", (*actor).recycle},
	{2, "rm NAME.pid", func(a *actor, t *testing.T) bool { return a.s.remove(true, false) }},
	{2, "rm NAME.lock", func(a *actor, t *testing.T) bool { return a.s.remove(false, true) }},
	{1, "rm both of a dead daemon", func(a *actor, t *testing.T) bool { return a.s.remove(true, true) }},
	{1, "a bystander's pid in NAME.pid", (*actor).overwrite},
	{2, "a bystander has NAME.pid locked (shared)", (*actor).lockShared},
	{1, "file system full", (*actor).full},
	{1, "file system read-only", (*actor).readOnly},
	{1, "syslogd stopped, restarted", (*actor).syslogdAgain},
}

// act does one thing at random.
func (a *actor) act(t *testing.T) {
	all := 0
	for _, d := range deeds {
		all += d.weight
	}
	n := a.random.IntN(all)
	for _, d := range deeds {
		if n -= d.weight; n >= 0 {
			continue
		}
		if !d.do(a, t) {
			a.count(d.name + ": was not possible")
		} else if d.weight < 4 {
			a.count(d.name)
		}
		return
	}
}

// moment passes.
func (a *actor) moment(most time.Duration) { time.Sleep(time.Duration(a.random.Int64N(int64(most)))) }

func (a *actor) command(verb, tag string) *exec.Cmd {
	return testdaemon.Command(verb, "DIR="+a.s.dir, "SEEN="+a.s.seen, "DO=holds SEEN", "STOP_TIMEOUT_MS=1000", "TAG="+tag,
		[]string{"AS=", "AS=root"}[a.random.IntN(2)])
}

// verb runs one, and judges what it returned and said.
func (a *actor) verb(verb string) bool {
	s, tag := a.s, strconv.FormatInt(a.tags.Add(1), 10)
	starts, stops := verb == "start" || verb == "restart", verb == "stop" || verb == "restart"
	alone := starts && a.random.IntN(3) == 0 // then the daemon must be there when the verb returns
	if alone {
		s.alone.Lock()
		defer s.alone.Unlock()
	} else if stops {
		s.alone.RLock()
		defer s.alone.RUnlock()
	}
	before := s.ready(kernelLocks())
	c := a.command(verb, tag)
	began, ticks := time.Now(), bootTicks()
	out, _ := c.CombinedOutput()
	took := time.Since(began)
	code, said := c.ProcessState.ExitCode(), string(out)
	a.count(fmt.Sprintf("%s: %d", verb, code))
	a.Lock()
	a.slowest[verb] = max(a.slowest[verb], took.Round(time.Millisecond))
	a.Unlock()
	if took > verbLimit {
		a.violation("%s hung: %s", verb, took)
	}
	for _, p := range before {
		if stops && code == 0 && s.holds(p) {
			a.violation("%s returned 0, but %v of before is left: %v", verb, p, kernelLocks())
		}
	}
	if starts && code == 0 {
		a.record.started.Store(true)
		if alone {
			a.startedTruly(verb, tag)
		}
	}
	text := strings.NewReplacer(s.pidfile, "PIDFILE", s.lockfile, "LOCKFILE").Replace(said)
	if said != "" && !whatVerbsSay.MatchString(text) {
		a.violation("%s returned %d and said: %s", verb, code, text)
	}
	if _, after, named := strings.Cut(said, "(pid "); named {
		pid, _ := strconv.Atoi(after[:strings.IndexAny(after, " )")])
		// A bystander that was started meanwhile may have the daemon's pid. One that ends
		// between two looks is none either.
		if p := processOf(pid); p.start > 0 && p.start < ticks && !isADaemon(pid) && processOf(pid) == p {
			a.violation("%s named process %d, no daemon: %s", verb, pid, said)
		}
	}
	return true
}

// startedTruly is that of a start that returned 0, which nobody else may have ended since.
func (a *actor) startedTruly(verb, tag string) {
	p, holds := a.s.started(tag)
	if !holds {
		a.violation("%s returned 0, but its daemon holds nothing: %v", verb, kernelLocks())
		return
	}
	a.count(verb + ": 0, and the kernel names its daemon")
	for end := time.Now().Add(verbLimit); !slices.Contains(a.s.ready(kernelLocks()), p); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			a.violation("%s returned 0, but the action of %v did not run: %v", verb, p, kernelLocks())
			return
		}
	}
}

func (a *actor) interruptedStart(*testing.T) bool {
	c := a.command("start", "")
	_ = c.Start()
	a.moment(100 * time.Millisecond)
	_ = c.Process.Signal([]os.Signal{unix.SIGKILL, unix.SIGINT, unix.SIGTERM}[a.random.IntN(3)])
	_ = c.Wait()
	return true
}

// any is a process of the service, or 0.
func (a *actor) any() int {
	if pids := a.s.processes(); len(pids) > 0 {
		return pids[a.random.IntN(len(pids))]
	}
	return 0
}

func (a *actor) killAny(*testing.T) bool {
	a.s.alone.RLock()
	defer a.s.alone.RUnlock()
	pid := a.any()
	a.s.signal(pid, unix.SIGKILL)
	return pid != 0
}

// killHolder returns the pid of the daemon that it killed, or 0.
func (a *actor) killHolder() int {
	a.s.alone.RLock()
	defer a.s.alone.RUnlock()
	for _, l := range kernelLocks() {
		if l.on(a.s.device) && l.kind == "POSIX" && isADaemon(l.pid) {
			a.s.signal(l.pid, unix.SIGKILL)
			return l.pid
		}
	}
	return 0
}

func (a *actor) stopAndContinue(*testing.T) bool {
	pid := a.any()
	a.s.signal(pid, unix.SIGSTOP)
	a.moment(100 * time.Millisecond)
	a.s.signal(pid, unix.SIGCONT)
	return pid != 0
}

func (a *actor) recycle(*testing.T) bool {
	pid := a.killHolder()
	for range 20 {
		if pid == 0 {
			break
		}
		if unix.Kill(pid, 0) == nil {
			time.Sleep(time.Millisecond)
		} else if _, got := a.bystanders.add(pid, nil, a.record); got {
			return true
		}
	}
	return false
}

// remove removes NAME.pid, NAME.lock or both, unless a living daemon would then have neither.
func (s *stressed) remove(pidfile, lockfile bool) bool {
	s.files.Lock()
	defer s.files.Unlock()
	if pidfile && lockfile { // with the lock that a start needs
		f, err := os.Open(s.pidfile)
		if err != nil {
			return false
		}
		defer f.Close()
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return false
		}
	}
	isPidfile, isLockfile := inode(s.pidfile), inode(s.lockfile)
	for _, l := range kernelLocks() {
		switch {
		case !l.on(s.device) || l.pid == os.Getpid():
		case l.kind == "POSIX" && pidfile && (lockfile || l.file != isLockfile),
			l.kind == "FLOCK" && l.mode == "WRITE" && lockfile && (pidfile || l.file != isPidfile):
			return false // it has lost the other file already
		}
	}
	var errPidfile, errLockfile error
	if pidfile {
		errPidfile = os.Remove(s.pidfile)
	}
	if lockfile {
		errLockfile = os.Remove(s.lockfile)
	}
	return errPidfile == nil && errLockfile == nil
}

// overwrite has a verb find a bystander's pid in the pidfile.
func (a *actor) overwrite(*testing.T) bool {
	pid := a.bystanders.any()
	if pid == 0 {
		pid, _ = a.bystanders.add(0, nil, a.record)
	}
	f, err := os.OpenFile(a.s.pidfile, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return a.mislead(f, pid)
}

// mislead has a verb find that pid in the pidfile f, then removes the pidfile. What the file says
// is from now on no matter of the daemon's.
func (a *actor) mislead(f *os.File, pid int) bool {
	var st unix.Stat_t
	_ = unix.Fstat(int(f.Fd()), &st)
	a.s.overwritten.Store(fmt.Sprintf("%s:%d", a.s.device, st.Ino), true)
	_ = f.Truncate(0)
	_, err := f.WriteString(strconv.Itoa(pid))
	a.verb([]string{"stop", "reload", "restart", "status", "start"}[a.random.IntN(5)])
	a.s.remove(true, false)
	return err == nil
}

// lockShared has a verb find a pidfile that a bystander, which it names, has locked.
func (a *actor) lockShared(*testing.T) bool {
	f, err := os.OpenFile(a.s.pidfile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		return false
	}
	pid, _ := a.bystanders.add(0, f, a.record)
	return a.mislead(f, pid)
}

func (a *actor) remount(flags uintptr, data string) bool {
	return unix.Mount("", a.s.dir, "", unix.MS_REMOUNT|flags, "mode=755,"+data) == nil
}

// full leaves the pidfile's file system no free page for a while, or one.
func (a *actor) full(*testing.T) bool {
	if !a.s.mount.TryLock() {
		return false
	}
	defer a.s.mount.Unlock()
	var st unix.Statfs_t
	if unix.Statfs(a.s.dir, &st) != nil || !a.remount(0, fmt.Sprintf("size=%d", max(1, st.Blocks-st.Bfree)*uint64(st.Bsize))) {
		return false
	}
	a.moment(200 * time.Millisecond)
	return a.remount(0, plenty)
}

// readOnly cannot be while a process has a file open for writing, as a daemon has NAME.crash.
func (a *actor) readOnly(*testing.T) bool {
	if !a.s.mount.TryLock() {
		return false
	}
	defer a.s.mount.Unlock()
	if !a.remount(unix.MS_RDONLY, plenty) {
		return false
	}
	a.moment(200 * time.Millisecond)
	return a.remount(0, plenty)
}

func (a *actor) syslogdAgain(t *testing.T) bool {
	if a.syslogd == nil || !a.logging.TryLock() {
		return false
	}
	defer a.logging.Unlock()
	if a.random.IntN(2) == 0 {
		a.syslogd.Signal(t, unix.SIGSTOP)
		a.moment(200 * time.Millisecond)
		a.syslogd.Signal(t, unix.SIGCONT)
		return true
	}
	a.syslogd.Kill()
	a.moment(200 * time.Millisecond)
	a.syslogd.Start(t)
	return true
}
