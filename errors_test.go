// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Errors: which are the stop's own, and the exit codes.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// statusError is like grpc's status.Error: the cause is in its text alone.
type statusError struct{ code, desc string }

func (e statusError) Error() string {
	return "rpc error: code = " + e.code + " desc = " + e.desc
}

// served is what Serve of net/http returns after how.
func served(t *testing.T, how func(*http.Server, net.Listener)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, time.Millisecond)
	how(s, l)
	return <-done
}

func TestErrorsThatTellOfTheStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	child := exec.CommandContext(ctx, "sleep", "1000")
	require.NoError(t, child.Start())
	cancel()
	shutdown := served(t, func(s *http.Server, _ net.Listener) { _ = s.Shutdown(t.Context()) })
	closed := served(t, func(_ *http.Server, l net.Listener) { _ = l.Close() })
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	file.Close()
	_, notOpen := file.Write(nil)
	_, readClosed := file.Stat()
	db := sql.OpenDB(nil)
	db.Close()
	for _, err := range []error{
		ctx.Err(), child.Wait(), shutdown, closed, notOpen, readClosed,
		http.ErrServerClosed, net.ErrClosed, fs.ErrClosed, os.ErrClosed, io.ErrClosedPipe, rpc.ErrShutdown, db.PingContext(t.Context()),
		fmt.Errorf("serve: %w", fmt.Errorf("http: %w", shutdown)),
		fmt.Errorf("serve: %v", closed), // a text alone
		errors.Join(ctx.Err(), shutdown, closed),
		fmt.Errorf("%w; %w", shutdown, net.ErrClosed),
		Fatal(shutdown),
		errors.New("grpc: the server has been stopped"),
		statusError{"Canceled", "context canceled"},
	} {
		assert.True(t, tellsOfStop(err, context.Canceled), "%T %v", err, err)
	}
}

func TestErrorsThatAreFailuresOfTheStop(t *testing.T) {
	shut, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	taken := make(chan struct{})
	slow := &http.Server{ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			close(taken)
		}
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go slow.Serve(l)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	<-taken // before, Shutdown has nothing to wait for
	late := slow.Shutdown(shut)
	require.ErrorIs(t, late, context.DeadlineExceeded)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	_, noSpace := full.WriteString("state")
	require.ErrorIs(t, noSpace, unix.ENOSPC)
	_, badDescriptor := os.NewFile(999, "x").Stat()
	for _, err := range []error{
		nil, late, noSpace, badDescriptor, io.EOF, io.ErrUnexpectedEOF, unix.ESHUTDOWN, unix.EPIPE, os.ErrPermission,
		exec.Command("false").Run(), exec.Command("sh", "-c", "kill -SEGV $$").Run(),
		errors.New("disk full"), errors.New("the server could not be stopped"), errors.New("cannot be closed"), errors.New(""),
		fmt.Errorf("shutdown: %w", late), fmt.Errorf("shutdown: %v", late),
		fmt.Errorf("the database could not be closed: %w", noSpace),
		fmt.Errorf("%w: then 3 messages were lost", errors.New("closed: 3 lost")),
		errors.Join(http.ErrServerClosed, noSpace), fmt.Errorf("%w; %w", late, net.ErrClosed),
		recoverPanic(func() error { panic(http.ErrServerClosed) }),
		statusError{"Unavailable", "connection closed by peer"},
	} {
		assert.False(t, tellsOfStop(err, context.Canceled), "%T %v", err, err)
	}
}

func TestExitCodesForOtherCommandLines(t *testing.T) {
	_, refused := New[int](nil, nil)
	for code, errs := range map[int][]error{
		0: {nil},
		1: {io.EOF, &RunningError{"/run/x.pid", 7}, &StartError{ExitCode: 1}},
		3: {errNoReload},
		4: {fs.ErrPermission, &StartError{ExitCode: 4}},
		6: {refused, DropPrivileges("", ""), fmt.Errorf("x: %w", refused)},
		7: {ErrNotRunning, fmt.Errorf("x: %w", ErrNotRunning)},
	} {
		for _, err := range errs {
			assert.Equal(t, code, ExitCode(err), "%v", err)
		}
	}
	assert.Equal(t, "daemonize: the daemon is not running", ErrNotRunning.Error())
	assert.ErrorIs(t, errNoReload, errors.ErrUnsupported)
	assert.Contains(t, bootError(frame{code: bootInClose, num: 22, text: "the limit is too high: ulimit -n 5"}), ": the limit is too high: ulimit -n 5")
}

func TestCrashCause(t *testing.T) {
	for text, want := range map[string]string{
		"panic: beyond\n\ngoroutine 7 [running]:\nmain.f()": "panic: beyond",
		"runtime stack:\nruntime.throw({0x5bd7d7?, 0x2?})\n\t/go/panic.go:1 +0x4\nruntime.newstack()\n\t/go/stack.go:2 +0x5\nruntime.morestack()\n\n" +
			"goroutine 10 gp=0x1 m=6 mp=0x2 [running]:\nmain.deep(0x154dd?)\n\t/x.go:3": "probably stack overflow: runtime.newstack main.deep",
		"goroutine 14 [running]:\ninternal/runtime/maps.fatal({0x5, 0x0?})\n\t/go/x.go:1\nmain.act.func1()\n\t/y.go:2\ncreated by main.act in goroutine 12\n\n" +
			"goroutine 1 [select]:\nmain.main()": "probably concurrent use of a map: internal/runtime/maps.fatal main.act.func1",
		"goroutine 3 [running]:\nruntime.throw({0x1})\n\t/x.go:1\nmain.(*T).f(...)\n\t/y.go:2": "goroutine 3 [running]: main.(*T).f",
		"": "",
	} {
		assert.Equal(t, want, crashCause(text))
	}
	assert.Equal(t, "panic: a b c d e", oneLine("panic: a\u202eb\u200fc\u2028d\x1be"))
}

// TestStandardErrorThatCannotBeWaitedFor: a pipe that epoll(7) does not take any more is like a
// file, which it never takes: to read it would hang the start.
func TestStandardErrorThatCannotBeWaitedFor(t *testing.T) {
	file, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer file.Close()
	_, err = newCapture(file)
	assert.ErrorIs(t, err, os.ErrNoDeadline)
	assert.ErrorContains(t, err, "max_user_watches")
}
