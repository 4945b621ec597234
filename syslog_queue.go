//go:build unix

package daemonize

// Queue: logging that never waits for the syslog daemon.

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Queue logs without ever making its caller wait: it takes messages, up to
// a number of them, and a goroutine passes them to Syslog in order. While the
// queue is full, as it becomes when the syslog daemon is stopped, further
// messages are dropped; once the daemon takes messages again, the log says
// "N messages dropped". Records carry the time at which they leave the queue.
// [NewQueue] makes one; the zero value is of no use. Any number of goroutines
// may use it. What it holds when the process ends is lost: Close it first.
type Queue struct {
	messages chan queued
	dropped  atomic.Int64
	reported time.Time // when run last told of dropped messages
	quit     chan struct{}
	close    sync.Once
}

// queued is a message, or with flushed not nil a mark that Flush waits for.
type queued struct {
	priority Priority
	text     string
	flushed  chan struct{}
}

// NewQueue returns a queue for up to size messages; 0 or less means 1024. It
// runs until Close.
func NewQueue(size int) *Queue {
	if size <= 0 {
		size = 1024
	}
	q := &Queue{messages: make(chan queued, size), quit: make(chan struct{})}
	go q.run()
	return q
}

// Syslog is the function Syslog, but never blocks: it drops the message when
// the queue is full.
func (q *Queue) Syslog(priority Priority, message string) {
	select {
	case q.messages <- queued{priority: priority, text: message}:
	default:
		q.dropped.Add(1)
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
func (q *Queue) Flush(timeout time.Duration) error {
	late := time.NewTimer(timeout)
	defer late.Stop()
	flushed := make(chan struct{})
	select {
	case q.messages <- queued{flushed: flushed}:
	case <-q.quit:
		return os.ErrClosed
	case <-late.C:
		return os.ErrDeadlineExceeded
	}
	select {
	case <-flushed:
		return nil
	case <-q.quit:
		return os.ErrClosed
	case <-late.C:
		return os.ErrDeadlineExceeded
	}
}

// Close is Flush, and the end of the queue: what it still holds, and what it
// is given later, is dropped. Closing it again does nothing and returns
// os.ErrClosed.
func (q *Queue) Close(timeout time.Duration) error {
	err := q.Flush(timeout)
	q.close.Do(func() { close(q.quit) })
	return err
}

func (q *Queue) syslogBytes(priority Priority, text []byte) { q.Syslog(priority, string(text)) }

func (q *Queue) run() {
	for {
		select {
		case <-q.quit:
			return
		case m := <-q.messages:
			if m.flushed == nil {
				Syslog(m.priority, m.text)
			}
			q.report()
			if m.flushed != nil {
				close(m.flushed)
			}
		}
	}
}

// report tells of dropped messages: at once when the queue is empty, once a
// second under a load that never lets it be.
func (q *Queue) report() {
	if q.dropped.Load() == 0 || len(q.messages) > 0 && time.Since(q.reported) < time.Second {
		return
	}
	Syslogf(LOG_WARNING, "%d messages dropped", q.dropped.Swap(0))
	q.reported = time.Now()
}
