// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// A daemon for as long as one likes.

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soaking is a daemon that logs all the time and tells at each reload how many goroutines
// it has.
var _ = testbed.Helper("soaking", func() {
	daemonize.Serviced(func(ctx context.Context, _ int) error {
		for n := 0; ctx.Err() == nil; n++ {
			daemonize.Syslogf(daemonize.LOG_INFO, "message %d", n)
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
		return nil
	}, &daemonize.Config[int]{
		Name: "svc",
		User: "root",
		Reload: func(context.Context) error {
			daemonize.Syslog(daemonize.LOG_NOTICE, "reloading")
			runtime.GC()
			return os.WriteFile("/run/reloaded", fmt.Append(nil, runtime.NumGoroutine()), 0o600)
		},
	})
})

// use is what a process costs.
type use struct{ fds, threads, goroutines, kilobytes int }

// TestSoak lets a daemon log, reload and be restarted for as long as DAEMONIZE_SOAK says,
// and compares what it costs at the beginning of a life and at its end:
//
//	DAEMONIZE_SOAK=10m go test -run TestSoak -v -timeout 1h ./test/stop
func TestSoak(t *testing.T) {
	length := time.Duration(0) // two lives
	if text := os.Getenv("DAEMONIZE_SOAK"); text != "" {
		length = testbed.Must(time.ParseDuration(text))
	}
	if !testbed.IsolateRoot(t) {
		return
	}
	// Somebody must read, or the socket's queue is full; a file would fill the disk.
	testbed.StartSyslogd(t, "busybox")
	measure := func(pid int) (u use) {
		_ = os.Remove("/run/reloaded")
		testbed.Run(t, 0, testbed.Command("soaking", "reload"))
		testbed.Eventually(t, func() bool {
			text, _ := os.ReadFile("/run/reloaded")
			u.goroutines, _ = strconv.Atoi(string(text))
			return u.goroutines > 0
		}, "the reload")
		u.fds = len(testbed.Look(t, pid).FDs)
		u.threads = len(testbed.Threads(t, pid))
		u.kilobytes = testbed.Must(strconv.Atoi(strings.TrimSuffix(testbed.Status(t, pid, 0)["VmRSS"], " kB")))
		return u
	}
	end := time.Now().Add(length)
	life := max(length/5, 400*time.Millisecond)
	lives, reloads := 0, 0
	var first use
	for ; lives < 2 || time.Now().Before(end); lives++ {
		testbed.Run(t, 0, testbed.Command("soaking", "restart"))
		pid := testbed.One(t, "soaking")
		for range 20 {
			measure(pid) // it has what it needs, once it has done everything
		}
		born := measure(pid)
		if lives == 0 {
			first = born
		}
		dies := time.Now().Add(life)
		var last use
		for time.Now().Before(dies) {
			last = measure(pid)
			reloads++
		}
		t.Logf("life %d: %+v, then %+v", lives, born, last)
		for _, before := range []use{born, first} {
			assert.LessOrEqual(t, last.fds, before.fds+1, "a descriptor of the poller's")
			assert.LessOrEqual(t, last.threads, before.threads+4, "the Go runtime's")
			assert.LessOrEqual(t, last.goroutines, before.goroutines+1)
			assert.Less(t, last.kilobytes, before.kilobytes+8<<10)
		}
		require.False(t, t.Failed())
	}
	t.Logf("%d lives, %d reloads", lives, reloads)
	testbed.Run(t, 0, testbed.Command("soaking", "stop"))
	testbed.None(t, "soaking")
	testbed.NoLocks(t)
}
