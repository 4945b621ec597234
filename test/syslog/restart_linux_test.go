// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package syslog_test

// Syslog with daemons that come and go, stop, and are real.

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSyslogSurvivesRestarts(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	console := testbed.OpenConsole(t)
	daemonize.Openlog("re", daemonize.LOG_CONS|daemonize.LOG_NDELAY, daemonize.LOG_DAEMON)
	daemonize.Syslog(daemonize.LOG_INFO, "nobody there")
	r := testbed.Record(t, "unixgram")
	daemonize.Syslog(daemonize.LOG_INFO, "1")
	assert.Equal(t, "re: 1", text(r.Next(t)))
	r.Close()
	daemonize.Syslog(daemonize.LOG_INFO, "gone")
	if !otherLibc { // musl knows datagrams alone
		r = testbed.Record(t, "unix")
		daemonize.Syslog(daemonize.LOG_INFO, "2")
		assert.Equal(t, "re: 2", text(r.Next(t)), "a stream now")
		r.Close()
	}
	r = testbed.Record(t, "unixgram")
	daemonize.Syslog(daemonize.LOG_INFO, "ambiguous") // a closed stream may still take a record
	daemonize.Syslog(daemonize.LOG_INFO, "3")
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
	log := testbed.StartSyslogd(t, "busybox")
	daemonize.Openlog("load", 0, daemonize.LOG_DAEMON)
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
					daemonize.Syslogf(daemonize.LOG_INFO, "line %d of goroutine %d ends here", n, g)
				}
			}
		})
	}
	for range 3 {
		log.Has(t, "of goroutine 3 ends here\n")
		log.Kill()
		require.NoError(t, os.Remove(log.Log)) // what the next one has comes after this
		log.Start(t)
	}
	log.Has(t, "of goroutine 3 ends here\n")
	close(over)
	loggers.Wait()
	text := log.Text(t)
	for line := range strings.Lines(text[:strings.LastIndexByte(text, '\n')+1]) {
		if strings.Contains(line, "load") {
			assert.Regexp(t, `^\S+ +\d+ \S+ \S+ daemon\.info load: line \d+ of goroutine \d ends here\n$`, line)
		}
	}
}

// severityNames are the daemons' own, by severity.
var severityNames = map[string]string{
	"busybox":   "emerg alert crit err warn notice info debug",
	"rsyslog":   "emerg alert crit err warning notice info debug",
	"syslog-ng": "emerg alert crit err warning notice info debug",
}

var facilityNames = map[daemonize.Priority]string{
	daemonize.LOG_USER: "user", daemonize.LOG_MAIL: "mail", daemonize.LOG_DAEMON: "daemon", daemonize.LOG_AUTH: "auth", daemonize.LOG_SYSLOG: "syslog", daemonize.LOG_LPR: "lpr", daemonize.LOG_NEWS: "news", daemonize.LOG_UUCP: "uucp",
	daemonize.LOG_CRON: "cron", daemonize.LOG_AUTHPRIV: "authpriv", daemonize.LOG_FTP: "ftp", daemonize.LOG_LOCAL0: "local0", daemonize.LOG_LOCAL1: "local1", daemonize.LOG_LOCAL2: "local2", daemonize.LOG_LOCAL3: "local3",
	daemonize.LOG_LOCAL4: "local4", daemonize.LOG_LOCAL5: "local5", daemonize.LOG_LOCAL6: "local6", daemonize.LOG_LOCAL7: "local7",
}

func TestRealSyslogds(t *testing.T) {
	maxMessage := 7680 // see the documentation of Syslog
	if testbed.Musl {
		maxMessage = 900
	}
	for _, kind := range testbed.Syslogds {
		t.Run(kind, func(t *testing.T) {
			if !testbed.Isolate(t) {
				return
			}
			d := testbed.StartSyslogd(t, kind)
			daemonize.Openlog("tagged", daemonize.LOG_PID, daemonize.LOG_DAEMON)
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
					daemonize.Syslogf(f|daemonize.Priority(s), "%s %s", name, severity)
					want = append(want, line(name+`\.`+severity, name+" "+severity))
				}
			}
			daemonize.Syslog(daemonize.LOG_WARNING, "default")
			want = append(want, line(`daemon\.`+severities[daemonize.LOG_WARNING], "default"))
			daemonize.Syslog(daemonize.LOG_INFO, "first\n<0>Jan  1 00:00:00 su: forged\n100% %n %s")
			want = append(want, line(`daemon\.info`, "first"), line(`daemon\.info`, "<0>Jan  1 00:00:00 su: forged"), line(`daemon\.info`, "100% %n %s"))
			if kind != "busybox" { // which cuts at about 990 bytes
				daemonize.Syslog(daemonize.LOG_INFO, strings.Repeat("l", maxMessage)+strings.Repeat("m", 10))
				want = append(want, line(`daemon\.info`, strings.Repeat("l", maxMessage)), line(`daemon\.info`, "mmmmmmmmmm"))
			}
			daemonize.Syslog(daemonize.LOG_INFO, endOfCalls)
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
			daemonize.Syslog(daemonize.LOG_INFO, "while it is down")
			d.Start(t)
			daemonize.Syslog(daemonize.LOG_INFO, "after the restart")
			d.Lines(t, "tagged", "after the restart")
			assert.NotContains(t, d.Text(t), "while it is down")

			// SIGSTOP: a Syslog blocks once the queue is full, a Queue does
			// not; after SIGCONT all is there.
			d.Signal(t, unix.SIGSTOP)
			q := daemonize.NewQueue(1000)
			for i := range 100 {
				q.Syslog(daemonize.LOG_INFO, fmt.Sprintf("stopped %d.", i))
			}
			assert.ErrorIs(t, q.Flush(50*time.Millisecond), os.ErrDeadlineExceeded)
			d.Signal(t, unix.SIGCONT)
			require.NoError(t, q.Close(30*time.Second))
			d.Lines(t, "tagged", "stopped 99.")
			for i := range 100 {
				assert.Contains(t, d.Text(t), fmt.Sprintf("stopped %d.", i))
			}

			// SIGSTOP, then kill -9: a blocked call returns.
			d.Signal(t, unix.SIGSTOP)
			done := make(chan bool)
			go func() {
				for range 50 {
					daemonize.Syslog(daemonize.LOG_INFO, "to the dead")
				}
				close(done)
			}()
			d.Kill()
			select {
			case <-done:
			case <-time.After(30 * time.Second):
				assert.Fail(t, "still blocked")
			}
		})
	}
}
