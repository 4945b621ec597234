// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// How the program's own functions are run: panics, runtime.Goexit, locked threads, time limits.

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// oneGoroutine calls functions one after the other in the same goroutine. So a
// thread that the privileged action locks (runtime.LockOSThread) is the action's, too,
// with its network namespace; and a child with Pdeathsig outlives the function that
// started it. One caller at a time.
type oneGoroutine struct{ calls chan func() }

// call turns a panic and runtime.Goexit of f into errors. Goexit takes its goroutine
// along: the next call gets a new one.
func (g *oneGoroutine) call(f func() error) error {
	if g.calls == nil {
		calls := make(chan func())
		g.calls = calls
		go func() {
			for f := range calls {
				f()
			}
		}()
	}
	done := make(chan error, 1)
	g.calls <- func() {
		err, isGone := errors.New("it ended its goroutine (runtime.Goexit)"), true
		defer func() {
			if v := recover(); v != nil {
				err, isGone = fmt.Errorf("panic: %v\n%s", v, debug.Stack()), false
			}
			if isGone {
				g.calls = nil
			}
			done <- err
		}()
		err = f()
		isGone = false
	}
	return <-done
}

// end ends the goroutine.
func (g *oneGoroutine) end() {
	if g.calls != nil {
		close(g.calls)
	}
}

// recoverPanic turns a panic and runtime.Goexit of f into errors.
func recoverPanic(f func() error) error {
	var g oneGoroutine
	defer g.end()
	return g.call(f)
}

// within is false if f takes longer than limit; f goes on then.
func within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}
