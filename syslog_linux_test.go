package daemonize

// Syslog with daemons that come and go, stop, and are real.

import (
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/madhadron/daemonize/internal/testbed"
)

// text is the part of a record after its header.
func text(record string) string {
	return header.ReplaceAllString(strings.TrimRight(record, "\x00\n"), "") // a stream's end, musl's
}

func texts(records []string) []string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = text(r)
	}
	return all
}

func TestSyslogAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates: go test -run TestSyslogAllocatesNothing .")
	}
	if !testbed.Isolate(t) {
		return
	}
	testbed.Drain(t)
	Openlog("alloc", LOG_PID, LOG_DAEMON)
	w := NewWriter(LOG_INFO)
	line := []byte("a line\n")
	l := slog.New(NewHandler(nil))
	for name, f := range map[string]func(){
		"syslog":  func() { Syslog(LOG_INFO, "hello, world") },
		"writer":  func() { w.Write(line) },
		"handler": func() { l.Info("hello", "user", "x", "n", 7) },
	} {
		assert.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

func TestSyslogSurvivesRestarts(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	console := testbed.OpenConsole(t)
	Openlog("re", LOG_CONS|LOG_NDELAY, LOG_DAEMON)
	Syslog(LOG_INFO, "nobody there")
	r := testbed.Record(t, "unixgram")
	Syslog(LOG_INFO, "1")
	assert.Equal(t, "re: 1", text(r.Next(t)))
	r.Close()
	Syslog(LOG_INFO, "gone")
	if !otherLibc { // musl knows datagrams alone
		r = testbed.Record(t, "unix")
		Syslog(LOG_INFO, "2")
		assert.Equal(t, "re: 2", text(r.Next(t)), "a stream now")
		r.Close()
	}
	r = testbed.Record(t, "unixgram")
	Syslog(LOG_INFO, "ambiguous") // a closed stream may still take a record
	Syslog(LOG_INFO, "3")
	for record := text(r.Next(t)); record != "re: 3"; record = text(r.Next(t)) {
		assert.Equal(t, "re: ambiguous", record)
	}
	assert.Equal(t, consoleText("re: nobody there", "re: gone"), console.Read())
}

// TestSyslogSurvivesRestartsUnderLoad: goroutines log all the time while a daemon
// is killed and started. Their records come again by themselves, and are whole.
func TestSyslogSurvivesRestartsUnderLoad(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	log := startSyslogd(t)
	Openlog("load", 0, LOG_DAEMON)
	over := make(chan struct{})
	var loggers sync.WaitGroup
	for g := range 4 {
		loggers.Go(func() {
			pace := time.NewTicker(200 * time.Microsecond)
			defer pace.Stop()
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				case <-pace.C:
					Syslogf(LOG_INFO, "line %d of goroutine %d ends here", n, g)
				}
			}
		})
	}
	for range 3 {
		log.has(t, "of goroutine 3 ends here\n")
		log.Kill()
		require.NoError(t, os.Remove(log.Log)) // what the next one has comes after this
		log.Start(t)
	}
	log.has(t, "of goroutine 3 ends here\n")
	close(over)
	loggers.Wait()
	text := log.Text(t)
	for line := range strings.Lines(text[:strings.LastIndexByte(text, '\n')+1]) {
		if strings.Contains(line, "load") {
			assert.Regexp(t, `^\S+ +\d+ \S+ \S+ daemon\.info load: line \d+ of goroutine \d ends here\n$`, line)
		}
	}
}

// logDescriptor finds the descriptor that is connected to DevLog.
func logDescriptor(t *testing.T) int {
	t.Helper()
	fd, ok := findLogDescriptor(t)
	require.True(t, ok, "no descriptor of the log")
	return fd
}

func findLogDescriptor(t *testing.T) (int, bool) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, fd := range fds {
		var n int
		fmt.Sscan(fd.Name(), &n)
		if peer, err := unix.Getpeername(n); err == nil {
			if u, ok := peer.(*unix.SockaddrUnix); ok && u.Name == testbed.DevLog {
				return n, true
			}
		}
	}
	return -1, false
}

func TestNdelayConnectsInOpenlog(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	r := testbed.Record(t, "unixgram")
	Openlog("delay", LOG_ODELAY, LOG_DAEMON)
	_, connected := findLogDescriptor(t)
	assert.False(t, connected, "LOG_ODELAY")
	Openlog("delay", LOG_NDELAY, LOG_DAEMON)
	fd := logDescriptor(t)
	require.NoError(t, os.Rename(testbed.DevLog, testbed.DevLog+".moved"), "as a chroot would")
	Syslog(LOG_INFO, "there already")
	assert.Equal(t, "delay: there already", text(r.Next(t)))
	assert.Equal(t, fd, logDescriptor(t))
	Closelog()
	_, connected = findLogDescriptor(t)
	assert.False(t, connected, "Closelog")
}

func TestSyslogLeavesNothingToChildren(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Record(t, "unixgram")
	Openlog("fd", LOG_NDELAY, LOG_DAEMON)
	flags, err := unix.FcntlInt(uintptr(logDescriptor(t)), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.NotZero(t, flags&unix.FD_CLOEXEC)
}

func TestSyslogFrom64Goroutines(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	for _, network := range []string{"unixgram", "unix"} {
		if otherLibc && network == "unix" {
			break // musl knows datagrams alone
		}
		r := testbed.Record(t, network)
		Closelog() // glibc forgets the NUL when it reconnects from datagrams to a stream
		Openlog("many", LOG_PID, LOG_LOCAL1)
		const goroutines, each = 64, 50
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range each {
					Syslogf(LOG_NOTICE, "%d-%d %s\nsecond line of %d-%d", g, i, strings.Repeat("x", 10*g), g, i)
					if i%10 == 0 {
						Setlogmask(LogUpto(LOG_DEBUG))
						Openlog("many", LOG_PID, LOG_LOCAL1)
					}
				}
			})
		}
		wg.Wait()
		Syslog(LOG_INFO, endOfCalls)
		got := r.Until(t, endOfCalls)
		var want []string
		for g := range goroutines {
			for i := range each {
				head := fmt.Sprintf("many[%d]: ", os.Getpid())
				want = append(want, head+fmt.Sprintf("%d-%d %s", g, i, strings.Repeat("x", 10*g)), head+fmt.Sprintf("second line of %d-%d", g, i))
			}
		}
		slices.Sort(want)
		got = texts(got)
		slices.Sort(got)
		assert.Equal(t, want, got)
		r.Close()
	}
}

// blockLog makes a /dev/log that nobody reads, and fills it; Syslog blocks
// until drain is called, which returns the records.
func blockLog(t *testing.T) (drain func() []string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	_ = os.Remove(testbed.DevLog)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: testbed.DevLog}))
	t.Cleanup(func() { unix.Close(fd) })
	c, err := net.Dial("unixgram", testbed.DevLog)
	require.NoError(t, err)
	defer c.Close()
	for {
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
		if _, err := c.Write([]byte("filling")); err != nil {
			break
		}
	}
	return func() (all []string) {
		for b := make([]byte, 1<<16); ; {
			n, err := unix.Read(fd, b)
			if err != nil {
				return all
			}
			if s := string(b[:n]); s != "filling" {
				all = append(all, s)
			}
		}
	}
}

func TestBlockedSyslogTakesOneThread(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	drain := blockLog(t)
	var wg sync.WaitGroup
	const callers = 200
	before := len(testbed.Threads(t, os.Getpid()))
	var started sync.WaitGroup
	for i := range callers {
		started.Add(1)
		wg.Go(func() {
			started.Done()
			Syslogf(LOG_INFO, "blocked %d", i)
		})
	}
	started.Wait()
	assert.Less(t, len(testbed.Threads(t, os.Getpid())), before+20)
	done := make(chan bool)
	go func() { wg.Wait(); close(done) }()
	var got []string
	testbed.Eventually(t, func() bool {
		got = append(got, drain()...)
		select {
		case <-done:
			return true
		default:
			return false
		}
	}, "blocked calls to return")
	assert.Len(t, append(got, drain()...), callers)
}

func TestQueueNeverBlocks(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	Openlog("q", 0, LOG_DAEMON)
	drain := blockLog(t)
	q := NewQueue(10)
	h := slog.New(q.NewHandler(nil))
	l := log.New(q.NewWriter(LOG_ERR), "", 0)
	start := time.Now()
	for i := range 10 {
		q.Syslog(LOG_NOTICE, fmt.Sprint("direct ", i))
		h.Warn("handler", "i", i)
		l.Print("writer ", i)
	}
	assert.Less(t, time.Since(start), time.Second)
	assert.ErrorIs(t, q.Flush(10*time.Millisecond), os.ErrDeadlineExceeded)
	var got []string
	report := -1
	testbed.Eventually(t, func() bool {
		got = append(got, drain()...)
		report = slices.IndexFunc(got, func(r string) bool { return strings.HasSuffix(text(r), " messages dropped") })
		return report >= 0
	}, "the number of dropped messages")
	flushed := make(chan error)
	go func() { flushed <- q.Flush(10 * time.Second) }()
	testbed.Eventually(t, func() bool {
		got = append(got, drain()...)
		select {
		case err := <-flushed:
			return assert.NoError(t, err)
		default:
			return false
		}
	}, "the rest of the queue")
	got = append(got, drain()...)
	assert.Equal(t, "q: direct 0", text(got[0]))
	assert.True(t, strings.HasPrefix(got[report], "<28>"), "LOG_DAEMON and LOG_WARNING: %q", got[report])
	var dropped int
	_, err := fmt.Sscanf(text(got[report]), "q: %d messages dropped", &dropped)
	require.NoError(t, err, "%q", got[report])
	assert.Equal(t, 30, len(got)-1+dropped, "each is logged or counted: %q", got)

	q.Syslog(LOG_INFO, "after")
	require.NoError(t, q.Close(10*time.Second))
	assert.Equal(t, []string{"q: after"}, texts(drain()))
	q.Syslog(LOG_INFO, "too late")
	assert.ErrorIs(t, q.Close(10*time.Second), os.ErrClosed)
	assert.Empty(t, drain())
}

func TestWriterWritesARecordALine(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	r := testbed.Record(t, "unixgram")
	Openlog("w", 0, LOG_DAEMON)
	w := NewWriter(LOG_LOCAL2 | LOG_ERR)
	n, err := w.Write([]byte("two\nlines\n"))
	assert.NoError(t, err)
	assert.Equal(t, 10, n)
	n, err = w.Write(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	log.New(w, "prefix: ", 0).Printf("%d%%", 100)
	Syslog(LOG_INFO, endOfCalls)
	got := r.Until(t, endOfCalls)
	assert.Equal(t, []string{"w: two", "w: lines", "w: prefix: 100%"}, texts(got))
	for _, record := range got {
		assert.True(t, strings.HasPrefix(record, "<147>"), "%q", record)
	}
}

func TestHandlerSpeaksToSyslog(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	r := testbed.Record(t, "unixgram")
	Openlog("h", 0, LOG_DAEMON)
	slog.New(NewHandler(nil)).Error("no space", "path", "/var")
	record := r.Next(t)
	assert.True(t, strings.HasPrefix(record, "<27>"), "%q", record)
	assert.Equal(t, "h: no space path=/var", text(record))
}

// severityNames are the daemons' own, by severity.
var severityNames = map[string]string{
	"busybox":   "emerg alert crit err warn notice info debug",
	"rsyslog":   "emerg alert crit err warning notice info debug",
	"syslog-ng": "emerg alert crit err warning notice info debug",
}

var facilityNames = map[Priority]string{
	LOG_USER: "user", LOG_MAIL: "mail", LOG_DAEMON: "daemon", LOG_AUTH: "auth", LOG_SYSLOG: "syslog", LOG_LPR: "lpr", LOG_NEWS: "news", LOG_UUCP: "uucp",
	LOG_CRON: "cron", LOG_AUTHPRIV: "authpriv", LOG_FTP: "ftp", LOG_LOCAL0: "local0", LOG_LOCAL1: "local1", LOG_LOCAL2: "local2", LOG_LOCAL3: "local3",
	LOG_LOCAL4: "local4", LOG_LOCAL5: "local5", LOG_LOCAL6: "local6", LOG_LOCAL7: "local7",
}

func TestRealSyslogds(t *testing.T) {
	for _, kind := range testbed.Syslogds {
		t.Run(kind, func(t *testing.T) {
			if !testbed.Isolate(t) {
				return
			}
			d := testbed.StartSyslogd(t, kind)
			Openlog("tagged", LOG_PID, LOG_DAEMON)
			pid := os.Getpid()

			severities := strings.Fields(severityNames[kind])
			line := func(what, message string) string {
				if kind == "busybox" {
					return fmt.Sprintf(`%s tagged\[%d\]: %s$`, what, pid, message)
				}
				return fmt.Sprintf(`^%s tagged %d %s$`, what, pid, message)
			}
			var want []string
			for f, name := range facilityNames {
				for s, severity := range severities {
					Syslogf(f|Priority(s), "%s %s", name, severity)
					want = append(want, line(name+`\.`+severity, name+" "+severity))
				}
			}
			Syslog(LOG_WARNING, "default")
			want = append(want, line(`daemon\.`+severities[LOG_WARNING], "default"))
			Syslog(LOG_INFO, "first\n<0>Jan  1 00:00:00 su: forged\n100% %n %s")
			want = append(want, line(`daemon\.info`, "first"), line(`daemon\.info`, "<0>Jan  1 00:00:00 su: forged"), line(`daemon\.info`, "100% %n %s"))
			if kind != "busybox" { // which cuts at about 990 bytes
				Syslog(LOG_INFO, strings.Repeat("l", maxMessage)+strings.Repeat("m", 10))
				want = append(want, line(`daemon\.info`, strings.Repeat("l", maxMessage)), line(`daemon\.info`, "mmmmmmmmmm"))
			}
			Syslog(LOG_INFO, endOfCalls)
			lines := d.Lines(t, "tagged", endOfCalls)
			assert.Len(t, lines, len(want))
			for _, w := range want {
				if len(w) > 1000 { // more than package regexp repeats
					continue
				}
				assert.True(t, slices.ContainsFunc(lines, regexp.MustCompile(w).MatchString), "%s\nnot in\n%s", w, strings.Join(lines, "\n"))
			}
			for _, l := range lines {
				if strings.Contains(l, "llllllllll") {
					assert.True(t, strings.HasSuffix(l, " "+strings.Repeat("l", maxMessage)), "cut to %d bytes", len(l))
				}
			}

			// kill -9, restart: what comes after arrives.
			d.Kill()
			Syslog(LOG_INFO, "while it is down")
			d.Start(t)
			Syslog(LOG_INFO, "after the restart")
			d.Lines(t, "tagged", "after the restart")
			assert.NotContains(t, d.Text(t), "while it is down")

			// SIGSTOP: a Syslog blocks once the queue is full, a Queue does
			// not; after SIGCONT all is there.
			d.Signal(t, unix.SIGSTOP)
			q := NewQueue(1000)
			for i := range 100 {
				q.Syslog(LOG_INFO, fmt.Sprintf("stopped %d.", i))
			}
			assert.ErrorIs(t, q.Flush(50*time.Millisecond), os.ErrDeadlineExceeded)
			d.Signal(t, unix.SIGCONT)
			require.NoError(t, q.Close(10*time.Second))
			d.Lines(t, "tagged", "stopped 99.")
			for i := range 100 {
				assert.Contains(t, d.Text(t), fmt.Sprintf("stopped %d.", i))
			}

			// SIGSTOP, then kill -9: a blocked call returns.
			d.Signal(t, unix.SIGSTOP)
			done := make(chan bool)
			go func() {
				for range 50 {
					Syslog(LOG_INFO, "to the dead")
				}
				close(done)
			}()
			d.Kill()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				assert.Fail(t, "still blocked")
			}
		})
	}
}
