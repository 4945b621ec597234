// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// What a supervisor such as systemd tells us and is told: sd_notify(3), sd_listen_fds(3).

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// notifier speaks sd_notify(3) to whoever supervises a daemon in the
// foreground. A nil one says nothing.
type notifier struct {
	socket *os.File
	once   sync.Once // for stopping
	mu     sync.Mutex
}

// newNotifier takes NOTIFY_SOCKET out of the environment, so that no child
// speaks for us, and connects while we may still reach the socket: the
// user that we become perhaps may not.
func newNotifier() (*notifier, error) {
	const variable = "NOTIFY_SOCKET"
	name := os.Getenv(variable)
	os.Unsetenv(variable)
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("%s=%.200q is neither a path nor an abstract name: nobody is told when the daemon is ready", variable, name)
	}
	fd, err := unixSocket(unix.SOCK_DGRAM)
	if err == nil {
		if err = os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: name})); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s=%.200q: nobody is told when the daemon is ready: %w", variable, name, err)
	}
	return &notifier{socket: pollable(fd, name)}, nil
}

// send sends one message of assignments. A supervisor that hangs must not
// hold us up, and one that is gone is none of our business.
func (n *notifier) send(assignments ...string) { _ = n.write(assignments...) }

func (n *notifier) write(assignments ...string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock() // the time limit is the socket's, not the message's
	defer n.mu.Unlock()
	_ = n.socket.SetWriteDeadline(time.Now().Add(logTimeout))
	_, err := n.socket.Write([]byte(strings.Join(assignments, "\n")))
	return err
}

// readyTimeout is how long a supervisor may leave its socket full: systemd's
// default for a whole start.
const readyTimeout = 90 * time.Second

// ready sends READY=1. A supervisor that missed it would end the daemon: while its
// socket is full, this tries again beside the action, until ctx ends.
func (n *notifier) ready(ctx context.Context) {
	if !errors.Is(n.write("READY=1"), os.ErrDeadlineExceeded) {
		return
	}
	logNotice(LOG_WARNING, "waiting for the supervisor to take READY=1: its notify socket is full")
	go func() {
		for start := time.Now(); ctx.Err() == nil; {
			if !errors.Is(n.write("READY=1"), os.ErrDeadlineExceeded) {
				return
			}
			if time.Since(start) > readyTimeout {
				logNotice(LOG_ERR, "the supervisor never took READY=1: its notify socket is full")
				return
			}
		}
	}()
}

// reloading says when, for Type=notify-reload: it wants to know that it is this
// reload that the next READY=1 ends.
func (n *notifier) reloading() {
	n.send(append([]string{"RELOADING=1"}, monotonic()...)...)
}

// stopping says so once.
func (n *notifier) stopping() {
	if n != nil {
		n.once.Do(func() { n.send("STOPPING=1") })
	}
}

func (n *notifier) close() {
	if n != nil {
		n.socket.Close()
	}
}

// statusSink is where SetStatus goes while a daemon runs in this process.
var statusSink atomic.Pointer[func(string)]

// SetStatus tells in a few words what the daemon is doing. Where the daemon
// runs under systemd in the foreground (the verb run), systemctl status shows
// the text: it is sd_notify(3)'s STATUS=. Until the daemon is ready, the verbs start
// and restart show the text on a terminal when they have to wait. In all other cases
// SetStatus does nothing. Control characters become spaces. It needs no privilege.
func SetStatus(text string) {
	if sink := statusSink.Load(); sink != nil {
		(*sink)(oneLine(text))
	}
}

// supervisor is who is told while a daemon runs in the foreground of this process.
var supervisor atomic.Pointer[notifier]

// Notify tells the supervisor of a daemon in the foreground (the verb run) some of
// sd_notify(3)'s assignments, in one message: "WATCHDOG=1" in time keeps systemd's
// WatchdogSec= from ending it, "EXTEND_TIMEOUT_USEC=…" asks for more time to start or
// stop. READY=1, STOPPING=1, RELOADING=1 and STATUS= are sent by this package: see
// Config.ReadyByAction and [SetStatus]. No descriptor goes along (FDSTORE=1).
//
// Notify returns false and nil where no supervisor set NOTIFY_SOCKET, under the verb
// start, say. An assignment that has no name, no '=' or contains a newline is an error,
// and nothing is sent.
// If the socket is full for 250 ms the error is an os.ErrDeadlineExceeded. Any
// goroutine may call it; it needs no privilege.
//
// A daemon under a watchdog finds the microseconds in the environment variable
// WATCHDOG_USEC, which counts if WATCHDOG_PID is its own pid or not set: see
// sd_watchdog_enabled(3), which advises to call Notify after half of that time.
func Notify(assignments ...string) (sent bool, err error) {
	for _, a := range assignments {
		if strings.Contains(a, "\n") || strings.Index(a, "=") < 1 {
			return false, fmt.Errorf("notify: %.200q is no assignment, NAME=VALUE on one line, as sd_notify(3) wants it", a)
		}
	}
	n := supervisor.Load()
	if n == nil || len(assignments) == 0 {
		return false, nil
	}
	if err := n.write(assignments...); err != nil {
		return false, fmt.Errorf("notify: cannot tell the supervisor: %w", err)
	}
	return true, nil
}

// readySink is what Ready calls while an action is waited for.
var readySink atomic.Pointer[func()]

// Ready says that the daemon is ready, where Config.ReadyByAction is set. The verb start,
// which waits for that, ends with success. A supervisor such as systemd is told. Both have
// been told when Ready returns. Only the first call counts. In other programs, and without
// ReadyByAction, Ready does nothing. Any goroutine may call it; it needs no privilege.
func Ready() {
	if ready := readySink.Load(); ready != nil {
		(*ready)()
	}
}

// ListenFiles returns the descriptors that a service manager has opened for
// this process, in the manager's order: socket activation, see sd_listen_fds(3). A file's
// Name is the name that the socket unit gave it. Make listeners of the files with
// net.FileListener, in PrivilegedAction, say. Every call returns the same files. There
// are none without socket activation. There are none under the verb start, whose daemon
// inherits no descriptors: use run.
//
// The first call, which run makes before anything else, marks the descriptors
// close-on-exec and removes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from the
// environment: the variables are not for the children. ListenFiles needs no privilege.
func ListenFiles() []*os.File { return listenFiles() }

var listenFiles = sync.OnceValue(func() []*os.File {
	const first = 3 // SD_LISTEN_FDS_START
	take := func(variable string) string {
		defer os.Unsetenv(variable)
		return os.Getenv(variable)
	}
	pid, err1 := strconv.Atoi(take("LISTEN_PID"))
	n, err2 := strconv.Atoi(take("LISTEN_FDS"))
	names := strings.Split(take("LISTEN_FDNAMES"), ":")
	if err1 != nil || err2 != nil || pid != os.Getpid() {
		return nil // for somebody else, who did not unset them
	}
	var files []*os.File
	for i := range n {
		fd := first + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			break // fewer than promised
		}
		name := fmt.Sprintf("LISTEN_FD_%d", fd)
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	return files
})
