// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package daemonize

// Queue: logging that never waits for the syslog daemon.

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// A Queue logs without ever making its caller wait: it takes messages, up to a
// number of them and of bytes, and a goroutine passes them to Syslog in order.
// While the queue is full, as it becomes when the syslog daemon is stopped,
// further messages are dropped; once the daemon takes messages again, the log
// says "N messages dropped". Records carry the time at which they leave the
// queue. [NewQueue] makes one; the zero value is of no use. Any number of
// goroutines may use it. What it holds when the process ends is lost: Close it
// first. An empty queue has no goroutine and holds no memory.
type Queue struct {
	most, mostBytes int // messages, and bytes of their text

	mu            sync.Mutex // guards the rest
	waiting       []queued
	bytes         int           // of those that wait, and of the one that is being passed on
	taken, passed int64         // how many messages
	progress      chan struct{} // if somebody waits: is closed at the next record
	running       bool          // run is
	closed        bool
	dropped       int
	reported      time.Time // when run last told of dropped messages
}

// queued is a message. then, if not nil, is called when it has been passed on.
type queued struct {
	priority Priority
	text     string
	then     func()
}

// NewQueue returns a queue for up to size messages; 0 or less means 1024. The text of all
// messages together may have size KiB, and at least 64 KiB: a message that would exceed
// that is dropped, too. An empty queue takes a message of any length.
func NewQueue(size int) *Queue {
	if size <= 0 {
		size = 1024
	}
	return &Queue{most: size, mostBytes: max(size, 64) << 10}
}

// Syslog is the function Syslog, but never blocks: it drops the message when
// the queue is full.
func (q *Queue) Syslog(priority Priority, message string) {
	q.put(queued{priority: priority, text: message})
}

func (q *Queue) put(m queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if len(q.waiting) >= q.most || q.bytes > 0 && q.bytes+len(m.text) > q.mostBytes {
		q.dropped++
		return
	}
	q.waiting = append(q.waiting, m)
	q.bytes += len(m.text)
	q.taken++
	if !q.running {
		q.running = true
		go q.run()
	}
}

// NewWriter is the function NewWriter, writing to the queue.
func (q *Queue) NewWriter(priority Priority) io.Writer { return writer{priority, q.syslogBytes} }

// NewHandler is the function NewHandler, logging to the queue.
func (q *Queue) NewHandler(opts *slog.HandlerOptions) slog.Handler {
	return newHandler(opts, q.syslogBytes)
}

// Flush waits until all messages taken so far have been passed to Syslog, or
// until the timeout is over: the error is then os.ErrDeadlineExceeded. After
// Close it is os.ErrClosed.
func (q *Queue) Flush(timeout time.Duration) error { return q.flush(timeout, timeout) }

// flush also gives up if no record has been passed on for as long as idle.
func (q *Queue) flush(idle, timeout time.Duration) error {
	late := time.NewTimer(timeout)
	defer late.Stop()
	stuck := time.NewTimer(idle)
	defer stuck.Stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for target := q.taken; q.passed < target && !q.closed; {
		if q.progress == nil {
			q.progress = make(chan struct{})
		}
		progress := q.progress
		q.mu.Unlock()
		var err error
		select {
		case <-progress:
			stuck.Reset(idle)
		case <-stuck.C:
			err = os.ErrDeadlineExceeded
		case <-late.C:
			err = os.ErrDeadlineExceeded
		}
		q.mu.Lock()
		if err != nil && q.passed < target && !q.closed {
			return err
		}
	}
	if q.closed {
		return os.ErrClosed
	}
	return nil
}

// Close is Flush, and the end of the queue: what it still holds, and what it
// is given later, is dropped. Closing it again does nothing and returns
// os.ErrClosed.
func (q *Queue) Close(timeout time.Duration) error {
	err := q.Flush(timeout)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.waiting = nil
	q.moved()
	return err
}

func (q *Queue) syslogBytes(priority Priority, text []byte) { q.Syslog(priority, string(text)) }

// run passes on what waits, and ends when nothing does.
func (q *Queue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 {
		m := q.waiting[0]
		q.waiting[0] = queued{}
		q.waiting = q.waiting[1:]
		for rest, more := m.text, true; more && !q.closed; { // record by record: each is progress
			var record string
			record, rest, more = cutRecord(rest, maxMessage)
			q.mu.Unlock()
			Syslog(m.priority, record)
			q.mu.Lock()
			q.moved()
		}
		if m.then != nil && !q.closed {
			q.mu.Unlock()
			m.then()
			q.mu.Lock()
		}
		q.bytes -= len(m.text)
		q.passed++
		q.report()
		q.moved()
	}
	q.waiting = nil
	q.running = false
}

// count is how many messages have been passed on.
func (q *Queue) count() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.passed
}

// moved wakes who waits for progress. The caller holds mu.
func (q *Queue) moved() {
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// report tells of dropped messages: at once when the queue is empty, once a
// second under a load that never lets it be. The caller holds mu.
func (q *Queue) report() {
	if q.dropped == 0 || q.closed || len(q.waiting) > 0 && time.Since(q.reported) < time.Second {
		return
	}
	n := q.dropped
	q.dropped = 0
	q.reported = time.Now()
	q.mu.Unlock()
	Syslogf(LOG_WARNING, "%d messages dropped", n)
	q.mu.Lock()
}
