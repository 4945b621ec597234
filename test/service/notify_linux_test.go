// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// What a daemon tells its supervisor itself: sd_notify(3) and the watchdog.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// watched is a daemon under a watchdog; DO says whether it feeds it.
var _ = testbed.Helper("watched", func() {
	daemonize.Serviced(func(ctx context.Context, _ int) error {
		for _, bad := range []string{"READY", "=1", "A=b\nREADY=1", ""} {
			if sent, err := daemonize.Notify(bad); sent || err == nil {
				return fmt.Errorf("%q was sent", bad)
			}
		}
		limit, err := strconv.Atoi(os.Getenv("WATCHDOG_USEC"))
		if pid := os.Getenv("WATCHDOG_PID"); err != nil || pid != "" && pid != fmt.Sprint(os.Getpid()) {
			limit = 2e5
		}
		tick := time.NewTicker(time.Duration(limit) * time.Microsecond / 4)
		if sent, err := daemonize.Notify("EXTEND_TIMEOUT_USEC=5000000", "X_OWN=1"); !sent || err != nil {
			return fmt.Errorf("not sent: %w", err)
		}
		daemonize.Ready()
		for fed := 0; ; fed++ {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if os.Getenv("DO") == "starves" {
				continue
			}
			if sent, err := daemonize.Notify("WATCHDOG=1"); !sent || err != nil {
				return errors.Join(errors.New("not sent"), err)
			}
			if fed == 16 {
				daemonize.Syslog(daemonize.LOG_NOTICE, "fed for four times the limit")
			}
		}
	}, &daemonize.Config[int]{Name: "watched", User: "daemon", PidfileDirectory: "/run", ReadyByAction: true})
})

func TestWatchdogOfSystemd(t *testing.T) {
	if !testbed.Systemd(t, func() map[string]string {
		files := map[string]string{}
		for _, do := range []string{"eats", "starves"} {
			unit := filepath.Join(t.TempDir(), do)
			require.NoError(t, os.WriteFile(unit, []byte(`[Service]
Type=notify
NotifyAccess=main
WatchdogSec=1500ms
Environment=TESTBED_HELPER=watched DO=`+do+`
ExecStart=/opt/testbed.test run
`), 0o644))
			files["/etc/systemd/system/"+do+".service"] = unit
		}
		return files
	}) {
		return
	}
	said := func(command ...string) string {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", command, out)
		return strings.TrimSpace(string(out))
	}
	property := func(unit, name string) string { return said("systemctl", "show", "-P", name, unit) }
	journal := func() string {
		said("journalctl", "--sync")
		return said("journalctl", "--no-pager", "-q", "-o", "cat")
	}

	said("systemctl", "start", "eats")
	testbed.Eventually(t, func() bool { return strings.Contains(journal(), "fed for four times the limit") }, "the watchdog to be fed")
	assert.Equal(t, "active", property("eats", "ActiveState"))
	assert.Equal(t, "0", property("eats", "NRestarts"))
	said("systemctl", "stop", "eats")
	assert.Equal(t, "success", property("eats", "Result"))

	said("systemctl", "start", "starves")
	testbed.Eventually(t, func() bool { return property("starves", "ActiveState") == "failed" }, "the watchdog to bite")
	assert.Equal(t, "watchdog", property("starves", "Result"))
	assert.Contains(t, journal(), "Watchdog timeout")
}

// TestReadyWaitsForAFullNotifySocket: what was lost there ended the daemon later.
func TestReadyWaitsForAFullNotifySocket(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	name := "@full-" + strconv.Itoa(os.Getpid())
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	fill := func() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, unix.Connect(fd, &unix.SockaddrUnix{Name: name}))
		for err = nil; err == nil; {
			_, err = unix.SendmsgN(fd, []byte("full"), nil, nil, unix.MSG_DONTWAIT)
		}
		require.Equal(t, unix.EAGAIN, err)
	}
	fill()
	r := testbed.RunInForeground(t, readier("run", "NOTIFY_SOCKET="+name))
	log.WaitFor(t, "waiting for the supervisor to take READY=1: its notify socket is full")
	b := make([]byte, 1000)
	got := ""
	require.NoError(t, l.SetReadDeadline(time.Now().Add(20*time.Second)))
	for !strings.Contains(got, "READY=1") {
		n, err := l.Read(b)
		require.NoError(t, err, "READY=1 never came: %s", got)
		got += string(b[:n]) + "\n"
	}
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits())

	// A stop ends that wait.
	log.Forget()
	fill()
	r = testbed.RunInForeground(t, readier("run", "NOTIFY_SOCKET="+name))
	log.WaitFor(t, "waiting for the supervisor")
	r.Kill(unix.SIGTERM)
	r.Exits()
}

// ndelay asks for the log's connection at once.
var _ = testbed.Helper("ndelay", func() {
	daemonize.Serviced(func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return nil
	}, &daemonize.Config[int]{Name: "ndelay", User: "root", PidfileDirectory: "/run", SyslogOptions: daemonize.LOG_NDELAY})
})

// TestSyslogDaemonThatTakesNoConnectionHoldsNoStartUp: connect(2) to a full queue waits.
func TestSyslogDaemonThatTakesNoConnectionHoldsNoStartUp(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: testbed.DevLog}))
	require.NoError(t, unix.Listen(fd, 0))
	for {
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		if err = unix.Connect(c, &unix.SockaddrUnix{Name: testbed.DevLog}); err != nil {
			require.Equal(t, unix.EAGAIN, err)
			break
		}
	}
	began := time.Now()
	testbed.Run(t, 0, testbed.Command("ndelay", "start"))
	testbed.Run(t, 0, testbed.Command("ndelay", "stop"))
	assert.Less(t, time.Since(began), 10*time.Second)
}
