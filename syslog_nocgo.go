// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(cgo && !daemonizego)

package daemonize

// syslog(3) in pure Go: the bytes that glibc sends.

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds the text of one record.
const maxMessage = 7680

// logPath is _PATH_LOG, where the syslog daemon listens.
func logPath() string {
	switch runtime.GOOS {
	case "darwin":
		return "/var/run/syslog"
	case "dragonfly", "freebsd", "netbsd":
		return "/var/run/log"
	}
	return "/dev/log"
}

// goLog does what glibc's syslog.c does, byte for byte. The lock is held
// through a send, as libc's is: the socket blocks, so a full one takes one
// thread, however many goroutines log.
var goLog = localLog{facility: LOG_USER, fd: -1}

type localLog struct {
	sync.Mutex
	open     bool   // tag is set
	tag      string // "ident[pid]: "
	options  Option
	facility Priority
	denied   atomic.Int32 // setlogmask's mask, inverted in its eight bits: zero allows all

	fd     int // -1: not connected
	stream bool
	ours   unix.Stat_t // what fd was when it was opened
	now    unix.Stat_t // scratch, so that it need not be allocated

	buf    []byte
	second int64  // that stamp is for
	stamp  []byte // "Nov  2 15:04:05 "
	zone   *time.Location
}

func sysOpenlog(ident string, options Option, facility Priority) {
	l := &goLog
	l.Lock()
	defer l.Unlock()
	l.options = options
	if facility&^facilityMask == 0 {
		l.facility = facility
	}
	l.setTag(ident)
	if options&LOG_NDELAY != 0 && l.fd < 0 {
		l.connect()
	}
}

func sysSetlogmask(mask int) int {
	old := goLog.denied.Load()
	if mask != 0 {
		old = goLog.denied.Swap(int32(mask) ^ 0xff)
	}
	return int(old ^ 0xff)
}

func sysCloselog() {
	goLog.Lock()
	defer goLog.Unlock()
	goLog.close()
	goLog.open = false
}

func sysSyslog(priority Priority, message string) {
	l := &goLog
	if int(l.denied.Load())&(1<<(priority&severityMask)) != 0 {
		return
	}
	l.Lock()
	defer l.Unlock()
	if !l.open {
		l.setTag(defaultIdent())
	}
	if priority&facilityMask == 0 {
		priority |= l.facility
	}
	l.buf = append(l.buf[:0], '<')
	l.buf = strconv.AppendInt(l.buf, int64(priority), 10)
	l.buf = append(l.buf, '>')
	l.buf = append(l.buf, l.timestamp()...)
	text := len(l.buf)
	l.buf = append(l.buf, l.tag...)
	l.buf = append(l.buf, message...)
	end := len(l.buf)

	if l.options&LOG_PERROR != 0 {
		l.buf = append(l.buf, '\n')
		_ = writeAll(syscall.Stderr, l.buf[text:])
	}
	// NUL ends a record on a stream.
	l.buf = append(l.buf[:end], 0)
	if !l.send(end) && l.options&LOG_CONS != 0 {
		console(append(l.buf[:end], "\r\n"...)[text:])
	}
}

// setTag makes the part of each record that stays the same.
func (l *localLog) setTag(ident string) {
	if l.options&LOG_PID != 0 {
		ident += "[" + strconv.Itoa(os.Getpid()) + "]"
	}
	l.tag = ident + ": "
	l.open = true
}

// send sends buf, of which end bytes are the record; like glibc it connects
// anew and tries again once.
func (l *localLog) send(end int) bool {
	connected := l.fd >= 0
	if (connected || l.connect()) && l.write(end) == nil {
		return true
	}
	if connected {
		l.close()
		if l.connect() && l.write(end) == nil {
			return true
		}
	}
	l.close()
	return false
}

// write never writes to a file that took our descriptor's number: send(2)
// fails on what is no socket, and a socket would need a number that is out of
// the way (see moveUp), within the second since timestamp looked.
func (l *localLog) write(end int) error {
	if l.stream {
		if !l.isOurs() {
			return unix.EBADF
		}
		return writeAll(l.fd, l.buf[:end+1])
	}
	for {
		if err := unix.Send(l.fd, l.buf[:end], 0); err != unix.EINTR {
			return err
		}
	}
}

// connect connects with a datagram socket or, where the daemon's is one, a
// stream: as glibc, it tries the one that last worked first.
func (l *localLog) connect() bool {
	err := l.dial()
	if err == unix.EPROTOTYPE {
		l.stream = !l.stream
		err = l.dial()
	}
	return err == nil
}

func (l *localLog) dial() error {
	kind := unix.SOCK_DGRAM
	if l.stream {
		kind = unix.SOCK_STREAM
	}
	fd, err := unixSocket(kind)
	if err != nil {
		return err
	}
	fd = moveUp(fd)
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: logPath()})
	}
	if err == nil {
		err = unix.Fstat(fd, &l.ours)
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	l.fd = fd
	return nil
}

// moveUp gives a descriptor a high number. Files get the lowest that is free:
// a program that closes ours with all the others does not soon get its number
// again. Below 64: for more, Linux enlarges the process's table, and waits
// up to 10 ms for all threads to see it.
func moveUp(fd int) int {
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 48)
	if err != nil { // RLIMIT_NOFILE
		return fd
	}
	unix.Close(fd)
	return high
}

// isOurs is false when someone closed our descriptor, and true only if the
// number is not another file's by now, which then is neither written nor
// closed.
func (l *localLog) isOurs() bool {
	return unix.Fstat(l.fd, &l.now) == nil && l.now.Dev == l.ours.Dev && l.now.Ino == l.ours.Ino
}

func (l *localLog) close() {
	if l.fd >= 0 && l.isOurs() {
		unix.Close(l.fd)
	}
	l.fd = -1
}

// timestamp formats, and looks whether the descriptor is still ours, once a
// second: for each record that would cost a fifth of it.
func (l *localLog) timestamp() []byte {
	now := time.Now()
	if second := now.Unix(); second != l.second || l.zone == nil {
		if l.zone == nil {
			l.zone = localZone(os.Getenv("TZ"))
		}
		l.second = second
		if l.fd >= 0 && !l.isOurs() {
			l.fd = -1
		}
		l.stamp = now.In(l.zone).AppendFormat(l.stamp[:0], time.Stamp+" ")
	}
	return l.stamp
}

// startZone is TZ's or /etc/localtime's, whatever the program sets time.Local
// to later.
var startZone = time.Local

// localZone is libc's reading of TZ. Package time knows names and files, but
// none of the rules that POSIX lets TZ have, such as "CET-1CEST,M3.5.0,M10.5.0/3",
// except at the end of a tzfile(5): so it gets one that is nothing else.
func localZone(tz string) *time.Location {
	tz = strings.TrimPrefix(tz, ":")
	if tz == "" || tz[0] == '/' {
		return startZone
	}
	if zone, err := time.LoadLocation(tz); err == nil {
		return zone
	}
	block := "TZif2" + strings.Repeat("\x00", 15+4*4) + "\x00\x00\x00\x01\x00\x00\x00\x04" + "\x00\x00\x00\x00\x00\x00UTC\x00"
	zone, err := time.LoadLocationFromTZData(tz, []byte(block+block+"\n"+tz+"\n"))
	if err != nil {
		return time.UTC
	}
	return zone
}

// console is LOG_CONS. As with libc, a console that blocks blocks us.
func console(text []byte) {
	fd, err := unix.Open("/dev/console", unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = writeAll(fd, text)
}

// writeAll writes all of b; a datagram goes in one piece or not at all.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if n <= 0 && err != unix.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}
