// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package syslog_test

// Both builds send what libc sends, byte for byte.

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The same calls go to libc from C and to this package's half, each in a
// process of its own; what arrives must be the same.

// callsC is the reference: it reads calls from standard input and makes them.
const callsC = `
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static char *unhex(const char *s)
{
	static char out[2][400000];
	static int i;
	char *o = out[i = !i];
	size_t n = 0;
	unsigned c;
	for (; sscanf(s, "%2x", &c) == 1; s += 2)
		o[n++] = (char)c;
	o[n] = 0;
	return strdup(o);
}

int main(void)
{
	static char line[900000], text[800001];
	int a, b;
	while (fgets(line, sizeof line, stdin)) {
		text[0] = 0;
		if (sscanf(line, "openlog %d %d x%800000s", &a, &b, text) >= 2)
			openlog(unhex(text), a, b);
		else if (sscanf(line, "syslog %d x%800000s", &a, text) >= 1)
			syslog(a, "%s", unhex(text));
		else if (sscanf(line, "mask %d", &a) == 1)
			printf("%d\n", setlogmask(a));
		else if (!strncmp(line, "closelog", 8))
			closelog();
	}
	return 0;
}
`

var _ = testbed.Helper("calls", func() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var a, b int
		arg := func() string {
			_, x, _ := strings.Cut(strings.TrimSpace(line), " x")
			text, err := hex.DecodeString(x)
			if err != nil {
				panic(err)
			}
			return string(text)
		}
		switch strings.Fields(line)[0] {
		case "openlog":
			fmt.Sscanf(line, "openlog %d %d", &a, &b)
			daemonize.Openlog(arg(), daemonize.Option(a), daemonize.Priority(b))
		case "syslog":
			fmt.Sscanf(line, "syslog %d", &a)
			daemonize.Syslog(daemonize.Priority(a), arg())
		case "mask":
			fmt.Sscanf(line, "mask %d", &a)
			fmt.Println(daemonize.Setlogmask(a))
		case "closelog":
			daemonize.Closelog()
		}
	}
})

func openlogCall(ident string, o daemonize.Option, facility daemonize.Priority) string {
	return fmt.Sprintf("openlog %d %d x%x\n", o, facility, ident)
}

func syslogCall(p daemonize.Priority, message string) string {
	return fmt.Sprintf("syslog %d x%x\n", p, message)
}

func maskCall(mask int) string { return fmt.Sprintf("mask %d\n", mask) }

const (
	endOfCalls = "end of calls"
	closeCall  = "closelog\n"
)

// heard is all that one run of calls left, times and pids aside.
type heard struct {
	Records         []string
	Stdout, Stderr  string
	Console         string
	WrongTimestamps []string
}

var header = regexp.MustCompile(`^<\d+>([A-Z][a-z][a-z] [ 1-3]\d \d\d:\d\d:\d\d) `)

// listen runs a program with the calls as its input.
func listen(t *testing.T, c *exec.Cmd, r *testbed.Recorder, console *testbed.Console, zone *time.Location, calls ...string) heard {
	t.Helper()
	var h heard
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	c.Env = append(c.Environ(), "GORACE=atexit_sleep_ms=0") // else each takes a second with -race
	c.Stdin = strings.NewReader(strings.Join(calls, "") + syslogCall(daemonize.LOG_ALERT, endOfCalls))
	require.NoError(t, c.Run(), "%s", &stderr)
	if r != nil {
		h.Records = r.Until(t, endOfCalls)
	}
	pid := fmt.Sprintf("[%d]", c.Process.Pid)
	clean := func(s string) string { return strings.ReplaceAll(s, pid, "[PID]") }
	for i, record := range h.Records {
		record = clean(record)
		if m := header.FindStringSubmatchIndex(record); m != nil {
			stamp, err := time.ParseInLocation("2006 "+time.Stamp, time.Now().In(zone).Format("2006 ")+record[m[2]:m[3]], zone)
			if d := time.Since(stamp).Abs(); err != nil || d > time.Minute {
				h.WrongTimestamps = append(h.WrongTimestamps, record[:m[3]])
			}
			record = record[:m[2]] + "TIME" + record[m[3]:]
		}
		h.Records[i] = record
	}
	h.Stdout, h.Stderr = clean(stdout.String()), clean(stderr.String())
	h.Console = clean(console.Read())
	return h
}

// reference compiles callsC.
func reference(t *testing.T, cc string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "calls.c")
	require.NoError(t, os.WriteFile(source, []byte(callsC), 0o600))
	program := filepath.Join(dir, "calls")
	out, err := testbed.Program(cc, append(flags, "-o", program, source)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// referenceCommand runs it under the name that ours has.
func referenceCommand(program string) *exec.Cmd {
	c := testbed.Program(program)
	c.Args[0] = "/some/where/calls"
	return c
}

func allFacilities() []daemonize.Priority {
	all := []daemonize.Priority{}
	for f := daemonize.LOG_KERN; f <= daemonize.LOG_FTP; f += 8 {
		all = append(all, f)
	}
	for f := daemonize.LOG_LOCAL0; f <= daemonize.LOG_LOCAL7; f += 8 {
		all = append(all, f)
	}
	return all
}

func everyPriority() (calls []string) {
	for _, f := range allFacilities() {
		for s := daemonize.LOG_EMERG; s <= daemonize.LOG_DEBUG; s++ {
			calls = append(calls, syslogCall(f|s, fmt.Sprintf("%d", f|s)))
		}
	}
	return calls
}

type libcCase struct {
	name  string
	calls []string
	want  []string
}

// libcCases are calls, and where a half differs from libc as documented, the
// records that it sends instead.
var libcCases = []libcCase{
	{name: "no openlog", calls: []string{syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "short ident", calls: []string{openlogCall("x", 0, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "empty ident", calls: []string{openlogCall("", 0, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "empty ident and pid", calls: []string{openlogCall("", daemonize.LOG_PID, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "long ident", calls: []string{openlogCall(strings.Repeat("i", 255), daemonize.LOG_PID, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "overlong ident", calls: []string{openlogCall(strings.Repeat("i", 3000), daemonize.LOG_PID, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")},
		want: []string{"<30>TIME " + strings.Repeat("i", 255) + "[PID]: hello"}},
	{name: "percent ident", calls: []string{openlogCall("a%sb%n", daemonize.LOG_PID, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "forging ident", calls: []string{openlogCall("a\n<0>Jan  1 00:00:00 b\x00c", 0, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")},
		want: []string{"<30>TIME a_<0>Jan  1 00:00:00 b_c: hello"}},
	{name: "pid", calls: []string{openlogCall("id", daemonize.LOG_PID, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "ndelay, odelay, nowait", calls: []string{openlogCall("id", daemonize.LOG_NDELAY, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "1"),
		openlogCall("id2", daemonize.LOG_ODELAY|daemonize.LOG_NOWAIT, daemonize.LOG_MAIL), syslogCall(daemonize.LOG_INFO, "2")}},
	{name: "perror", calls: []string{openlogCall("id", daemonize.LOG_PID|daemonize.LOG_PERROR, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello"), syslogCall(daemonize.LOG_INFO, "")}},
	{name: "options that are none", calls: []string{openlogCall("id", 0x7fc0, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "every priority", calls: append([]string{openlogCall("id", 0, daemonize.LOG_NEWS)}, everyPriority()...)},
	{name: "openlog kern", calls: []string{openlogCall("id", 0, daemonize.LOG_KERN), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "openlog again", calls: []string{openlogCall("a", daemonize.LOG_PID, daemonize.LOG_MAIL), syslogCall(daemonize.LOG_INFO, "1"), openlogCall("b", 0, daemonize.LOG_CRON), syslogCall(daemonize.LOG_INFO, "2"),
		openlogCall("c", 0, daemonize.LOG_CRON), syslogCall(daemonize.LOG_INFO, "3")}},
	{name: "facility that is none", calls: []string{openlogCall("id", 0, daemonize.LOG_MAIL), openlogCall("id", 0, 3), syslogCall(daemonize.LOG_INFO, "hello"), openlogCall("id", 0, 1<<20), syslogCall(daemonize.LOG_INFO, "hello")}},
	{name: "priority that is none", calls: []string{openlogCall("id", 0, daemonize.LOG_MAIL), syslogCall(1<<20|daemonize.LOG_ERR, "hello"), syslogCall(-1, "hello"), syslogCall(1024, "hello")}},
	{name: "facility beyond local7", calls: []string{syslogCall(24<<3|daemonize.LOG_ERR, "hello"), syslogCall(127<<3, "hello")}},
	{name: "mask", calls: []string{openlogCall("id", 0, daemonize.LOG_MAIL), maskCall(0), maskCall(daemonize.LogMask(daemonize.LOG_ERR) | daemonize.LogMask(daemonize.LOG_ALERT)), syslogCall(daemonize.LOG_INFO, "no"), syslogCall(daemonize.LOG_ERR, "yes"), syslogCall(daemonize.LOG_CRIT, "no"),
		syslogCall(daemonize.LOG_LOCAL7|daemonize.LOG_DEBUG, "no"), maskCall(0), syslogCall(daemonize.LOG_INFO, "no"), maskCall(daemonize.LogUpto(daemonize.LOG_WARNING)), syslogCall(daemonize.LOG_CRIT, "yes"), syslogCall(daemonize.LOG_WARNING, "yes"), syslogCall(daemonize.LOG_NOTICE, "no"),
		maskCall(0x7fffff00 | 2), maskCall(0)}},
	{name: "closelog", calls: []string{openlogCall("id", daemonize.LOG_PID, daemonize.LOG_MAIL), syslogCall(daemonize.LOG_INFO, "1"), closeCall, syslogCall(daemonize.LOG_INFO, "2"), closeCall, closeCall, openlogCall("id", 0, daemonize.LOG_MAIL), syslogCall(daemonize.LOG_INFO, "3")}},
	{name: "format strings", calls: []string{syslogCall(daemonize.LOG_INFO, "100% %n %s %m %.*s %99999999d")}},
	{name: "escape and controls", calls: []string{syslogCall(daemonize.LOG_INFO, "\x1b[31mred\x1b[0m\a\b\t\v\f\r\x7f x\r")}},
	{name: "invalid UTF-8", calls: []string{syslogCall(daemonize.LOG_INFO, "\xff\xfe \xc3( \xed\xa0\x80 é ☃ 🙂")}},
	{name: "empty", calls: []string{syslogCall(daemonize.LOG_INFO, "")}},
	{name: "1 KiB", calls: []string{syslogCall(daemonize.LOG_INFO, strings.Repeat("k", 1024)), syslogCall(daemonize.LOG_INFO, strings.Repeat("k", 1023)), syslogCall(daemonize.LOG_INFO, strings.Repeat("k", 1000))}},
	{name: "7680 bytes", calls: []string{syslogCall(daemonize.LOG_INFO, strings.Repeat("k", 7680))}},
	{name: "8 KiB", calls: []string{syslogCall(daemonize.LOG_INFO, strings.Repeat("k", 8192))},
		want: []string{"<14>TIME calls: " + strings.Repeat("k", 7680), "<14>TIME calls: " + strings.Repeat("k", 512)}},
	{name: "64 KiB", calls: []string{syslogCall(daemonize.LOG_INFO, strings.Repeat("k", 1<<16))},
		want: append(repeat(8, "<14>TIME calls: "+strings.Repeat("k", 7680)), "<14>TIME calls: "+strings.Repeat("k", 1<<16-8*7680))},
	{name: "300 KiB, which libc loses", calls: []string{syslogCall(daemonize.LOG_INFO, strings.Repeat("k", 300<<10))},
		want: repeat(40, "<14>TIME calls: "+strings.Repeat("k", 7680))},
	{name: "lines", calls: []string{syslogCall(daemonize.LOG_INFO, "one\n<0>Jan  1 00:00:00 su: forged\r\n\nlast\n")},
		want: []string{"<14>TIME calls: one", "<14>TIME calls: <0>Jan  1 00:00:00 su: forged", "<14>TIME calls: ", "<14>TIME calls: last"}},
	{name: "NUL", calls: []string{syslogCall(daemonize.LOG_INFO, "a\x00<0>forged")}, want: []string{`<14>TIME calls: a\x00<0>forged`}},
}

func repeat(n int, s string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// otherLibc is true where this binary's libc is not glibc: then it is musl.
const otherLibc = testbed.Musl

func needGlibcBytes(t *testing.T) {
	t.Helper()
	if otherLibc {
		t.Skip("compares with glibc, and this is another libc: CC=gcc go test")
	}
}

// muslCases are those that musl's syslog(3) and ours agree on, and what ours sends instead of the
// others: musl ignores priorities that are none, takes an option for a facility, keeps the ident
// after closelog, and cuts idents and messages.
func muslCases() (all []libcCase) {
	for _, c := range libcCases {
		switch c.name {
		case "priority that is none", "facility that is none", "closelog", "1 KiB", "7680 bytes", "long ident":
			continue
		}
		if c.want == nil { // musl's default ident is empty, ours is the program's name
			all = append(all, libcCase{name: c.name, calls: append([]string{openlogCall("calls", 0, daemonize.LOG_USER)}, c.calls...)})
		}
	}
	daemon := openlogCall("id", 0, daemonize.LOG_DAEMON)
	m := strings.Repeat("m", 900)
	return append(all, []libcCase{
		{"default ident", []string{syslogCall(daemonize.LOG_INFO, "hello")}, []string{"<14>TIME calls: hello\n"}},
		{"long ident", []string{openlogCall(strings.Repeat("i", 255), daemonize.LOG_PID, daemonize.LOG_LOCAL7), syslogCall(daemonize.LOG_DEBUG, m)},
			[]string{"<191>TIME " + strings.Repeat("i", 31) + "[PID]: " + m + "\n"}},
		{"2000 bytes", []string{daemon, syslogCall(daemonize.LOG_INFO, m+m+m[:200])},
			[]string{"<30>TIME id: " + m + "\n", "<30>TIME id: " + m + "\n", "<30>TIME id: " + m[:200] + "\n"}},
		{"facility and priority that are none", []string{daemon, openlogCall("id", 0, 3), syslogCall(1<<20|daemonize.LOG_ERR, "hello")},
			[]string{"<35>TIME id: syslog: unknown facility/priority: 100003\n", "<27>TIME id: hello\n"}},
		{"closelog", []string{daemon, closeCall, syslogCall(daemonize.LOG_ERR, "hello")}, []string{"<27>TIME calls: hello\n"}},
	}...)
}

func TestSyslogSendsTheBytesThatLibcSends(t *testing.T) {
	compiler, debian, flags := "gcc", "gcc libc6-dev", []string(nil)
	cases, networks, zone := libcCases, []string{"unixgram", "unix"}, time.Local
	if testbed.Musl { // which knows datagrams alone, and UTC
		compiler, debian, flags = "musl-gcc", "musl-tools", []string{"-static"}
		cases, networks, zone = muslCases(), []string{"unixgram"}, time.UTC
	}
	cc := testbed.Package(t, compiler, debian)
	if !testbed.Isolate(t) {
		return
	}
	console := testbed.OpenConsole(t)
	program := reference(t, cc, flags...)
	for _, network := range networks {
		r := testbed.Record(t, network)
		for _, c := range cases {
			t.Run(network+"/"+c.name, func(t *testing.T) {
				hear := func(command *exec.Cmd) heard {
					if testbed.Musl {
						command.Env = append(command.Environ(), "TZ=XYZ-9")
					}
					return listen(t, command, r, console, zone, c.calls...)
				}
				libc, ours := hear(referenceCommand(program)), hear(testbed.Command("calls"))
				if c.want != nil {
					if network == "unix" {
						for i := range c.want {
							c.want[i] = strings.TrimSuffix(c.want[i], "\x00") + "\x00"
						}
					}
					libc.Records = c.want
				}
				assert.Equal(t, libc, ours)
				assert.Empty(t, ours.WrongTimestamps)
			})
		}
		r.Close()
	}
}

// consoleText is what LOG_CONS makes of records.
func consoleText(records ...string) string {
	end := "\r\n"
	if otherLibc {
		end = "\n"
	}
	return strings.Join(records, end) + end
}

func TestSyslogConsole(t *testing.T) {
	cc := testbed.Package(t, "gcc", "gcc libc6-dev")
	if !testbed.Isolate(t) {
		return
	}
	console := testbed.OpenConsole(t)
	program := reference(t, cc)
	calls := []string{openlogCall("id", daemonize.LOG_PID|daemonize.LOG_CONS|daemonize.LOG_PERROR, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello"), syslogCall(daemonize.LOG_INFO, ""), openlogCall("id", daemonize.LOG_CONS, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_ERR, "again")}
	libc := listen(t, referenceCommand(program), nil, console, time.Local, calls...)
	ours := listen(t, testbed.Command("calls"), nil, console, time.Local, calls...)
	if !otherLibc {
		assert.Equal(t, libc, ours)
	}
	assert.Equal(t, consoleText("id[PID]: hello", "id[PID]: ", "id: again", "id: "+endOfCalls), ours.Console)
	assert.Equal(t, "id[PID]: hello\nid[PID]: \n", ours.Stderr)

	ours = listen(t, testbed.Command("calls"), nil, console, time.Local, openlogCall("id", 0, daemonize.LOG_DAEMON), syslogCall(daemonize.LOG_INFO, "hello"))
	assert.Empty(t, ours.Console, "without LOG_CONS")
}

func TestSyslogTellsTheTimeOfTZ(t *testing.T) {
	needGlibcBytes(t)
	cc := testbed.Package(t, "gcc", "gcc libc6-dev")
	if !testbed.Isolate(t) {
		return
	}
	console := testbed.OpenConsole(t)
	program := reference(t, cc)
	r := testbed.Record(t, "unixgram")
	for tz, seconds := range map[string]int{
		"Asia/Tokyo": 9 * 3600, ":Asia/Tokyo": 9 * 3600, "XYZ-5:30": 5*3600 + 1800, "<+0545>-5:45": 5*3600 + 45*60, "EST5": -5 * 3600, "": 0, "No/Such": 0,
		"AAA-3BBB-3,M3.2.0,M11.1.0": 3 * 3600, "/usr/share/zoneinfo/Asia/Tokyo": 9 * 3600,
	} {
		t.Run("TZ="+tz, func(t *testing.T) {
			if strings.Contains(tz, "Tokyo") {
				if _, err := os.Stat("/usr/share/zoneinfo/Asia/Tokyo"); err != nil {
					t.Skip("needs /usr/share/zoneinfo: apt-get install tzdata")
				}
			}
			zone := time.FixedZone("", seconds)
			for _, c := range []*exec.Cmd{referenceCommand(program), testbed.Command("calls")} {
				c.Env = append(c.Environ(), "TZ="+tz)
				h := listen(t, c, r, console, zone, syslogCall(daemonize.LOG_INFO, "hello"))
				assert.Len(t, h.Records, 1)
				assert.Empty(t, h.WrongTimestamps)
			}
		})
	}
}
