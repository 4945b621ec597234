// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// DevLog is where syslog(3) writes. Tests listen there only in a namespace:
// see Isolate.
const DevLog = "/dev/log"

// Recorder is a syslog daemon that only remembers what it was sent.
type Recorder struct {
	records chan string
	closer  func()
}

// Record listens on DevLog; network is "unixgram" or "unix". It stops at the
// end of the test, or with Close.
func Record(t testing.TB, network string) *Recorder {
	t.Helper()
	require.Equal(t, stageIn, os.Getenv(envStage), "only in a namespace")
	_ = os.Remove(DevLog)
	r := &Recorder{records: make(chan string, 1<<16)}
	if network == "unixgram" {
		c, err := net.ListenUnixgram(network, &net.UnixAddr{Name: DevLog, Net: network})
		require.NoError(t, err)
		r.closer = func() { c.Close() }
		go func() {
			for b := make([]byte, 1<<20); ; {
				n, _, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				r.records <- string(b[:n])
			}
		}()
	} else {
		l, err := net.ListenUnix(network, &net.UnixAddr{Name: DevLog, Net: network})
		require.NoError(t, err)
		var current atomic.Pointer[net.UnixConn]
		r.closer = func() {
			l.Close()
			if c := current.Load(); c != nil {
				c.Close()
			}
		}
		go func() {
			for {
				c, err := l.AcceptUnix()
				if err != nil {
					return
				}
				current.Store(c)
				r.stream(c) // one client after the other, so that order is kept
			}
		}()
	}
	t.Cleanup(r.Close)
	return r
}

// stream splits at NUL, as syslog daemons do.
func (r *Recorder) stream(c net.Conn) {
	defer c.Close()
	for in := bufio.NewReaderSize(c, 1<<20); ; {
		record, err := in.ReadString(0)
		if record != "" {
			r.records <- record
		}
		if err != nil {
			return
		}
	}
}

// Close stops listening and, unlike some daemons, removes the socket.
func (r *Recorder) Close() {
	r.closer()
	_ = os.Remove(DevLog)
}

// Next waits for a record; it fails the test after half a minute.
func (r *Recorder) Next(t testing.TB) string {
	t.Helper()
	select {
	case record := <-r.records:
		return record
	case <-time.After(patience):
		require.FailNow(t, "waited ten seconds for a record")
		return ""
	}
}

// Drain reads DevLog and remembers nothing, so that tests can count
// allocations.
func Drain(t testing.TB) {
	t.Helper()
	require.Equal(t, stageIn, os.Getenv(envStage), "only in a namespace")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: DevLog}))
	go func() {
		for b := make([]byte, 1<<16); ; {
			if _, err := unix.Read(fd, b); err != nil && err != unix.EINTR {
				return
			}
		}
	}()
}

// Until returns the records up to the first that contains mark.
func (r *Recorder) Until(t testing.TB, mark string) []string {
	t.Helper()
	for before := []string(nil); ; {
		record := r.Next(t)
		if strings.Contains(record, mark) {
			return before
		}
		before = append(before, record)
	}
}

// LogDescriptor is this process's descriptor that is connected to DevLog.
func LogDescriptor(t testing.TB) int {
	t.Helper()
	fd, ok := FindLogDescriptor(t)
	require.True(t, ok, "no descriptor of the log")
	return fd
}

// FindLogDescriptor is LogDescriptor where there may be none.
func FindLogDescriptor(t testing.TB) (int, bool) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, fd := range fds {
		var n int
		fmt.Sscan(fd.Name(), &n)
		if peer, err := unix.Getpeername(n); err == nil {
			if u, ok := peer.(*unix.SockaddrUnix); ok && u.Name == DevLog {
				return n, true
			}
		}
	}
	return -1, false
}

// Console reads what was written to a namespace's /dev/console, a FIFO.
type Console struct{ fd int }

// OpenConsole holds the FIFO open, so that LOG_CONS never blocks.
func OpenConsole(t testing.TB) *Console {
	t.Helper()
	require.Equal(t, stageIn, os.Getenv(envStage), "only in a namespace")
	fd, err := unix.Open("/dev/console", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return &Console{fd}
}

// Read returns what was written since the last Read.
func (c *Console) Read() string {
	var all []byte
	for b := make([]byte, 1<<16); ; {
		n, err := unix.Read(c.fd, b)
		if n <= 0 || err != nil {
			return string(all)
		}
		all = append(all, b[:n]...)
	}
}

// Syslogd is a real syslog daemon on DevLog.
type Syslogd struct {
	Kind string
	Log  string // the file it writes
	dir  string
	cmd  *exec.Cmd
}

// Syslogds are the kinds that StartSyslogd knows: busybox's is a package of
// its own, the others conflict with each other, so they are also looked for
// below $SYSLOG_ROOTS, where .ci/syslogds unpacks them.
var Syslogds = []string{"busybox", "rsyslog", "syslog-ng"}

// StartSyslogd starts a daemon and waits until it takes records. It skips the
// test when the daemon is not there.
func StartSyslogd(t testing.TB, kind string) *Syslogd {
	t.Helper()
	require.Equal(t, stageIn, os.Getenv(envStage), "only in a namespace")
	d := &Syslogd{Kind: kind, dir: t.TempDir()}
	d.Log = filepath.Join(d.dir, "log")
	d.Start(t)
	t.Cleanup(func() { d.Kill() })
	return d
}

// Start starts it, again after Kill.
func (d *Syslogd) Start(t testing.TB) {
	t.Helper()
	_ = os.Remove(DevLog)
	d.cmd = d.command(t)
	var out bytes.Buffer
	d.cmd.Stdout, d.cmd.Stderr = &out, &out
	d.cmd.WaitDelay = time.Second
	require.NoError(t, d.cmd.Start())
	ping := fmt.Sprintf("ping %d", d.cmd.Process.Pid)
	Eventually(t, func() bool {
		if c, err := net.Dial("unixgram", DevLog); err == nil {
			fmt.Fprintf(c, "<13>%s testbed: %s", time.Now().Format(time.Stamp), ping)
			c.Close()
		}
		return strings.Contains(d.Text(t), ping)
	}, "%s to start: %s", d.Kind, &out)
}

// Signal sends it a signal.
func (d *Syslogd) Signal(t testing.TB, s unix.Signal) {
	t.Helper()
	require.NoError(t, d.cmd.Process.Signal(s))
	if s == unix.SIGSTOP { // its other threads go on until one has taken the signal
		pid := d.cmd.Process.Pid
		for _, tid := range Threads(t, pid) {
			Eventually(t, func() bool { return strings.HasPrefix(Status(t, pid, tid)["State"], "T") }, "thread %d to stop", tid)
		}
	}
}

// Kill ends it with SIGKILL and waits for its end; its socket stays, stale.
func (d *Syslogd) Kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

// Text is all that the daemon has written.
func (d *Syslogd) Text(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(d.Log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(b)
}

// Has waits for a message.
func (d *Syslogd) Has(t testing.TB, format string, args ...any) {
	t.Helper()
	want := fmt.Sprintf(format, args...)
	Eventually(t, func() bool { return strings.Contains(d.Text(t), want) }, "%q in the log", want)
}

// Lines waits until the daemon has written a line that contains mark, and
// returns all lines before it that contain tag.
func (d *Syslogd) Lines(t testing.TB, tag, mark string) []string {
	t.Helper()
	Eventually(t, func() bool { return strings.Contains(d.Text(t), mark) }, "%s to write %q", d.Kind, mark)
	var lines []string
	for line := range strings.Lines(d.Text(t)) {
		if strings.Contains(line, mark) {
			break
		}
		if strings.Contains(line, tag) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// command is the daemon in the foreground. Its lines are "FACILITY.SEVERITY
// TAG[PID]: MESSAGE" with busybox, "FACILITY.SEVERITY TAG PID MESSAGE" with
// the others.
func (d *Syslogd) command(t testing.TB) *exec.Cmd {
	t.Helper()
	write := func(name, text string) string {
		path := filepath.Join(d.dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	switch d.Kind {
	case "busybox":
		return exec.Command(Package(t, "busybox", "busybox"), "syslogd", "-n", "-O", d.Log)
	case "rsyslog":
		path, root := unpacked(t, "rsyslogd", "rsyslog")
		libs := root + "/usr/lib/x86_64-linux-gnu"
		c := exec.Command(path, "-n", "-i", "NONE", "-M", libs+"/rsyslog", "-f", write("rsyslog.conf", fmt.Sprintf(
			`module(load="imuxsock" SysSock.Name="/dev/log" SysSock.RateLimit.Interval="0" SysSock.Annotate="off")
template(name="t" type="string" string="%%syslogfacility-text%%.%%syslogseverity-text%% %%programname%% %%procid%%%%msg%%\n")
*.* action(type="omfile" file="%s" template="t")
`, d.Log)))
		c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libs)
		return c
	case "syslog-ng":
		path, root := unpacked(t, "syslog-ng", "syslog-ng-core")
		modules, _ := filepath.Glob(root + "/usr/lib/syslog-ng/[0-9]*")
		require.NotEmpty(t, modules)
		version := filepath.Base(modules[0])
		c := exec.Command(path, "-F", "--no-caps", "-R", d.dir+"/persist", "-p", d.dir+"/pid", "-c", d.dir+"/ctl",
			"--module-path="+modules[0], "-f", write("syslog-ng.conf", fmt.Sprintf(`@version: %s
options { keep-hostname(yes); use-dns(no); stats-freq(0); flush-lines(1); };
source s { unix-dgram("/dev/log"); };
destination d { file("%s" template("$FACILITY.$PRIORITY $PROGRAM $PID $MESSAGE\n")); };
log { source(s); destination(d); };
`, version, d.Log)))
		c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join([]string{
			root + "/usr/lib/x86_64-linux-gnu", root + "/usr/lib/syslog-ng", root + "/lib/x86_64-linux-gnu"}, ":"))
		return c
	}
	panic("testbed: no syslog daemon called " + d.Kind)
}

// unpacked finds a daemon that is installed (root is then "") or unpacked
// below $SYSLOG_ROOTS, in a directory called like its package.
func unpacked(t testing.TB, command, debian string) (path, root string) {
	t.Helper()
	if path, err := exec.LookPath(command); err == nil {
		return path, ""
	}
	root = filepath.Join(os.Getenv("SYSLOG_ROOTS"), debian)
	path = filepath.Join(root, "usr/sbin", command)
	if _, err := os.Stat(path); os.Getenv("SYSLOG_ROOTS") == "" || err != nil {
		t.Skipf("needs %s: apt-get install %s, or .ci/syslogds DIR and SYSLOG_ROOTS=DIR", command, debian)
	}
	return path, root
}
