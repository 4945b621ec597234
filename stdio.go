// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The standard descriptors: /dev/null, pipes, and handing them on.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// toStderr is os.Stderr for what a verb says. Go ends a process with SIGPIPE that writes to
// os.Stderr itself when nobody reads it any more: a restart half way, a start although its daemon is
// ready.
var toStderr io.Writer = stderrWriter{}

type stderrWriter struct{}

func (stderrWriter) Write(b []byte) (n int, err error) {
	conn, err := os.Stderr.SyscallConn()
	if err != nil {
		return 0, err
	}
	waited := conn.Write(func(fd uintptr) bool {
		for err = nil; n < len(b) && (err == nil || err == unix.EINTR); {
			var wrote int
			wrote, err = unix.Write(int(fd), b[n:])
			n += max(wrote, 0)
		}
		return err != unix.EAGAIN
	})
	return n, errors.Join(err, waited)
}

// openNull opens /dev/null and, as daemon(3) does, refuses anything else of
// that name.
func openNull() (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || !isNull(int(f.Fd()), &st) {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: os.DevNull, Err: unix.ENODEV}
	}
	return f, nil
}

// toNull puts /dev/null on the descriptors.
func toNull(fds ...int) error {
	null, err := openNull()
	if err != nil {
		return err
	}
	defer null.Close()
	for _, fd := range fds {
		if err := dup2(int(null.Fd()), fd); err != nil {
			return os.NewSyscallError("dup2", err)
		}
	}
	return nil
}

// stdioID tells what the descriptors 0, 1 and 2 are: devices and inodes.
type stdioID [3]struct{ dev, ino uint64 }

func identifyStdio() (id stdioID) {
	for fd := range id {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			id[fd].dev, id[fd].ino = uint64(st.Dev), uint64(st.Ino)
		}
	}
	return id
}

// put puts f, or /dev/null if it is nil, on a standard descriptor. If that no longer
// is what id knows, the program itself has put something there, which stays.
func (id *stdioID) put(f *os.File, fd int) error {
	if id[fd] != identifyStdio()[fd] {
		return nil
	}
	if f == nil {
		if err := toNull(fd); err != nil {
			return err
		}
	} else if err := onto(f, fd); err != nil {
		return err
	}
	id[fd] = identifyStdio()[fd]
	return nil
}

// onto is dup2(2). (File.Fd would make f blocking.)
func onto(f *os.File, fd int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(from uintptr) { failed = os.NewSyscallError("dup2", dup2(int(from), fd)) })
	return errors.Join(err, failed)
}

// writeEnd opens the write end of a pipe for reading, too, where /proc lets us:
// the pipe then always has a reader, and who writes to it after we have gone
// does not get SIGPIPE. Else it returns w.
func writeEnd(w *os.File) *os.File {
	if runtime.GOOS != "linux" {
		return w
	}
	conn, err := w.SyscallConn()
	if err != nil {
		return w
	}
	both := w
	_ = conn.Control(func(fd uintptr) {
		if n, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
			both = os.NewFile(uintptr(n), w.Name())
		}
	})
	if both != w {
		w.Close()
	}
	return both
}

// neverBlock has a full pipe refuse what is written to the descriptor, by
// EAGAIN. Without a reader the writer would wait for ever. The flag is one for
// all processes that have inherited the descriptor.
func neverBlock(fd int) { _ = unix.SetNonblock(fd, true) }

// sendStdio sends the daemon the read end of its standard error's pipe and, for
// noclose, our standard descriptors: the copy is started without, lest its
// early output show twice.
func sendStdio(report, pipe *os.File, noclose bool) error {
	conn, err := report.SyscallConn()
	if err != nil {
		return err
	}
	end, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	controlled := end.Control(func(pipe uintptr) {
		fds := []int{int(pipe)}
		if noclose {
			fds = append(fds, 0, 1, 2)
		}
		err = conn.Write(func(fd uintptr) bool {
			for sent = unix.EINTR; sent == unix.EINTR; {
				sent = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(fds...), nil, 0)
			}
			return sent != unix.EAGAIN
		})
	})
	return os.NewSyscallError("sendmsg", errors.Join(controlled, err, sent))
}

// receiveStdio waits for them, and puts the standard descriptors in their places.
func receiveStdio(report *os.File, noclose bool) (pipe *os.File, err error) {
	conn, err := report.SyscallConn()
	if err != nil {
		return nil, err
	}
	oob := make([]byte, unix.CmsgSpace(4*4))
	var n int
	var fds []int
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		syscall.ForkLock.RLock() // no child has them before they are close-on-exec
		defer syscall.ForkLock.RUnlock()
		for failed = unix.EINTR; failed == unix.EINTR; { // false would wait for more to come
			_, n, _, _, failed = unix.Recvmsg(int(fd), make([]byte, 1), oob, 0)
		}
		if failed == unix.EAGAIN {
			return false
		}
		if messages, err := unix.ParseSocketControlMessage(oob[:n]); err == nil && len(messages) == 1 {
			fds, _ = unix.ParseUnixRights(&messages[0])
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
		return true
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("cannot get the standard descriptors from the launcher: %w", err)
	}
	if want := map[bool]int{false: 1, true: 4}[noclose]; len(fds) < want {
		return nil, fmt.Errorf("the launcher sent %d of %d descriptors (did it call with noclose, too?): %w", len(fds), want, unix.EPROTO)
	}
	for i, fd := range fds[1:] {
		if noclose && err == nil {
			err = os.NewSyscallError("dup2", dup2(fd, i))
		}
		unix.Close(fd)
	}
	return pollable(fds[0], "standard error"), err
}

// isHungUp is true if nobody has the write end of a pipe.
func isHungUp(pipe *os.File) bool {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return true
	}
	fds := []unix.PollFd{{Events: unix.POLLIN}}
	_ = conn.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		_, err = unix.Poll(fds, 0)
	})
	return err == nil && fds[0].Revents&unix.POLLHUP != 0
}

// lineReader reads a pipe, in a goroutine that sleeps in the network poller.
type lineReader struct {
	file *os.File
	emit func(line []byte) // does not keep line; nil: nobody wants them

	buf     []byte
	pending int // bytes of a line that has no end yet
	ended   chan struct{}

	mu   sync.Mutex // guards stop
	stop bool
}

// lineDelay is how long a line without an end may wait for it.
const lineDelay = time.Second

func newLineReader(file *os.File, emit func(line []byte)) *lineReader {
	return &lineReader{file: file, emit: emit, buf: make([]byte, 4096), ended: make(chan struct{})}
}

// run reads until nobody has the other end any more, or until end.
func (r *lineReader) run() {
	defer close(r.ended)
	for late := false; ; {
		n, err := r.file.Read(r.buf[r.pending:])
		r.take(n)
		timeout := errors.Is(err, os.ErrDeadlineExceeded)
		if r.pending > 0 != late || timeout {
			late = r.pending > 0 && !timeout
			if !r.wake(late) {
				return // end does the rest
			}
		}
		if err != nil {
			r.flush()
		}
		if err != nil && !timeout {
			r.file.Close()
			return
		}
	}
}

// wake has the next Read end in time for a line without an end. It is false once
// end was called.
func (r *lineReader) wake(late bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var at time.Time
	if late {
		at = time.Now().Add(lineDelay)
	}
	return !r.stop && r.file.SetReadDeadline(at) == nil
}

// take passes on what n more bytes of the buffer make whole.
func (r *lineReader) take(n int) {
	text := r.buf[:r.pending+n]
	for {
		line, rest, found := bytes.Cut(text, []byte("\n"))
		if !found {
			break
		}
		r.line(line)
		text = rest
	}
	r.pending = copy(r.buf, text)
	if r.pending == len(r.buf) {
		r.flush()
	}
}

func (r *lineReader) flush() {
	r.line(r.buf[:r.pending])
	r.pending = 0
}

func (r *lineReader) line(line []byte) {
	if len(bytes.TrimSpace(line)) > 0 && r.emit != nil {
		r.emit(line)
	}
}

// end passes on what is in the pipe, and no more than that: others may write
// all the time. A nil reader has nothing.
func (r *lineReader) end() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.stop = true
	_ = r.file.SetReadDeadline(time.Now())
	r.mu.Unlock()
	<-r.ended
	if conn, err := r.file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) {
			_ = readNow(int(fd), func() []byte { return r.buf[r.pending:] }, r.take)
		})
	}
	r.flush()
	r.file.Close()
}

// readNow reads what a pipe holds, without waiting, and as much as a pipe can hold
// at most. take hears how many bytes are in the buffer. The error says why there is no
// more: unix.EAGAIN or the end; nil: there may be.
func readNow(fd int, buffer func() []byte, take func(n int)) error {
	for left := 64 << 10; left > 0; {
		n, err := unix.Read(fd, buffer())
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		default:
			take(n)
			left -= n
		}
	}
	return nil
}
