// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// Many verbs at once.

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
)

// TestManyStartsMakeOneDaemon: a hundred at once, and an observer of /proc/locks.
func TestManyStartsMakeOneDaemon(t *testing.T) {
	rounds := 1 // 50 in CI
	if n, err := strconv.Atoi(os.Getenv("DAEMONIZE_ROUNDS")); err == nil && !testing.Short() {
		rounds = n
	}
	if !testbed.IsolateRoot(t) {
		return
	}
	for range rounds {
		done := make(chan struct{})
		most := make(chan int)
		go func() { // the observer
			n := 0
			b := make([]byte, 1<<16)
			for {
				f, err := os.Open("/proc/locks")
				if err != nil {
					panic(err)
				}
				got, _ := f.Read(b) // one read is one moment
				f.Close()
				n = max(n, strings.Count(string(b[:got]), "  WRITE "))
				select {
				case <-done:
					most <- n
					return
				default:
				}
			}
		}()
		var started sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		says := map[string]int{}
		for range 100 {
			started.Add(1)
			go func() {
				defer started.Done()
				c := testdaemon.Command("start")
				out, _ := c.CombinedOutput()
				mu.Lock()
				defer mu.Unlock()
				codes[c.ProcessState.ExitCode()]++
				says[string(out)]++
			}()
		}
		started.Wait()
		close(done)
		assert.LessOrEqual(t, <-most, 1, "never two exclusive locks")
		assert.Equal(t, map[int]int{0: 1, 1: 99}, codes, "%v", says)
		pid := testbed.One(t, "service")
		testbed.HeldBy(t, testdaemon.Pidfile, pid)
		for text := range says {
			assert.Regexp(t, `^$|^svc: PID file exists. Process already running\? \((pid `+strconv.Itoa(pid)+` holds |/var/run/svc.pid is locked)`, text)
		}
		testbed.Run(t, 0, testdaemon.Command("stop"))
		testdaemon.NothingLeft(t)
	}
}

// TestRestartsMakeOneDaemon: restart against restart, stop and start.
func TestRestartsMakeOneDaemon(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, _ = testdaemon.Command([]string{"restart", "restart", "stop", "start"}[i%4]).CombinedOutput()
		}()
	}
	all.Wait()
	testbed.Run(t, 0, testdaemon.Command("restart"))
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)
}
