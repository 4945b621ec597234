// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package output_test

// LogOutput, OutputFile, and package log.

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ends waits for the daemon's end.
func ends(t *testing.T) {
	t.Helper()
	testbed.Eventually(t, func() bool { return len(testbed.Find("speaker")) == 0 }, "the daemon to end")
}

func TestLogOutput(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	order := orders(t)
	require.NoError(t, os.Chmod("/run/orders", 0o666))
	require.NoError(t, os.WriteFile("/run/done", nil, 0o666))
	require.NoError(t, os.Chmod("/run/done", 0o666))
	testbed.Run(t, 0, speaker("start", "OUT=syslog", "AS=nobody", "DO=& "+ordered))
	order("echo on standard output")
	syslogd.Has(t, "daemon.info speaker: on standard output\n")
	order("echo on standard error >&2")
	syslogd.Has(t, "daemon.warn speaker: on standard error\n")
	order("echo opened by name > /dev/stderr") // the dropped user may
	syslogd.Has(t, "daemon.warn speaker: opened by name\n")
	order("printf 'is there more?'")
	syslogd.Has(t, "speaker: is there more?\n")
	order(`head -c 10000 /dev/zero | tr '\0' x`)
	syslogd.Has(t, "xxxx\n")
	testbed.Run(t, 0, speaker("stop"))
	syslogd.Has(t, "speaker: Exiting.")
	order("echo alone; echo alone >&2")
	order("head -c 300000 /dev/zero; true") // nobody reads: it must not block
	order("echo still there")
}

// TestLogOutputAtTheEnd: what was written last is logged before the process ends.
func TestLogOutputAtTheEnd(t *testing.T) {
	for _, c := range []struct{ do, says string }{
		{"echo one; echo two >&2; printf 'no end of line'; false", "daemon.info speaker: no end of line\n"},
		{"panics", "daemon.warn speaker: err before the panic\n"},
	} {
		t.Run(strings.Fields(c.do)[0], func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			syslogd := testbed.StartSyslogd(t, "busybox")
			testbed.Run(t, 0, speaker("start", "OUT=syslog", "DO="+c.do))
			before := syslogd.Lines(t, "speaker", "Exiting.")
			assert.Contains(t, strings.Join(before, "\n")+"\n", c.says)
			ends(t)
		})
	}
}

// TestLogOutputNeverBlocks: a flood over a stopped syslog daemon is dropped, and counted.
func TestLogOutputNeverBlocks(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	syslogd.Signal(t, unix.SIGSTOP)
	testbed.Run(t, 0, speaker("start", "OUT=syslog", "AS=root", "DO=floods"))
	testbed.Eventually(t, func() bool { _, err := os.Stat("/run/flooded"); return err == nil }, "the action to go on")
	rss := testbed.Status(t, testbed.One(t, "speaker"), 0)["VmRSS"]
	var kB int
	_, err := fmt.Sscanf(rss, "%d kB", &kB)
	require.NoError(t, err)
	assert.Less(t, kB, 100_000, "bounded memory")
	syslogd.Signal(t, unix.SIGCONT)
	syslogd.Has(t, " messages dropped\n")
}

func TestOutputCostsTwoGoroutinesAtMost(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	count := func(out string) (n int) {
		testbed.Run(t, 0, speaker("start", "AS=root", "DO=goroutines", "OUT="+out))
		syslogd.Has(t, "waiting")
		testbed.Run(t, 0, speaker("stop"))
		all := regexp.MustCompile(`goroutines: (\d+)`).FindAllStringSubmatch(syslogd.Text(t), -1)
		require.NotEmpty(t, all)
		_, err := fmt.Sscan(all[len(all)-1][1], &n)
		require.NoError(t, err)
		return n
	}
	plain := count("")
	assert.LessOrEqual(t, count("syslog"), plain+2)
	assert.LessOrEqual(t, count("/run/file"), plain)
}

func owner(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

const outputFile = "/run/out/file"

func TestOutputFile(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	require.NoError(t, os.Mkdir("/run/out", 0o755))
	text := func(path string) string {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(b)
	}
	start := func(do string) {
		testbed.Run(t, 0, speaker("restart", "OUT="+outputFile, "AS=nobody", "DO="+do))
		testbed.Eventually(t, func() bool {
			return strings.Count(syslogd.Text(t), "waiting") == strings.Count(syslogd.Text(t), "Starting.")
		}, "the action")
	}
	start("writes")
	assert.Equal(t, "out 1\nerr 1\n", text(outputFile))
	info, err := os.Stat(outputFile)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
	assert.Equal(t, uint32(65534), owner(info))
	start("logs") // package log, with its date
	assert.Regexp(t, `^out 1\nerr 1\n\d{4}/\d\d/\d\d \d\d:\d\d:\d\d by log\n.* INFO by slog n=1\n$`, text(outputFile))

	// The user may not make a file there: the old one stays, and the log says so.
	require.NoError(t, os.Rename(outputFile, outputFile+".1"))
	testbed.Run(t, 0, speaker("reload", "OUT="+outputFile))
	syslogd.Has(t, "daemon.err speaker: it goes on with the old output file: output file: open /run/out/file: permission denied")
	pid := testbed.One(t, "speaker")
	assert.Equal(t, outputFile+".1", testbed.Look(t, pid).FDs[1])
	// As logrotate's create does.
	require.NoError(t, os.WriteFile(outputFile, nil, 0o640))
	require.NoError(t, os.Chown(outputFile, 65534, 65534))
	testbed.Run(t, 0, speaker("reload", "OUT="+outputFile))
	testbed.Eventually(t, func() bool {
		fds := testbed.Look(t, pid).FDs
		return fds[1] == outputFile && fds[2] == outputFile
	}, "the new file")
	for fd, to := range testbed.Look(t, pid).FDs {
		assert.True(t, fd <= 2 || filepath.Dir(to) != "/run/out", "%d is %s", fd, to)
	}
	testbed.Run(t, 0, speaker("stop"))
	testbed.None(t, "speaker")
}

func TestOutputFileOfAStrangersIsRefused(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.StartSyslogd(t, "busybox")
	require.NoError(t, os.Mkdir("/run/out", 0o755))
	for says, make := range map[string]func() error{
		"a symbolic link": func() error { return os.Symlink("/run/elsewhere", outputFile) },
		"one of 2 links to the same file": func() error {
			_ = os.WriteFile("/run/out/other", nil, 0o600)
			return os.Link("/run/out/other", outputFile)
		},
		"owned by uid 7, neither root nor": func() error { _ = os.WriteFile(outputFile, nil, 0o600); return os.Chown(outputFile, 7, 7) },
		"writable by others (mode 0666)":   func() error { _ = os.WriteFile(outputFile, nil, 0o600); return os.Chmod(outputFile, 0o666) },
		"a FIFO":                           func() error { return unix.Mkfifo(outputFile, 0o600) },
		"a directory":                      func() error { return os.Mkdir(outputFile, 0o755) },
	} {
		require.NoError(t, make())
		_, stderr := testbed.Run(t, 6, speaker("start", "OUT="+outputFile, "AS=nobody", "DO=writes"))
		assert.Contains(t, stderr, "speaker: output file /run/out/file is "+says)
		testbed.None(t, "speaker")
		require.NoError(t, os.Remove(outputFile))
	}
	assert.NoFileExists(t, "/run/elsewhere")
	for out, says := range map[string]string{"relative": "is not an absolute path", "/run/nowhere/file": "no such file or directory"} {
		_, stderr := testbed.Run(t, map[bool]int{true: 1, false: 6}[out[0] == '/'], speaker("start", "OUT="+out, "DO=writes"))
		assert.Contains(t, stderr, says)
	}
}

func TestPackageLogIsInSyslog(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	testbed.Run(t, 0, speaker("start", "DO=logs"))
	syslogd.Has(t, "daemon.notice speaker: by log\n")
	syslogd.Has(t, "daemon.notice speaker: INFO by slog n=1\n")
	testbed.Run(t, 0, speaker("stop"))
	testbed.Run(t, 0, speaker("start", "DO=fatal"))
	ends(t)
	syslogd.Has(t, "daemon.notice speaker: words\n")
	syslogd.Has(t, "daemon.notice speaker: the last\n")
	testbed.Run(t, 0, speaker("restart", "MAIN=own log", "DO=logs"))
	own := regexp.MustCompile(`daemon.err speaker: \d{4}/\d\d/\d\d .* by log\n`) // by way of standard error
	testbed.Eventually(t, func() bool { return own.MatchString(syslogd.Text(t)) }, "%s", own)
	testbed.Run(t, 0, speaker("stop"))
}

// TestPackageLogInTheForeground: it is on standard error as well, once, and given back.
func TestPackageLogInTheForeground(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	r := testbed.RunInForeground(t, speaker("run", "DO=logs"))
	r.Says("speaker: by log\n")
	syslogd.Has(t, "daemon.notice speaker: by log\n")
	r.Says("waiting")
	r.Kill(unix.SIGTERM)
	r.Exits()
	assert.Equal(t, 1, strings.Count(r.Stderr.String(), "by log"))
	assert.Equal(t, 1, strings.Count(syslogd.Text(t), "by log"))

	r = testbed.RunInForeground(t, speaker("run", "MAIN=runs", "DO=logs"))
	r.Exits()
	assert.Contains(t, r.Stderr.String(), "returned <nil> true true\n")
}

// TestPackageLogDoesNotHang where the syslog daemon is stopped, so neither does a stop.
func TestPackageLogDoesNotHang(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	syslogd.Signal(t, unix.SIGSTOP)
	testbed.Run(t, 0, speaker("start", "AS=root", "DO=floods log"))
	testbed.Eventually(t, func() bool { _, err := os.Stat("/run/flooded"); return err == nil }, "the action to go on")
	began := time.Now()
	testbed.Run(t, 0, speaker("stop"))
	assert.Less(t, time.Since(began), 5*time.Second, "StopTimeout is 20 s")
	syslogd.Signal(t, unix.SIGCONT)
}

// slowSyslogd takes a record every 5 ms.
func slowSyslogd(t *testing.T) (text func() string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: testbed.DevLog}))
	require.NoError(t, os.Chmod(testbed.DevLog, 0o666))
	var all testbed.Buffer
	go func() {
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -10) // of this thread: slow, not without a processor
		for b := make([]byte, 1<<16); ; time.Sleep(5 * time.Millisecond) {
			if n, err := unix.Read(fd, b); err == nil {
				fmt.Fprintf(&all, "%s\n", b[:n])
			}
		}
	}()
	return all.String
}

func TestPanicsStackReachesASlowSyslogd(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	text := slowSyslogd(t)
	testbed.Run(t, 0, speaker("start", "DO=deep panic"))
	ends(t)
	testbed.Eventually(t, func() bool { return strings.Contains(text(), "Exiting.") }, "the last message")
	assert.Contains(t, text(), "panic: far down")
	assert.Equal(t, 86, strings.Count(text(), "output_test.deep("), "all of the stack")
}

// TestLongCrashReportHoldsNoStartUp, and is logged all the same.
func TestLongCrashReportHoldsNoStartUp(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	text := slowSyslogd(t)
	const lines = 800 // four seconds of this syslogd
	require.NoError(t, os.WriteFile("/run/speaker.crash", []byte(strings.Repeat("goroutine 1 [running]:\n", lines)+"the end\n"), 0o600))
	began := time.Now()
	testbed.Run(t, 0, speaker("start", "DO=true"))
	took := time.Since(began)
	assert.Less(t, strings.Count(text(), "goroutine 1"), lines, "it started first, in %s", took)
	testbed.Eventually(t, func() bool { return strings.Contains(text(), "the end") }, "all of the report")
	testbed.Eventually(t, func() bool {
		info, err := os.Stat("/run/speaker.crash")
		return err == nil && info.Size() == 0
	}, "the file to be emptied")
	assert.Equal(t, lines, strings.Count(text(), "goroutine 1"))
}
