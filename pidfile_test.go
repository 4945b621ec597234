// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The pidfile and the report without daemons: parsers, and what fuzzers find in them.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// garbage is what no pidfile of a living daemon holds.
var garbage = []string{
	"", "abc", "12abc", "-5", "+5", "0", "00", "01", " 1", "1 ", "\n", "12\n\n", "12\r\n", "12\x00", "\x0012", "99999999999",
	"4294967296", "2147483648", "0x10", "1e3", "１２", strings.Repeat("9", 1<<20),
}

func TestParsePIDTakesDigitsAlone(t *testing.T) {
	for _, text := range garbage {
		_, ok := parsePID([]byte(text))
		assert.False(t, ok, "%.20q", text)
	}
	for text, want := range map[string]int{"1": 1, "2": 2, "640": 640, "640\n": 640, "2147483647": 2147483647} {
		pid, ok := parsePID([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, want, pid)
	}
}

func FuzzParsePID(f *testing.F) {
	for _, text := range append(garbage[:len(garbage)-1], "1", "640\n") {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		pid, ok := parsePID(text)
		if !ok {
			assert.Zero(t, pid)
			return
		}
		// The kernel's own writing of the number, and at most a newline.
		assert.Positive(t, pid)
		assert.Equal(t, []byte(strings.TrimSuffix(string(text), "\n")), []byte(itoa(pid)))
	})
}

func itoa(n int) string {
	var digits []byte
	for ; n > 0; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return string(digits)
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("r\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("e\x01\x02\x00\x00\x00\x00\x00ab"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readFrame(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		var again strings.Builder
		require.NoError(t, writeFrame(&again, got))
		assert.Equal(t, string(b[:again.Len()]), again.String())
	})
}

// FuzzAwait gives the launcher whatever a daemon gone mad may send: it comes to a
// verdict, and to "ready" only if it was told so.
func FuzzAwait(f *testing.F) {
	report := func(frames ...frame) (b []byte) {
		var text strings.Builder
		for _, fr := range frames {
			_ = writeFrame(&text, fr)
		}
		return []byte(text.String())
	}
	booted, stage, ready := frame{kind: frameBooted, num: 7}, frame{kind: frameStage, text: "while it slept"}, frame{kind: frameReady}
	f.Add(report())
	f.Add(report(booted, stage, stage, ready))
	f.Add(report(booted, stage)[:12])
	f.Add(report(frame{kind: frameBootError, code: bootInFork, num: 11}))
	f.Add(report(booted, frame{kind: frameFailed, code: 6, text: "no such user"}, ready))
	f.Add(report(frame{kind: frameRunning, num: -1, text: "/run/x.pid"}))
	f.Add(report(frame{kind: 0, code: 255, num: -5, text: "\x00"}))
	f.Fuzz(func(t *testing.T, sent []byte) {
		defer detached.Store(false)
		ours, theirs, err := reportPair()
		require.NoError(t, err)
		defer ours.Close()
		go func() {
			_, _ = theirs.Write(sent)
			theirs.Close()
		}()
		stderr, theirStderr, err := os.Pipe()
		require.NoError(t, err)
		theirStderr.Close()
		defer stderr.Close()
		text, err := newCapture(stderr)
		require.NoError(t, err)
		child, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
		require.NoError(t, err)
		_, got := await(ours, text, false, child, 0, func(string) {})

		want := false
		for rest := strings.NewReader(string(sent)); ; {
			fr, err := readFrame(rest)
			if err == nil && (fr.kind == frameBooted || fr.kind == frameStage) {
				continue
			}
			want = err == nil && fr.kind == frameReady
			break
		}
		assert.Equal(t, want, got == nil, "%v", got)
		assert.Equal(t, want, detached.Load())
		if got != nil {
			assert.NotPanics(t, func() { _, _ = got.Error(), ExitCode(got) })
			assert.NotZero(t, ExitCode(got), "a start that failed never exits 0: %v", got)
		}
	})
}

func TestAcquireWriteRemove(t *testing.T) {
	path := filepath.Join(private(t), "x.pid")
	p, err := acquire(path)
	require.NoError(t, err)
	status, err := probe(path)
	require.NoError(t, err)
	assert.Equal(t, Status{State: Running, PID: 0}, status, "locked, and empty")
	line, err := os.ReadFile(companionPath(path))
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("%d %s\n", os.Getpid(), path), string(line))
	require.NoError(t, p.rewrite("640"))
	_, err = probe(path)
	assert.ErrorContains(t, err, fmt.Sprintf("%s names process 640, but process %d holds %s", path, os.Getpid(), companionPath(path)))
	_, err = acquire(path)
	assert.ErrorContains(t, err, "names process 640")
	require.NoError(t, p.writePID())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(os.Getpid()), string(b))
	_, err = acquire(path)
	assert.Equal(t, &RunningError{path, os.Getpid()}, err)
	p.remove()
	assert.NoFileExists(t, path)
	assert.NoFileExists(t, companionPath(path))
	status, err = probe(path)
	require.NoError(t, err)
	assert.Equal(t, Stopped, status.State)
	_, err = stopHolder(path, 0)
	assert.ErrorIs(t, err, ErrNotRunning)
}

// private is a directory that checkDirectory likes.
func private(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	return dir
}

func TestRemoveLeavesASuccessorsFile(t *testing.T) {
	path := filepath.Join(private(t), "x.pid")
	p, err := acquire(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("641"), 0o600))
	p.remove()
	assert.FileExists(t, path)
}

func TestGarbageIsTakenOverAndNeverSignalled(t *testing.T) {
	path := filepath.Join(private(t), "x.pid")
	for _, text := range append(garbage, itoa(os.Getpid()), "1") {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		status, err := probe(path)
		require.NoError(t, err)
		assert.Equal(t, Status{State: Dead}, status, "%.20q", text)
		_, err = stopHolder(path, 0)
		assert.ErrorIs(t, err, ErrNotRunning)
		assert.NoFileExists(t, path, "stop tidies up")

		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		p, err := acquire(path)
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Zero(t, info.Size(), "the old text is gone before the lock is exclusive")
		p.remove()
	}
	require.NoError(t, os.WriteFile(path, []byte("1"), 0o600))
	require.NoError(t, os.Truncate(path, 1<<30))
	p, err := acquire(path)
	require.NoError(t, err)
	p.remove()
}

func TestDirectoriesThatAreRefused(t *testing.T) {
	dir := private(t)
	for _, c := range []struct {
		name, says string
		mode       os.FileMode
		code       int
	}{
		{"missing", "does not exist: create it, or set PidfileDirectory", 0, 6},
		{"file", "not a directory", 0o600, 6},
		{"open", "writable by others (mode 0777), who could replace the pidfile: chmod go-w, or set the sticky bit", os.ModeDir | 0o777, 6},
		{"group's", "writable by others (mode 0770), who could replace the pidfile: chmod go-w, or set the sticky bit", os.ModeDir | 0o770, 6}, // if we are root
		{"sticky", "", os.ModeDir | os.ModeSticky | 0o777, 0},
		{"private", "", os.ModeDir | 0o700, 0},
	} {
		if c.name == "group's" && os.Geteuid() != 0 {
			c.says, c.code = "", 0
		}
		path := filepath.Join(dir, c.name)
		switch {
		case c.mode.IsDir():
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chmod(path, c.mode))
		case c.mode != 0:
			require.NoError(t, os.WriteFile(path, nil, c.mode))
		}
		p, err := acquire(filepath.Join(path, "x.pid"))
		assert.Equal(t, c.code, ExitCode(err), "%s: %v", c.name, err)
		if c.says != "" {
			assert.ErrorContains(t, err, "pidfile directory "+path+": "+c.says)
			continue
		}
		require.NoError(t, err)
		p.remove()
	}
	assert.ErrorContains(t, checkDirectory("run"), "not an absolute path")
}

// --- What bench/ compares with libbsd's pidfile(3): go run ./bench pidfile ---

// BenchmarkPidfile is all that a daemon does with its pidfile.
func BenchmarkPidfile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.pid")
	for b.Loop() {
		p, err := acquire(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.rewrite(fmt.Sprint(os.Getpid())); err != nil {
			b.Fatal(err)
		}
		p.remove()
	}
}

func BenchmarkStatusRunning(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.pid")
	p, err := acquire(path)
	if err != nil {
		b.Fatal(err)
	}
	defer p.remove()
	if err := p.rewrite(fmt.Sprint(os.Getpid())); err != nil {
		b.Fatal(err)
	}
	benchmarkStatus(b, path, Running)
}

func BenchmarkStatusStopped(b *testing.B) {
	benchmarkStatus(b, filepath.Join(b.TempDir(), "bench.pid"), Stopped)
}

func benchmarkStatus(b *testing.B, path string, want State) {
	b.Helper()
	for b.Loop() {
		if status, err := probe(path); err != nil || status.State != want {
			b.Fatal(status, err)
		}
	}
}

// TestSignalWithoutPidfdChecksTheLockFirst: the pid in a file that nobody
// has locked is not signalled.
func TestSignalWithoutPidfdChecksTheLockFirst(t *testing.T) {
	sleeper := exec.Command("sleep", "1004")
	require.NoError(t, sleeper.Start())
	defer func() { _, _ = sleeper.Process.Kill(), sleeper.Wait() }()
	path := filepath.Join(private(t), "x.pid")
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(sleeper.Process.Pid)), 0o600))
	h := &holder{pid: sleeper.Process.Pid, path: path, pidfd: -1}
	defer h.close()
	assert.Equal(t, ErrNotRunning, h.signal(unix.SIGKILL))
	assert.NoError(t, sleeper.Process.Signal(unix.Signal(0)), "it lives")
}
