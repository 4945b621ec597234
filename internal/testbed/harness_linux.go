// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// IsolateRoot is IsolateBothWays for daemons that root starts: in a user namespace there is
// nobody to become.
func IsolateRoot(t *testing.T) bool {
	t.Helper()
	NeedRoot(t)
	return IsolateBothWays(t)
}

// IsolateRootOneWay is IsolateRoot for tests that name the way themselves.
func IsolateRootOneWay(t *testing.T) bool {
	t.Helper()
	NeedRoot(t)
	return Isolate(t)
}

// IsolateIfRoot isolates what runs as root; others get by with a directory.
func IsolateIfRoot(t *testing.T) bool {
	t.Helper()
	return os.Geteuid() != 0 || Isolate(t)
}

// PrivateDir is a directory that only its user may enter.
func PrivateDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	return dir
}

// Must is for values without which a helper cannot go on.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Run runs what a person types, and returns what it prints; code is what it must return.
func Run(t testing.TB, code int, c *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	c.Stdout, c.Stderr = &out, &err
	_ = c.Run()
	require.NotNil(t, c.ProcessState)
	require.Equal(t, code, c.ProcessState.ExitCode(), "%s\n%s%s", c.Args, out.String(), err.String())
	return out.String(), err.String()
}

// Finish is Run for a test that judges the exit code itself.
func Finish(t testing.TB, c *exec.Cmd) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	_ = c.Run()
	require.NotNil(t, c.ProcessState)
	return c.ProcessState.ExitCode(), out.String()
}

// Foreground is a program that runs while the test does.
type Foreground struct {
	*exec.Cmd
	Stderr *Buffer // what it wrote, unless the command had a standard error
	t      testing.TB
	done   chan struct{}
}

// Buffer is a bytes.Buffer for several goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *Buffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *Buffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// RunInForeground starts the program; the test's end kills it.
func RunInForeground(t testing.TB, c *exec.Cmd) *Foreground {
	t.Helper()
	r := &Foreground{c, &Buffer{}, t, make(chan struct{})}
	if c.Stderr == nil {
		c.Stderr = r.Stderr
	}
	require.NoError(t, c.Start())
	go func() { _ = c.Wait(); close(r.done) }()
	t.Cleanup(func() { _ = c.Process.Kill(); <-r.done })
	return r
}

// Ended reports whether it has.
func (r *Foreground) Ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Exits waits for the end and returns the exit code.
func (r *Foreground) Exits() int {
	r.t.Helper()
	Eventually(r.t, r.Ended, "its end:\n%s", r.Stderr)
	return r.ProcessState.ExitCode()
}

// Says waits for a text on standard error.
func (r *Foreground) Says(text string) {
	r.t.Helper()
	Eventually(r.t, func() bool { return strings.Contains(r.Stderr.String(), text) }, "%q on standard error, not\n%s", text, r.Stderr)
}

// Kill sends it a signal.
func (r *Foreground) Kill(sig syscall.Signal) {
	r.t.Helper()
	require.NoError(r.t, r.Process.Signal(sig))
}

// Lazy is a string to be made when it is printed.
type Lazy func() string

func (l Lazy) String() string { return l() }

// Log is what the daemon svc sends to DevLog, without priority, time and tag.
type Log struct {
	mu    sync.Mutex
	lines []string
}

var syslogHead = regexp.MustCompile(`^<(\d+)>.*?svc(\[\d+\])?: `)

// Hear listens on DevLog until the end of the test.
func Hear(t testing.TB) *Log {
	t.Helper()
	h := &Log{}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: DevLog, Net: "unixgram"})
	require.NoError(t, err)
	require.NoError(t, os.Chmod(DevLog, 0o666))
	t.Cleanup(func() { c.Close(); os.Remove(DevLog) })
	go func() {
		for b := make([]byte, 1<<17); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			h.mu.Lock()
			h.lines = append(h.lines, syslogHead.ReplaceAllString(strings.TrimRight(string(b[:n]), "\n\x00"), ""))
			h.mu.Unlock()
		}
	}()
	return h
}

// Lines are all since Forget.
func (h *Log) Lines() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.lines...)
}

// Text is Lines as one string.
func (h *Log) Text() string { return strings.Join(h.Lines(), "\n") }

// WaitFor waits for a line that contains text.
func (h *Log) WaitFor(t testing.TB, text string) {
	t.Helper()
	Eventually(t, func() bool { return strings.Contains(h.Text(), text) }, "%q in syslog", text)
}

// Forget empties the log.
func (h *Log) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = nil
}

// PIDIn waits for a pid in the file.
func PIDIn(t testing.TB, file string) int {
	t.Helper()
	var pid int
	Eventually(t, func() bool {
		text, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(string(text))
		return pid > 0
	}, "a pid in %s", file)
	return pid
}

// HeldBy asserts, from outside, that pid holds the pidfile and that the file says so.
func HeldBy(t testing.TB, path string, pid int) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	locks, err := os.ReadFile("/proc/locks")
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(`FLOCK +ADVISORY +WRITE +%d [0-9a-f]+:[0-9a-f]+:%d `, pid, info.Sys().(*syscall.Stat_t).Ino), string(locks))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(pid), string(text))
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	// A daemon that could write could name another process for root to stop.
	var held []string
	for fd, to := range Look(t, pid).FDs {
		if filepath.Base(to) == filepath.Base(path) {
			fdinfo, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
			require.NoError(t, err)
			_, flags, _ := strings.Cut(string(fdinfo), "flags:\t")
			n, err := strconv.ParseInt(strings.Fields(flags)[0], 8, 64)
			require.NoError(t, err)
			held = append(held, fmt.Sprintf("access %d, close on exec %t", n&unix.O_ACCMODE, n&unix.O_CLOEXEC != 0))
		}
	}
	assert.Equal(t, []string{"access 0, close on exec true"}, held, "its descriptors of the pidfile")
}

// NoLocks asserts that nobody has a file locked by flock(2).
func NoLocks(t testing.TB) {
	t.Helper()
	locks, err := os.ReadFile("/proc/locks")
	require.NoError(t, err)
	assert.NotContains(t, string(locks), "FLOCK")
}

// SocketPair is a connected pair of stream sockets.
func SocketPair() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b"), nil
}
