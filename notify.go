//go:build unix

package daemonize

// sd_notify(3): what a supervisor is told.

import (
	"fmt"
	"os"
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
func (n *notifier) send(assignments ...string) {
	if n == nil {
		return
	}
	_ = n.socket.SetWriteDeadline(time.Now().Add(tellPatience))
	_, _ = n.socket.Write([]byte(strings.Join(assignments, "\n")))
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
// it: it is sd_notify(3)'s STATUS=. Until the daemon is ready, the verbs start
// and restart show it on a terminal when they have to wait. Elsewhere, and in
// other programs, it does nothing. Control characters become spaces. It needs no
// privilege.
func SetStatus(text string) {
	if sink := statusSink.Load(); sink != nil {
		(*sink)(oneLine(text))
	}
}
