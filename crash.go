// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// Crash evidence: what the Go runtime prints last is kept beside the pidfile.

import (
	"bytes"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// What the Go runtime prints when it ends the process (a panic in a goroutine
// of the program's own, concurrent map writes, a signal in C code that Go called)
// cannot be caught, and a daemon's standard error is /dev/null. So the runtime writes it
// to NAME.crash beside the pidfile as well. Who holds the pidfile's lock owns
// that file, too. It is opened before the privileges are dropped; the
// daemon can write there whatever it wants, so it is only shown and logged.
//
// Some lines are missing there: "fatal error: …" and what explains it, which the
// runtime writes to standard error alone, before it begins to crash (Go 1.26,
// golang.org/issue/76859). So lastWords infers the cause from the stack. Of a
// signal on a thread that C code made the runtime prints nothing at all: it ends the
// process by that signal, and only a core dump tells more.

// crashFile is that of this process.
type crashFile struct{ *trustedFile }

func crashPath(pidfile string) string { return strings.TrimSuffix(pidfile, ".pid") + ".crash" }

// crashLimit is how much of a crash reaches syslog: enough for the stacks of some
// hundred goroutines.
const crashLimit = 256 << 10

// keepCrashes logs what the last daemon left and has the runtime write there
// for us.
func keepCrashes(pidfile string) (*crashFile, error) {
	f, err := openTrusted(crashPath(pidfile), os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	// Not to the end: the last daemon may have made it as long as it liked.
	if text, _ := io.ReadAll(io.LimitReader(f, crashLimit)); len(text) > 0 {
		logCrash(text, f.File)
	}
	if err = f.makePrivate(); err == nil { // it may show what is in memory
		err = debug.SetCrashOutput(f.File, debug.CrashOptions{})
		debug.SetTraceback("single") // GOTRACEBACK=none would leave nothing of a fatal error
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &crashFile{f}, nil
}

// logCrash empties the file when syslog has it all. If syslog hangs, the text stays for
// the next start.
func logCrash(text []byte, file *os.File) {
	report := []byte("It crashed the last time. What the Go runtime printed then:")
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			report = append(append(report, '\n'), line...)
		}
	}
	ownLog.put(queued{priority: LOG_ERR, text: string(report), then: func() { _ = file.Truncate(0) }})
}

// remove ends the watch. A daemon without the right to unlink leaves an empty
// file, which stop removes.
func (c *crashFile) remove() {
	if c == nil {
		return
	}
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	if info, err := c.Stat(); err == nil && info.Size() == 0 {
		c.trustedFile.remove()
	}
	c.Close()
}

// lastWords is what a crashed daemon left, in a line; "" if there is none or we may not
// see it.
func lastWords(pidfile string) string {
	f, err := openTrusted(crashPath(pidfile), os.O_RDONLY)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 16<<10))
	return oneLine(crashCause(strings.TrimSpace(string(b))))
}

// fatalIn tells what the runtime's "fatal error: …" was by the function that gave up. It
// may have had another reason: hence "probably".
var fatalIn = map[string]string{
	"runtime.newstack":             "stack overflow",
	"runtime.(*mcache).allocLarge": "out of memory",
	"runtime.(*mcache).refill":     "out of memory",
	"runtime.(*mheap).sysAlloc":    "out of memory",
	"runtime.sysMapOS":             "out of memory",
	"runtime.stackalloc":           "out of memory",
	"runtime.checkdead":            "all goroutines are asleep",
	"internal/runtime/maps.fatal":  "concurrent use of a map",
	"runtime.newosproc":            "the limit of processes is reached",
}

// crashCause is the first line of a crash, or, where that is only the head of a
// stack, the functions that tell something.
func crashCause(text string) string {
	first, rest, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(first, "goroutine ") && first != "runtime stack:" {
		return first
	}
	var functions []string
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		name := line[:max(0, strings.LastIndexByte(line, '('))]
		if len(functions) == 3 || line == "" && len(functions) > 0 && !strings.HasPrefix(functions[len(functions)-1], "runtime.") {
			break // the next stack is another goroutine's
		}
		switch {
		case name == "", line[0] == '\t', !strings.HasSuffix(line, ")"), strings.HasPrefix(line, "created by "):
		case name == "runtime.throw", name == "runtime.fatal", strings.HasPrefix(name, "runtime.systemstack"), name == "runtime.morestack":
		default:
			functions = append(functions, name)
		}
	}
	for _, name := range functions {
		if cause, ok := fatalIn[name]; ok {
			first = "probably " + cause + ":"
		}
	}
	return strings.Join(append([]string{first}, functions...), " ")
}
