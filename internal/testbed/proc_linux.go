// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Proc is what /proc shows of a process, seen from outside.
type Proc struct {
	PID, PPID, PGID, SID, TTY int
	Comm, State, Cwd          string
	Args                      []string
	Status                    map[string]string // /proc/PID/status: "Uid" → "0\t0\t0\t0"
	FDs                       map[int]string    // descriptor → what it is
}

// Look reads /proc/PID; it fails the test when there is no such process.
func Look(t testing.TB, pid int) *Proc {
	t.Helper()
	p := &Proc{PID: pid, Status: Status(t, pid, 0), FDs: map[int]string{}}
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	require.NoError(t, err)
	text := string(stat)
	start, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	p.Comm = text[start+1 : end]
	f := strings.Fields(text[end+1:])
	p.State = f[0]
	for i, n := range []*int{&p.PPID, &p.PGID, &p.SID, &p.TTY} {
		*n, err = strconv.Atoi(f[1+i])
		require.NoError(t, err)
	}
	p.Cwd, err = os.Readlink(dir + "cwd")
	require.NoError(t, err)
	line, err := os.ReadFile(dir + "cmdline")
	require.NoError(t, err)
	p.Args = strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	fds, err := os.ReadDir(dir + "fd")
	require.NoError(t, err)
	for _, e := range fds {
		n, err := strconv.Atoi(e.Name())
		require.NoError(t, err)
		if target, err := os.Readlink(dir + "fd/" + e.Name()); err == nil {
			p.FDs[n] = target
		}
	}
	return p
}

// Status reads /proc/PID/status, or that of one of its threads if tid is not 0.
func Status(t testing.TB, pid, tid int) map[string]string {
	t.Helper()
	m, err := ReadStatus(pid, tid)
	require.NoError(t, err)
	return m
}

// ReadStatus is Status of a process that may have ended.
func ReadStatus(pid, tid int) (map[string]string, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	if tid != 0 {
		path = fmt.Sprintf("/proc/%d/task/%d/status", pid, tid)
	}
	text, err := os.ReadFile(path)
	m := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			m[k] = strings.TrimSpace(v)
		}
	}
	return m, err
}

// ReadStat returns the fields of proc_pid_stat(5) from the third on, or nil where there is no
// such process.
func ReadStat(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
}

// Threads lists the thread ids of a process.
func Threads(t testing.TB, pid int) []int {
	t.Helper()
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	require.NoError(t, err)
	var tids []int
	for _, n := range names {
		tid, err := strconv.Atoi(filepath.Base(n))
		require.NoError(t, err)
		tids = append(tids, tid)
	}
	return tids
}

// Alive is true while the process exists and is not a zombie. One whose first
// thread has ended before the others is still alive: it has its descriptors.
func Alive(pid int) bool {
	const state, threads = 0, 17 // fields 3 and 20
	f := ReadStat(pid)
	if f == nil || f[state] == "X" {
		return false
	}
	n, _ := strconv.Atoi(f[threads])
	return f[state] != "Z" || n > 1
}
