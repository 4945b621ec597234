// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"log/slog"
	logsyslog "log/syslog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/madhadron/daemonize"
)

func init() { benches["syslog"] = inBothBuilds("syslog", benchSyslog) }

const (
	devLog   = "/dev/log"
	envStage = "BENCH_STAGE" // what a copy of this program is to be
	message  = "connection from 192.0.2.17 port 52344 accepted, session 4711"
)

// loopC is the reference: the same message, from C.
const loopC = `
#include <syslog.h>
static void prepare(char **args) { openlog("bench", LOG_PID | LOG_NDELAY, LOG_DAEMON); }
static void once(char **args) { syslog(LOG_INFO, "%s", args[0]); }
`

// benchSyslog measures in namespaces, with a /dev/log that a process
// of its own drains.
func benchSyslog() (bool, error) {
	switch os.Getenv(envStage) {
	case "":
		return inNamespace()
	case "drain":
		drain()
	}
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("tmpfs", "/dev", "tmpfs", 0, "mode=755"))
	must(os.WriteFile("/dev/null", nil, 0o600)) // package exec opens it
	// A reader in a process of its own, so that every contender has one alike.
	reader := self("drain")
	ready, err := reader.StdoutPipe()
	must(err)
	must(reader.Start())
	defer reader.Process.Kill()
	_, err = ready.Read(make([]byte, 1))
	must(err)

	daemonize.Openlog("bench", daemonize.LOG_PID|daemonize.LOG_NDELAY, daemonize.LOG_DAEMON)
	goSyslog, err := logsyslog.New(logsyslog.LOG_INFO|logsyslog.LOG_DAEMON, "bench")
	must(err)
	raw, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Connect(raw, &unix.SockaddrUnix{Name: devLog}))
	datagram := []byte(fmt.Sprintf("<30>%s bench[%d]: %s", time.Now().Format(time.Stamp), os.Getpid(), message))
	conn, err := net.Dial("unixgram", devLog)
	must(err)
	text := slog.New(slog.NewTextHandler(conn, nil))
	ours := slog.New(daemonize.NewHandler(nil))
	attrs := func(l *slog.Logger) func() {
		return func() {
			l.Info("connection accepted", "addr", "192.0.2.17", "port", 52344, "session", "4711", "took", 1500*time.Microsecond)
		}
	}

	contenders := []contender{
		{name: "Syslog", measure: loop(func() { daemonize.Syslog(daemonize.LOG_INFO, message) }), rivals: []rival{{name: "log/syslog", most: 0.75}, {name: "send(2)", most: 1.2}}},
		{name: "log/syslog", measure: loop(func() { goSyslog.Info(message) })},
		{name: "send(2)", measure: loop(func() { must(unix.Send(raw, datagram, 0)) })},
		{name: "slog NewHandler", measure: loop(attrs(ours)), rivals: []rival{{name: "slog.TextHandler", most: 1.5}}},
		{name: "slog.TextHandler", measure: loop(attrs(text))},
	}
	if usesLibc {
		contenders[0].rivals = []rival{{name: "C loop", most: 1.15}}
	}
	if c := timedC(loopC, []string{message}); c != nil {
		contenders = append(contenders, contender{name: "C loop", measure: c})
	}
	drained(contenders)
	ok := printTable("syslog, "+buildName(), contenders, 801, 200)
	for _, c := range contenders {
		if c.name == "Syslog" || c.name == "slog NewHandler" {
			fmt.Printf("%s: %.2f allocations a call\n", c.name, allocations(c.measure))
		}
	}
	many := manyCallers(text, ours)
	drained(many)
	ok = printTable(fmt.Sprintf("syslog, %s, %d callers at once: a message each", buildName(), callers), many, 101, callers*callerMessages) && ok
	for _, c := range many[:3] {
		fmt.Printf("%s: %.0f messages a second\n", c.name, perSecond(c.measure))
	}
	return ok, nil
}

// The callers at once, and how many messages each sends in a round: all of
// them fit into the socket's queue, so that nobody is held up by the reader.
const callers, callerMessages = 64, 25

// manyCallers are the contenders with 64 goroutines, or threads in C, and slog
// records of 5 and 50 attributes.
func manyCallers(text, ours *slog.Logger) []contender {
	const c, one = "C, 64 threads", "Syslog, 1 goroutine"
	queue := daemonize.NewQueue(2 * callers * callerMessages)
	send := func() { daemonize.Syslog(daemonize.LOG_INFO, message) }
	contenders := []contender{
		{name: one, measure: loop(send)},
		{name: "Syslog, 64 goroutines", measure: parallel(callers, send), rivals: []rival{{name: one}, {name: c}}},
		{name: "Queue, 64 goroutines, until all is sent", measure: func(n int) time.Duration {
			start := time.Now()
			parallel(callers, func() { queue.Syslog(daemonize.LOG_INFO, message) })(n)
			must(queue.Flush(10 * time.Second))
			return time.Since(start)
		}, rivals: []rival{{name: one}, {name: c}}},
		{name: "Queue, 64 goroutines, until the callers are done", measure: func(n int) time.Duration {
			took := parallel(callers, func() { queue.Syslog(daemonize.LOG_INFO, message) })(n)
			must(queue.Flush(10 * time.Second))
			return took
		}, rivals: []rival{{name: one}, {name: c}}},
	}
	for _, n := range []int{5, 50} {
		var attributes []any
		for i := range n {
			attributes = append(attributes, slog.String(fmt.Sprintf("key%d", i), "192.0.2.17"))
		}
		record := func(l *slog.Logger) func() { return func() { l.Info("connection accepted", attributes...) } }
		theirs := fmt.Sprintf("slog.TextHandler, %d attributes", n)
		contenders = append(contenders,
			contender{name: fmt.Sprintf("slog NewHandler, %d attributes", n), measure: loop(record(ours)), rivals: []rival{{name: theirs, most: 1.5}}},
			contender{name: theirs, measure: loop(record(text))})
	}
	if loop := timedC(threadsC, []string{message}, "-pthread"); loop != nil {
		contenders = append(contenders, contender{name: c, measure: func(n int) time.Duration { return loop(n / (callers * callerMessages)) }})
	}
	return contenders
}

// threadsC has 64 threads send once for each call: one that has gone back to its
// barrier has sent.
const threadsC = `
#include <pthread.h>
#include <syslog.h>
enum { THREADS = 64, MESSAGES = 25 };
static pthread_barrier_t begin, end;
static void *sender(void *message)
{
	for (;;) {
		pthread_barrier_wait(&begin);
		for (int i = 0; i < MESSAGES; i++)
			syslog(LOG_INFO, "%s", (char *)message);
		pthread_barrier_wait(&end);
	}
	return NULL;
}
static void prepare(char **args)
{
	openlog("bench", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	pthread_barrier_init(&begin, NULL, THREADS + 1);
	pthread_barrier_init(&end, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, sender, args[0]);
	}
}
static void once(char **args)
{
	(void)args;
	pthread_barrier_wait(&begin);
	pthread_barrier_wait(&end);
}
`

// parallel calls f n times, by as many goroutines.
func parallel(goroutines int, f func()) func(n int) time.Duration {
	return func(n int) time.Duration {
		var all sync.WaitGroup
		start := time.Now()
		for range goroutines {
			all.Go(func() {
				for range n / goroutines {
					f()
				}
			})
		}
		all.Wait()
		return time.Since(start)
	}
}

func perSecond(measure func(int) time.Duration) float64 {
	const n = callers * callerMessages
	var took []time.Duration
	for range 21 {
		took = append(took, measure(n))
	}
	return n / median(took).Seconds()
}

// drained has the reader be done before each measurement.
func drained(contenders []contender) {
	for i, c := range contenders {
		contenders[i].measure = func(n int) time.Duration {
			time.Sleep(time.Millisecond)
			return c.measure(n)
		}
	}
}

func loop(f func()) func(int) time.Duration {
	return func(n int) time.Duration {
		start := time.Now()
		for range n {
			f()
		}
		return time.Since(start)
	}
}

func allocations(measure func(int) time.Duration) float64 {
	const n = 10000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	measure(n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / n
}

func self(stage string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), envStage+"="+stage)
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is the death of this thread
	return c
}

func inNamespace() (bool, error) {
	c := self("measure")
	c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return verdict(c)
}

// drain reads and forgets. It looks every 50 µs, and the queue is long enough
// for that, so that nobody pays for waking it: that would drown the rest, and
// those who are slow would pay it more often.
func drain() {
	must(os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("2000"), 0))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // after the line above: it takes its queue's length then
	must(err)
	must(unix.Bind(fd, &unix.SockaddrUnix{Name: devLog}))
	fmt.Print("r")
	must(unix.SetNonblock(fd, true))
	for b := make([]byte, 1<<16); ; {
		if _, err := unix.Read(fd, b); err == unix.EAGAIN {
			time.Sleep(50 * time.Microsecond)
		}
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}
