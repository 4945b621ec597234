//go:build unix

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
// of the program's own, concurrent map writes, a signal in C code) cannot be
// caught, and a daemon's standard error is /dev/null. So the runtime writes it
// to NAME.crash beside the pidfile as well. Who holds the pidfile's lock owns
// that file, too. It is opened before the privileges are dropped; the
// daemon can write there whatever it wants, so it is only shown and logged.
//
// One line is missing there: "fatal error: …", which the runtime writes to standard error
// alone, before it begins to crash. The stack's first function stands for it.

// crashFile is that of this process.
type crashFile struct{ pidfile }

func crashPath(pidfile string) string { return strings.TrimSuffix(pidfile, ".pid") + ".crash" }

// crashLimit is how much of a crash reaches syslog: enough for the stacks of some
// hundred goroutines.
const crashLimit = 256 << 10

// keepCrashes logs what the last daemon left and has the runtime write there
// for us.
func keepCrashes(pidfile string) (*crashFile, error) {
	c := &crashFile{}
	c.path = crashPath(pidfile)
	var err error
	if c.file, err = openPidfile(c.path, os.O_RDWR|os.O_CREATE|os.O_APPEND); err != nil {
		return nil, err
	}
	// Not to the end: the last daemon may have made it as long as it liked.
	if text, _ := io.ReadAll(io.LimitReader(c.file, crashLimit)); len(text) > 0 {
		logCrash(text, c.file)
	}
	if err = c.file.Chmod(0o600); err == nil { // it may show what is in memory
		err = debug.SetCrashOutput(c.file, debug.CrashOptions{})
	}
	if err != nil {
		c.file.Close()
		return nil, err
	}
	return c, nil
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
	if info, err := c.file.Stat(); err == nil && info.Size() == 0 && c.isInPlace() {
		_ = os.Remove(c.path)
	}
	c.file.Close()
}

// lastWords is the first line that a crashed daemon left, "" if there is none
// or we may not see it.
func lastWords(pidfile string) string {
	f, err := openPidfile(crashPath(pidfile), os.O_RDONLY)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 4096))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	words := lines[0]
	if strings.HasPrefix(words, "goroutine ") {
		// The runtime keeps "fatal error: …" to standard error (Go 1.26): the
		// functions must tell, of which the first is the runtime's own.
		for _, line := range lines[1:min(len(lines), 4)] {
			if !strings.HasPrefix(line, "\t") {
				words += " " + line
			}
		}
	}
	return oneLine(words)
}
