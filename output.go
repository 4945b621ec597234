// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Where a service's words go: standard output and error, package log, the library's own.

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ownLog is for the library's own messages alone: nobody's flood drops them.
var ownLog = NewQueue(0)

// logTimeout is how long we wait for a syslog daemon that takes no record: a stopped
// one blocks syslog(3) for ever, and a stop must not wait for it. One that is merely
// slow gets more time.
const logTimeout = 250 * time.Millisecond

// logNotice logs a message of the library's own, soon; what ends the process flushes
// ownLog first.
func logNotice(priority Priority, text string) { ownLog.Syslog(priority, text) }

// output is what the program says, but not by this package's functions.
type output struct {
	queue   *Queue   // for syslog
	file    *os.File // of OutputFile, until it is in its place
	readers []*lineReader
	stdio   *stdioID // what is in whose place; nil in run
	log     *logWriter
}

func newOutput() *output { return &output{queue: NewQueue(0)} }

// openOutputFile opens OutputFile, before the privileges are dropped.
func (d *daemon) openOutputFile(owner *account) (err error) {
	if d.config.OutputFile != "" && !d.inForeground {
		d.output.file, err = openOutputFile(d.config.OutputFile, owner.uid, owner.gid)
	}
	return err
}

// openOutputFile refuses what may be a stranger's, as openTrusted does. The file belongs to
// the daemon's user from the beginning, who will have to reopen it.
func openOutputFile(path string, uid, gid int) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o640)
	if err == nil {
		if err = f.Chown(uid, gid); err == nil {
			return f, nil
		}
		f.Close()
		_ = os.Remove(path)
		return nil, fmt.Errorf("output file: %w", err)
	}
	if !os.IsExist(err) {
		return nil, fmt.Errorf("output file: %w (the directory must exist; set OutputFile)", err)
	}
	info, err := os.Lstat(path) // a look before: see openTrusted
	if err == nil {
		if err = checkFile("output file", path, info, uid); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, flags, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("output file: %w", err)
	}
	if info, err = f.Stat(); err == nil {
		err = checkFile("output file", path, info, uid)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// open makes what descriptors 1 and 2 become when the daemon is ready.
func (d *daemon) openOutput() (out, stderr *os.File, err error) {
	if !d.config.LogOutput {
		return d.output.file, d.output.file, nil
	}
	if out, err = d.output.pipe(LOG_INFO); err == nil {
		stderr, err = d.output.pipe(LOG_WARNING)
	}
	if err != nil {
		err = fmt.Errorf("pipe for standard output and error: %w", err)
	}
	return out, stderr, err
}

// pipe is one whose lines go to syslog. It belongs to the user that the daemon has become,
// who may then open /dev/stderr.
func (o *output) pipe(priority Priority) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	reader := newLineReader(r, func(line []byte) { o.queue.syslogBytes(priority, line) })
	go reader.run()
	o.readers = append(o.readers, reader)
	return writeEnd(w), nil
}

// stderrLine logs what children write that have the standard error of before ready.
func (o *output) stderrLine(line []byte) { o.queue.syslogBytes(LOG_WARNING, line) }

// reopenOutput opens OutputFile anew, for logrotate(8).
func (d *daemon) reopenOutput() {
	if d.config.OutputFile == "" || d.output.stdio == nil {
		return
	}
	f, err := openOutputFile(d.config.OutputFile, os.Geteuid(), os.Getegid())
	if err == nil {
		defer f.Close()
		err = errors.Join(d.output.stdio.put(f, 1), d.output.stdio.put(f, 2))
	}
	if err != nil {
		logNotice(LOG_ERR, "it goes on with the old output file: "+err.Error())
	}
}

// end passes on what is in the pipes, and takes no longer than limit.
func (o *output) end(limit time.Duration) error {
	if len(o.readers) > 0 && o.stdio != nil {
		for fd := 1; fd <= 2; fd++ { // a child may have them, and nobody reads any more
			if o.stdio[fd] == identifyStdio()[fd] {
				neverBlock(fd)
			}
		}
	}
	for _, r := range o.readers {
		r.end()
	}
	return o.queue.flush(logTimeout, limit)
}

// logWriter is where package log writes. Each message is in syslog when Write returns, so
// that log.Fatal's is; unless the syslog daemon takes none.
type logWriter struct {
	queue   *Queue
	stuckAt int64 // how many messages had been passed on when it last took too long
	flags   int   // that were taken from package log
}

// Write is called by one goroutine at a time.
func (w *logWriter) Write(p []byte) (int, error) {
	w.queue.syslogBytes(LOG_NOTICE, p)
	if w.queue.count() == w.stuckAt {
		return len(p), nil // it is stopped: no use to wait again
	}
	w.stuckAt = -1
	if w.queue.flush(logTimeout, 8*logTimeout) != nil {
		w.stuckAt = w.queue.count()
	}
	return len(p), nil
}

// takeLog takes package log's default logger, if it still writes to standard error.
// Where that goes to a file, it is left alone.
func (d *daemon) takeLog() {
	if log.Writer() != io.Writer(os.Stderr) || d.config.OutputFile != "" && !d.inForeground {
		return
	}
	const dates = log.Ldate | log.Ltime | log.Lmicroseconds | log.LUTC // syslog has its own
	w := &logWriter{queue: d.output.queue, stuckAt: -1, flags: log.Flags() & dates}
	log.SetFlags(log.Flags() &^ dates)
	log.SetOutput(w)
	d.output.log = w
}

// giveLogBack undoes takeLog, for the caller of Run.
func (d *daemon) giveLogBack() {
	if w := d.output.log; w != nil && log.Writer() == io.Writer(w) {
		log.SetOutput(os.Stderr)
		log.SetFlags(log.Flags() | w.flags)
	}
}
