// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// A service under systemd: the journal, sd_notify(3), socket activation.

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestRunLeavesStderrToTheJournal(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	dir := testdaemon.Directory(t)
	for _, mine := range []bool{true, false} {
		file, err := os.CreateTemp(t.TempDir(), "stderr")
		require.NoError(t, err)
		var st unix.Stat_t
		require.NoError(t, unix.Fstat(int(file.Fd()), &st))
		if !mine {
			st.Ino++
		}
		c := testdaemon.Command("run", "DIR="+dir, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino), "DO=error")
		c.Stderr = file
		_ = c.Run()
		assert.Equal(t, 1, c.ProcessState.ExitCode())
		text, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		assert.Equal(t, !mine, strings.Contains(string(text), "Starting."), "%s", text)
		assert.Equal(t, !mine, strings.Contains(string(text), "lost the thread"), "%s", text)
	}
}

func TestRunNotifiesItsSupervisor(t *testing.T) {
	testbed.NeedLinuxBuild(t, "systemd")
	if !testbed.IsolateIfRoot(t) {
		return
	}
	dir := testdaemon.Directory(t)
	// A socket that only root reaches: it must be connected before the drop.
	private := filepath.Join(t.TempDir(), "private")
	require.NoError(t, os.Mkdir(private, 0o700))
	for _, name := range []string{filepath.Join(private, "notify"), "@daemonize-test-" + strconv.Itoa(os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
			require.NoError(t, err)
			defer c.Close()
			next := func() string {
				require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
				b := make([]byte, 4096)
				n, err := c.Read(b)
				require.NoError(t, err)
				return string(b[:n])
			}
			r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+dir, "NOTIFY_SOCKET="+name, "RELOAD=error", "DO=forges a status"))
			require.Equal(t, "READY=1", next())
			require.Equal(t, "STATUS=forged READY=1", next())
			p := testbed.Look(t, r.Process.Pid)
			if os.Geteuid() == 0 {
				assert.Equal(t, "1\t1\t1\t1", p.Status["Uid"], "ready is after the drop")
			}
			var before, after unix.Timespec
			require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &before))
			r.Kill(unix.SIGHUP)
			m := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)$`).FindStringSubmatch(next())
			require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
			require.NotNil(t, m)
			usec, err := strconv.ParseInt(m[1], 10, 64)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, usec, before.Nano()/1000)
			assert.LessOrEqual(t, usec, after.Nano()/1000)
			require.Equal(t, "READY=1", next(), "the error does not end it")
			r.Kill(unix.SIGTERM)
			require.Equal(t, "STOPPING=1", next())
			assert.Equal(t, 0, r.Exits(), "%s", r.Stderr)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
			_, err = c.Read(make([]byte, 1))
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "nothing more")

			r = testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+dir, "NOTIFY_SOCKET="+name, "DO=error"))
			require.Equal(t, "READY=1", next())
			require.Equal(t, "STOPPING=1", next(), "it ends by itself")
			assert.Equal(t, 1, r.Exits())
		})
	}
}

// TestSupervisorThatReadsNothingDoesNotBlockRun: its queue is full, and it reads nothing.
func TestSupervisorThatReadsNothingDoesNotBlockRun(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	defer c.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Connect(fd, &unix.SockaddrUnix{Name: name}))
	for err = nil; err == nil; {
		_, err = unix.SendmsgN(fd, []byte("full"), nil, nil, unix.MSG_DONTWAIT)
	}
	require.Equal(t, unix.EAGAIN, err)
	r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+testdaemon.Directory(t), "NOTIFY_SOCKET="+name, "DO=forges a status"))
	r.Says("run 1")
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits(), "%s", r.Stderr)
}

func TestRunTellsOfANotifySocketThatIsNoUse(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	for _, name := range []string{"/nonexistent/notify", "relative", "vsock:2:9999"} {
		r := testbed.RunInForeground(t, testdaemon.Command("run", "DIR="+testdaemon.Directory(t), "NOTIFY_SOCKET="+name))
		r.Says("run 1")
		assert.Contains(t, r.Stderr.String(), "NOTIFY_SOCKET")
		assert.Contains(t, r.Stderr.String(), "nobody is told")
		r.Kill(unix.SIGTERM)
		assert.Equal(t, 0, r.Exits())
	}
}

// activated is run with sockets as systemd passes them; the pid in LISTEN_PID
// is only known in the process itself.
func activated(pid string, env ...string) *exec.Cmd {
	run := testdaemon.Command("run", env...)
	c := testbed.Program("/bin/sh", append([]string{"-c", `LISTEN_PID=` + pid + ` exec "$@"`, "sh", run.Path}, run.Args[1:]...)...)
	c.Env = run.Env
	return c
}

func TestSocketActivationReachesTheActionAndNoChild(t *testing.T) {
	if !testbed.IsolateIfRoot(t) {
		return
	}
	dir := testdaemon.Directory(t)
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		f, err := l.(*net.TCPListener).File()
		require.NoError(t, err)
		addrs, files = append(addrs, l.Addr().String()), append(files, f)
		l.Close()
	}
	sockets := []string{"DIR=" + dir, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:"}

	c := activated("$$", append(sockets, "DO=answers")...)
	c.ExtraFiles = files
	r := testbed.RunInForeground(t, c)
	r.Says("run 1")
	for i, name := range []string{"web", "LISTEN_FD_4"} {
		conn, err := net.Dial("tcp", addrs[i])
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
		var b bytes.Buffer
		_, err = b.ReadFrom(conn)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("uid %d on %s", map[bool]int{true: 1, false: os.Getuid()}[os.Geteuid() == 0], name), b.String())
	}
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits())

	c = activated("$$", append(sockets, "DO=has a child", "NOTIFY_SOCKET=@nobody")...)
	c.ExtraFiles = files
	r = testbed.RunInForeground(t, c)
	r.Says(`child: "<>\n0\n"`)
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits())

	c = activated("1", append(sockets, "DO=answers")...)
	c.ExtraFiles = files
	r = testbed.RunInForeground(t, c)
	r.Says("0 files")
	assert.NotEmpty(t, testbed.Look(t, r.Process.Pid).FDs[3], "another's descriptors are not touched")
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits())
}
