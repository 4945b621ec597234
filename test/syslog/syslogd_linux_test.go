// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package syslog_test

// How this package's syslog calls behave.

import (
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// text is the part of a record after its header.
func text(record string) string {
	return header.ReplaceAllString(strings.TrimRight(record, "\x00\n"), "") // a stream's end, musl's
}

func texts(records []string) []string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = text(r)
	}
	return all
}

func TestSyslogAllocatesNothing(t *testing.T) {
	if testbed.Race {
		t.Skip("the race detector allocates: go test -run TestSyslogAllocatesNothing ./test/syslog")
	}
	if !testbed.Isolate(t) {
		return
	}
	testbed.Drain(t)
	daemonize.Openlog("alloc", daemonize.LOG_PID, daemonize.LOG_DAEMON)
	w := daemonize.NewWriter(daemonize.LOG_INFO)
	line := []byte("a line\n")
	l := slog.New(daemonize.NewHandler(nil))
	for name, f := range map[string]func(){
		"syslog":  func() { daemonize.Syslog(daemonize.LOG_INFO, "hello, world") },
		"writer":  func() { w.Write(line) },
		"handler": func() { l.Info("hello", "user", "x", "n", 7) },
	} {
		assert.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

func TestNdelayConnectsInOpenlog(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	r := testbed.Record(t, "unixgram")
	daemonize.Openlog("delay", daemonize.LOG_ODELAY, daemonize.LOG_DAEMON)
	_, connected := testbed.FindLogDescriptor(t)
	assert.False(t, connected, "LOG_ODELAY")
	daemonize.Openlog("delay", daemonize.LOG_NDELAY, daemonize.LOG_DAEMON)
	fd := testbed.LogDescriptor(t)
	require.NoError(t, os.Rename(testbed.DevLog, testbed.DevLog+".moved"), "as a chroot would")
	daemonize.Syslog(daemonize.LOG_INFO, "there already")
	assert.Equal(t, "delay: there already", text(r.Next(t)))
	assert.Equal(t, fd, testbed.LogDescriptor(t))
	daemonize.Closelog()
	_, connected = testbed.FindLogDescriptor(t)
	assert.False(t, connected, "Closelog")
}

func TestSyslogLeavesNothingToChildren(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Record(t, "unixgram")
	daemonize.Openlog("fd", daemonize.LOG_NDELAY, daemonize.LOG_DAEMON)
	flags, err := unix.FcntlInt(uintptr(testbed.LogDescriptor(t)), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.NotZero(t, flags&unix.FD_CLOEXEC)
}

func TestSyslogFrom64Goroutines(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	for _, network := range []string{"unixgram", "unix"} {
		if otherLibc && network == "unix" {
			break // musl knows datagrams alone
		}
		r := testbed.Record(t, network)
		daemonize.Closelog() // glibc forgets the NUL when it reconnects from datagrams to a stream
		daemonize.Openlog("many", daemonize.LOG_PID, daemonize.LOG_LOCAL1)
		const goroutines, each = 64, 50
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range each {
					daemonize.Syslogf(daemonize.LOG_NOTICE, "%d-%d %s\nsecond line of %d-%d", g, i, strings.Repeat("x", 10*g), g, i)
					if i%10 == 0 {
						daemonize.Setlogmask(daemonize.LogUpto(daemonize.LOG_DEBUG))
						daemonize.Openlog("many", daemonize.LOG_PID, daemonize.LOG_LOCAL1)
					}
				}
			})
		}
		wg.Wait()
		daemonize.Syslog(daemonize.LOG_INFO, endOfCalls)
		got := r.Until(t, endOfCalls)
		var want []string
		for g := range goroutines {
			for i := range each {
				head := fmt.Sprintf("many[%d]: ", os.Getpid())
				want = append(want, head+fmt.Sprintf("%d-%d %s", g, i, strings.Repeat("x", 10*g)), head+fmt.Sprintf("second line of %d-%d", g, i))
			}
		}
		slices.Sort(want)
		got = texts(got)
		slices.Sort(got)
		assert.Equal(t, want, got)
		r.Close()
	}
}

// blockLog makes a /dev/log that nobody reads, and fills it; Syslog blocks
// until drain is called, which returns the records.
func blockLog(t *testing.T) (drain func() []string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	_ = os.Remove(testbed.DevLog)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: testbed.DevLog}))
	t.Cleanup(func() { unix.Close(fd) })
	c, err := net.Dial("unixgram", testbed.DevLog)
	require.NoError(t, err)
	defer c.Close()
	for {
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
		if _, err := c.Write([]byte("filling")); err != nil {
			break
		}
	}
	return func() (all []string) {
		for b := make([]byte, 1<<16); ; {
			n, err := unix.Read(fd, b)
			if err != nil {
				return all
			}
			if s := string(b[:n]); s != "filling" {
				all = append(all, s)
			}
		}
	}
}

func TestBlockedSyslogTakesOneThread(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	drain := blockLog(t)
	var wg sync.WaitGroup
	const callers = 200
	before := len(testbed.Threads(t, os.Getpid()))
	var started sync.WaitGroup
	for i := range callers {
		started.Add(1)
		wg.Go(func() {
			started.Done()
			daemonize.Syslogf(daemonize.LOG_INFO, "blocked %d", i)
		})
	}
	started.Wait()
	assert.Less(t, len(testbed.Threads(t, os.Getpid())), before+20)
	done := make(chan bool)
	go func() { wg.Wait(); close(done) }()
	var got []string
	testbed.Eventually(t, func() bool {
		got = append(got, drain()...)
		select {
		case <-done:
			return true
		default:
			return false
		}
	}, "blocked calls to return")
	assert.Len(t, append(got, drain()...), callers)
}

func TestQueueNeverBlocks(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	daemonize.Openlog("q", 0, daemonize.LOG_DAEMON)
	drain := blockLog(t)
	q := daemonize.NewQueue(10)
	h := slog.New(q.NewHandler(nil))
	l := log.New(q.NewWriter(daemonize.LOG_ERR), "", 0)
	start := time.Now()
	for i := range 10 {
		q.Syslog(daemonize.LOG_NOTICE, fmt.Sprint("direct ", i))
		h.Warn("handler", "i", i)
		l.Print("writer ", i)
	}
	assert.Less(t, time.Since(start), 10*time.Second, "who is blocked is so for ever")
	assert.ErrorIs(t, q.Flush(10*time.Millisecond), os.ErrDeadlineExceeded)
	var got []string
	report := -1
	testbed.Eventually(t, func() bool {
		got = append(got, drain()...)
		report = slices.IndexFunc(got, func(r string) bool { return strings.HasSuffix(text(r), " messages dropped") })
		return report >= 0
	}, "the number of dropped messages")
	flushed := make(chan error)
	go func() { flushed <- q.Flush(30 * time.Second) }()
	testbed.Eventually(t, func() bool {
		got = append(got, drain()...)
		select {
		case err := <-flushed:
			return assert.NoError(t, err)
		default:
			return false
		}
	}, "the rest of the queue")
	got = append(got, drain()...)
	assert.Equal(t, "q: direct 0", text(got[0]))
	assert.True(t, strings.HasPrefix(got[report], "<28>"), "LOG_DAEMON and LOG_WARNING: %q", got[report])
	var dropped int
	_, err := fmt.Sscanf(text(got[report]), "q: %d messages dropped", &dropped)
	require.NoError(t, err, "%q", got[report])
	assert.Equal(t, 30, len(got)-1+dropped, "each is logged or counted: %q", got)

	q.Syslog(daemonize.LOG_INFO, "after")
	require.NoError(t, q.Close(30*time.Second))
	assert.Equal(t, []string{"q: after"}, texts(drain()))
	q.Syslog(daemonize.LOG_INFO, "too late")
	assert.ErrorIs(t, q.Close(30*time.Second), os.ErrClosed)
	assert.Empty(t, drain())
}

func TestWriterWritesARecordALine(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	r := testbed.Record(t, "unixgram")
	daemonize.Openlog("w", 0, daemonize.LOG_DAEMON)
	w := daemonize.NewWriter(daemonize.LOG_LOCAL2 | daemonize.LOG_ERR)
	n, err := w.Write([]byte("two\nlines\n"))
	assert.NoError(t, err)
	assert.Equal(t, 10, n)
	n, err = w.Write(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	log.New(w, "prefix: ", 0).Printf("%d%%", 100)
	daemonize.Syslog(daemonize.LOG_INFO, endOfCalls)
	got := r.Until(t, endOfCalls)
	assert.Equal(t, []string{"w: two", "w: lines", "w: prefix: 100%"}, texts(got))
	for _, record := range got {
		assert.True(t, strings.HasPrefix(record, "<147>"), "%q", record)
	}
}

func TestHandlerSpeaksToSyslog(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	r := testbed.Record(t, "unixgram")
	daemonize.Openlog("h", 0, daemonize.LOG_DAEMON)
	slog.New(daemonize.NewHandler(nil)).Error("no space", "path", "/var")
	record := r.Next(t)
	assert.True(t, strings.HasPrefix(record, "<27>"), "%q", record)
	assert.Equal(t, "h: no space path=/var", text(record))
}
