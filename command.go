// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The verbs, and what they print.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// verbs are what Command obeys; do returns the exit code.
var verbs = []struct {
	name string
	do   func(*service) int
}{
	{"start", func(s *service) int { return s.reportStart(s.withProgress(s.start)) }},
	{"stop", (*service).commandStop},
	{"restart", (*service).commandRestart},
	{"status", (*service).printStatus},
	{"reload", (*service).commandReload},
	{"run", (*service).commandRun},
}

func (s *service) command(args []string) int {
	names := make([]string, len(verbs))
	for i, verb := range verbs {
		names[i] = verb.name
	}
	usage := fmt.Sprintf("Usage: %s {%s}\n", s.config.Name, strings.Join(names, "|"))
	switch {
	case len(args) == 0:
	case slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]):
		fmt.Print(usage)
		return exitDone
	default:
		wrong := args[0]
		if i := slices.Index(names, wrong); i >= 0 {
			if len(args) == 1 {
				return verbs[i].do(s)
			}
			wrong = args[1]
		}
		s.say(fmt.Sprintf("cannot understand %.80q: it takes one command; "+
			"flags of the program's own, if it has any, go before that", wrong))
	}
	fmt.Fprint(toStderr, usage)
	return exitUsage
}

// say prints a line for the administrator.
func (s *service) say(text string) { fmt.Fprintln(toStderr, s.config.Name+": "+text) }

// report prints an error and returns its exit code.
func (s *service) report(err error) int {
	if failed := (*StartError)(nil); errors.As(err, &failed) {
		toStderr.Write(failed.Stderr)
	}
	if err != nil {
		fmt.Fprintln(toStderr, message(s.config.Name, err))
	}
	return ExitCode(err)
}

// reportStart is report; a good start warns of what the daemon cannot have.
func (s *service) reportStart(err error) int {
	if err == nil {
		warnOfLost(s.config.Name)
	}
	return s.report(err)
}

// withProgress shows at a terminal what f waits for.
func (s *service) withProgress(f func(*progress) error) error {
	p := newProgress(s.config.Name)
	defer p.end()
	return f(p)
}

func (s *service) commandStop() int {
	var done ending
	err := s.withProgress(func(p *progress) (err error) {
		done, err = s.stop(p, s.say)
		return err
	})
	switch {
	case !errors.Is(err, ErrNotRunning):
		return s.report(err)
	case done.removed:
		s.say("the daemon was dead; removed its pidfile " + s.pidfile)
	default: // pydaemonize's sentence
		s.say("Could not find PID file to stop. Is the process running?")
	}
	return exitDone
}

func (s *service) commandRestart() int {
	return s.reportStart(s.withProgress(func(p *progress) error { return s.restart(p, s.say) }))
}

func (s *service) commandReload() int {
	err := s.reload()
	if errors.Is(err, ErrNotRunning) {
		fmt.Fprintf(toStderr, "%s is not running.\n", s.config.Name)
		return exitNotRunning
	}
	return s.report(err)
}

func (s *service) commandRun() int {
	logged, err := s.runInForeground(context.Background())
	if logged { // so it was on standard error
		return ExitCode(err)
	}
	return s.report(err)
}

func (s *service) status() (Status, error) {
	status, err := probe(s.pidfile)
	if status.State != Running {
		status.Crash = lastWords(s.pidfile)
	}
	return status, err
}

func (s *service) printStatus() int {
	status, err := s.status()
	var out strings.Builder
	switch {
	case err != nil:
	case status.State == Running && status.PID != 0:
		fmt.Fprintf(&out, "%s is running (pid %d).\n", s.config.Name, status.PID)
	case status.State == Running:
		fmt.Fprintf(&out, "%s is starting.\n", s.config.Name)
	case status.State == Dead:
		fmt.Fprintf(&out, "%s is dead, but its pidfile %s is left.\n", s.config.Name, s.pidfile)
	default:
		fmt.Fprintf(&out, "%s is not running.\n", s.config.Name)
	}
	if status.Crash != "" {
		fmt.Fprintf(&out, "It crashed: %s (all of it is in %s)\n", status.Crash, crashPath(s.pidfile))
	}
	if status.State == Dead {
		fmt.Fprintf(&out, "What it logged: journalctl -t %s, or /var/log/syslog or /var/log/messages.\n", s.config.Name)
	}
	if _, printed := os.Stdout.WriteString(out.String()); printed != nil {
		err = fmt.Errorf("status: cannot print it: %w", printed)
		status.State = Unknown
	}
	if err != nil {
		fmt.Fprintln(toStderr, message(s.config.Name, err))
	}
	return status.State.ExitCode()
}

// start shows in p, if not nil, what it waits for.
func (s *service) start(p *progress) error {
	if inDaemon.Load() {
		return errSecondCall
	}
	if isDaemon() && !forkedFirst() && !detached.Load() {
		os.Exit(s.startInDaemon(nil))
	}
	if err := s.mayStart(); err != nil {
		return declineStart(err)
	}
	if os.Geteuid() != 0 { // root's daemon looks itself, and says the same
		if _, err := resolveAccount(s.config.Name, s.config.User, s.config.Group); err != nil {
			return declineStart(err)
		}
	}
	if status, _ := probe(s.pidfile); status.State == Running {
		return declineStart(&RunningError{s.pidfile, status.PID})
	}
	p.say("waiting for the daemon to start")
	if forkedFirst() {
		os.Exit(s.startInDaemon(p))
	}
	said, err := s.launch(p)
	if err == nil {
		p.end()
		toStderr.Write(said)
	}
	return err
}

// launch is launch. Where seccomp(2) is refused, a daemon with C in it can have
// no_new_privs on all its threads only from its start.
func (s *service) launch(p *progress) (said []byte, err error) {
	drops := os.Geteuid() == 0 && s.config.User != "root" && s.config.User != "0"
	if !drops || s.config.AllowNewPrivileges || !lacksSeccomp() {
		return launch(false, s.config.StartTimeout, p.lastSeen)
	}
	err = withNoNewPrivs(func() (err error) {
		said, err = launch(false, s.config.StartTimeout, p.lastSeen)
		return err
	})
	return said, err
}

// stop logs, and says by way of say, that it had to kill the daemon.
func (s *service) stop(p *progress, say func(string)) (ending, error) {
	p.say(s.waitsForEnd())
	done, err := stopHolder(s.pidfile, s.config.StopTimeout, crashPath(s.pidfile))
	if done.killed {
		text := fmt.Sprintf("the daemon (pid %d) did not end within %s of SIGTERM and was killed: "+
			"its action must return when its context ends", done.pid, seconds(s.config.StopTimeout))
		Openlog(s.config.Name, s.config.SyslogOptions&^LOG_PERROR, s.config.SyslogFacility)
		logNotice(LOG_WARNING, text)
		_ = ownLog.flush(logTimeout, logTimeout) // this process may end next
		p.end()
		say(text)
	}
	return done, err
}

// waitsForEnd is what stop waits for.
func (s *service) waitsForEnd() string {
	return fmt.Sprintf("waiting for the daemon to end (SIGKILL after %s)", seconds(s.config.StopTimeout))
}

func (s *service) restart(p *progress, say func(string)) error {
	if inDaemon.Load() {
		return errSecondCall // it would stop itself
	}
	if !isDaemon() || forkedFirst() {
		if err := s.mayStart(); err != nil {
			return declineStart(err)
		}
		if _, err := resolveAccount(s.config.Name, s.config.User, s.config.Group); err != nil {
			return declineStart(err)
		}
		if _, err := s.stop(p, say); err != nil && !errors.Is(err, ErrNotRunning) {
			return declineStart(err)
		}
	}
	return s.start(p)
}

// mayStart finds, before anything has happened, what would fail in the daemon.
func (s *service) mayStart() error {
	if err := mayLaunch(); err != nil {
		return err
	}
	return checkDirectory(filepath.Dir(s.pidfile))
}

func (s *service) reload() error {
	if s.config.Reload == nil && s.config.OutputFile == "" {
		return errNoReload
	}
	h, err := findHolder(s.pidfile, time.Now().Add(s.config.StopTimeout))
	if err != nil {
		return err
	}
	defer h.close()
	return h.signal(unix.SIGHUP)
}

// --- A line at the terminal while a command waits ---

// progress is a line at the terminal that says what a command waits for. It
// comes after a second and goes away again. A nil one, which is what
// newProgress returns where standard error is no terminal, shows nothing.
type progress struct {
	name  string
	width int
	once  sync.Once // guards ended: it is closed once
	ended chan struct{}
	gone  chan struct{}

	mu   sync.Mutex
	text string
}

// progressDelay is how long people wait without wondering.
const progressDelay = time.Second

func newProgress(name string) *progress {
	size, err := unix.IoctlGetWinsize(2, unix.TIOCGWINSZ)
	if err != nil {
		return nil
	}
	p := &progress{name: name, width: int(size.Col), ended: make(chan struct{}), gone: make(chan struct{})}
	if p.width == 0 {
		p.width = 80 // a serial line
	}
	go p.show()
	return p
}

// say changes what the line says.
func (p *progress) say(text string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = oneLine(text)
}

// lastSeen is say for how far the daemon has come.
func (p *progress) lastSeen(stage string) { p.say("waiting for the daemon, last seen " + stage) }

// end takes the line away. It may be called again.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.ended) })
	<-p.gone
}

func (p *progress) show() {
	defer close(p.gone)
	tick := time.NewTicker(progressDelay)
	defer tick.Stop()
	// No escape sequences: blanks work on every terminal.
	blank := ""
	for n := 1; ; n++ {
		select {
		case <-p.ended:
			fmt.Fprint(toStderr, blank)
			return
		case <-tick.C:
		}
		p.mu.Lock()
		line := []rune(fmt.Sprintf("%s: %s: %d s", p.name, p.text, n))
		p.mu.Unlock()
		line = line[:min(len(line), p.width-1)] // one that wraps would stay
		fmt.Fprintf(toStderr, "%s%s", blank, string(line))
		blank = "\r" + strings.Repeat(" ", len(line)) + "\r"
	}
}
