// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// What TestStress sees from outside: /proc/locks, /proc/PID, and signals that reach bystanders.

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"golang.org/x/sys/unix"
)

// kernelLock is a line of /proc/locks. file is DEVICE:INODE.
type kernelLock struct {
	kind, mode string
	pid        int
	file       string
}

func (l kernelLock) on(device string) bool { return strings.HasPrefix(l.file, device+":") }

var lockLine = regexp.MustCompile(`(FLOCK|POSIX) +ADVISORY +(READ|WRITE) +(\d+) ([0-9a-f]+:[0-9a-f]+:\d+) `)

// kernelLocks reads /proc/locks. One read(2) of a page is one moment.
func kernelLocks() []kernelLock {
	f := testbed.Must(os.Open("/proc/locks"))
	defer f.Close()
	b := make([]byte, 4096)
	n, _ := f.Read(b)
	if n > 4000 {
		panic("more locks than one read of /proc/locks tells")
	}
	var all []kernelLock
	for _, m := range lockLine.FindAllSubmatch(b[:n], -1) {
		pid := testbed.Must(strconv.Atoi(string(m[3])))
		all = append(all, kernelLock{string(m[1]), string(m[2]), pid, string(m[4])})
	}
	return all
}

// inode is the file at path as /proc/locks has it, or "".
func inode(path string) string {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return ""
	}
	return fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
}

// process is one of the many that have a pid in turn.
type process struct {
	pid   int
	start int64 // bootTicks, or 0
}

// bootTicks is now as proc_pid_stat(5) has it.
func bootTicks() int64 {
	var now unix.Timespec
	testbed.Must(0, unix.ClockGettime(unix.CLOCK_BOOTTIME, &now))
	return now.Nano() / int64(10*time.Millisecond)
}

// processOf has no start where there is no such process, or it is ending: it releases its
// locks one after the other then.
func processOf(pid int) process {
	const state, flags, start, exiting = 0, 6, 19, 0x4 // fields 3, 9, 22; PF_EXITING
	f := testbed.ReadStat(pid)
	if f == nil {
		return process{pid, 0}
	}
	if n, err := strconv.Atoi(f[flags]); err != nil || n&exiting != 0 || f[state] == "Z" || f[state] == "X" {
		return process{pid, 0}
	}
	return process{pid, testbed.Must(strconv.ParseInt(f[start], 10, 64))}
}

// isADaemon is true of one that has reached the call; its launcher, and whoever stops it, are
// where we are.
func isADaemon(pid int) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == "/"
}

// ready are the daemons past ready: their action has the file SEEN locked.
func (s *stressed) ready(locks []kernelLock) (all []process) {
	for _, l := range locks {
		if p := processOf(l.pid); l.file == s.seenInode && p.start > 0 {
			all = append(all, p)
		}
	}
	return all
}

// holds is true while the process, one that was ready, has a lock that a daemon has.
func (s *stressed) holds(p process) bool {
	for _, l := range kernelLocks() {
		if l.pid == p.pid && (l.file == s.seenInode || l.on(s.device) && l.kind == "POSIX") {
			return processOf(p.pid) == p
		}
	}
	return false
}

// started is the daemon that a start with this tag has made, if it holds its files.
func (s *stressed) started(tag string) (process, bool) {
	for _, l := range kernelLocks() {
		if l.on(s.device) && (l.kind == "POSIX" || l.mode == "WRITE") {
			environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", l.pid))
			if p := processOf(l.pid); p.start > 0 && slices.Contains(strings.Split(string(environ), "\x00"), "TAG="+tag) {
				return p, true
			}
		}
	}
	return process{}, false
}

// observed is what the observer has seen.
type observed struct{ looks, ready, named int }

// observe looks at the services until it is over.
func observe(services []*stressed, over chan struct{}, r *record) (o observed) {
	for {
		select {
		case <-over:
			return o
		default:
		}
		o.looks++
		locks := kernelLocks()
		for _, s := range services {
			s.look(locks, &o, r)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func (s *stressed) look(locks []kernelLock, o *observed, r *record) {
	if daemons := s.ready(locks); len(daemons) > 0 {
		o.ready++
		if len(daemons) > 1 && !slices.ContainsFunc(daemons, func(p process) bool { return !s.holds(p) }) {
			r.violation("two daemons past ready: %v", daemons)
		}
	}
	f, err := os.Open(s.pidfile)
	if err != nil {
		return
	}
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return
	}
	held := func(locks []kernelLock) (all []kernelLock) {
		for _, l := range locks {
			if l.kind == "FLOCK" && l.mode == "WRITE" && l.on(s.device) && strings.HasSuffix(l.file, fmt.Sprintf(":%d", st.Ino)) {
				all = append(all, l)
			}
		}
		return all
	}
	// Forked first, the process that restarts has locked a dead daemon's file, to tidy up,
	// and becomes the daemon itself: only what it holds from then on counts.
	first := held(locks)
	if len(first) != 1 || !isADaemon(first[0].pid) || !slices.Equal(first, held(kernelLocks())) {
		return
	}
	b := make([]byte, 32)
	n, _ := f.Read(b)
	if n == 0 || !slices.Equal(first, held(kernelLocks())) {
		return
	}
	if _, ours := s.overwritten.Load(first[0].file); !ours {
		if o.named++; string(b[:n]) != strconv.Itoa(first[0].pid) {
			r.violation("the file says %q, the holder is %d", b[:n], first[0].pid)
		}
	}
}

// bystanders are processes that must not be signalled. They have all signals blocked, so that
// the kernel shows each one that they were sent; SIGKILL and SIGSTOP show themselves.
type bystanders struct {
	sync.Mutex
	pids []int
}

// add starts one; pid, if not 0, is the one that it must get, and lock a file that it has open.
func (b *bystanders) add(pid int, lock *os.File, r *record) (int, bool) {
	c := testbed.Program("sh", "-c", `[ $0 = 0 ] || echo $(($0 - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 10003 </dev/null >/dev/null 2>&1 & echo $!`, strconv.Itoa(pid))
	if lock != nil {
		c.ExtraFiles = []*os.File{lock}
	}
	out, err := startedWithSignalsBlocked(c)
	got, wrong := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || wrong != nil {
		r.violation("the harness: no bystander: %v %q", err, out)
		return 0, false
	}
	if pid != 0 && got != pid { // another one was faster
		_ = unix.Kill(got, unix.SIGKILL)
		return 0, false
	}
	b.Lock()
	defer b.Unlock()
	if b.pids = append(b.pids, got); len(b.pids) > 8 {
		b.retire(b.pids[0], r)
		b.pids = b.pids[1:]
	}
	return got, true
}

func startedWithSignalsBlocked(c *exec.Cmd) ([]byte, error) {
	runtime.LockOSThread() // its signal mask is what the child gets
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	testbed.Must(0, unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before))
	defer func() { testbed.Must(0, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)) }()
	return c.Output()
}

// retire ends one, after a look at what it was sent.
func (b *bystanders) retire(pid int, r *record) {
	if wrong := hit(pid); wrong != "" {
		r.violation("a bystander was signalled: %s", wrong)
		return
	}
	_ = unix.Kill(pid, unix.SIGKILL)
}

// retireAll is retire of each.
func (b *bystanders) retireAll(r *record) (n int) {
	b.Lock()
	defer b.Unlock()
	for _, pid := range b.pids {
		b.retire(pid, r)
	}
	n, b.pids = len(b.pids), nil
	return n
}

// any is a pid that a pidfile must not be believed.
func (b *bystanders) any() int {
	b.Lock()
	defer b.Unlock()
	if len(b.pids) == 0 {
		return 0
	}
	return b.pids[len(b.pids)-1]
}

// hit is what proc_pid_status(5) shows of a bystander that was signalled, or "".
func hit(pid int) string {
	status, err := testbed.ReadStatus(pid, 0)
	if err != nil {
		return fmt.Sprintf("%d is dead", pid)
	}
	const none = "0000000000000000"
	blocked, _ := strconv.ParseUint(status["SigBlk"], 16, 64)
	switch {
	case status["Name"] != "sleep" && status["Name"] != "sh" || blocked&(1<<(syscall.SIGTERM-1)) == 0:
		return fmt.Sprintf("the harness: %d is no bystander any more: %v", pid, status)
	case status["SigPnd"] != none || status["ShdPnd"] != none || strings.ContainsAny(status["State"][:1], "TtZX"):
		return fmt.Sprint(status)
	}
	return ""
}
