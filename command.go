//go:build unix

package daemonize

// The verbs, and what they print.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func (s *service) command(args []string) int {
	verb := ""
	if len(args) == 1 {
		verb = args[0]
	}
	var err error
	switch verb {
	case "start":
		p := newProgress(s.config.Name)
		err = s.start(p)
		p.end()
	case "stop":
		p := newProgress(s.config.Name)
		p.say(s.waitsForEnd())
		err = s.stop()
		p.end()
		if errors.Is(err, ErrNotRunning) {
			fmt.Fprintln(os.Stderr, message(s.config.Name, err))
			return exitDone
		}
	case "restart":
		p := newProgress(s.config.Name)
		err = s.restart(p)
		p.end()
	case "status":
		return s.printStatus()
	case "reload":
		err = s.reload()
		if errors.Is(err, ErrNotRunning) {
			fmt.Fprintf(os.Stderr, "%s is not running.\n", s.config.Name)
			return exitNotRunning
		}
	case "run":
		var logged bool
		if logged, err = s.runInForeground(context.Background()); logged { // so it was on standard error
			return exitCode(err)
		}
	default:
		fmt.Fprintf(os.Stderr, "Usage: %s {start|stop|restart|status|reload|run}\n", s.config.Name)
		return exitUsage
	}
	if err == nil {
		return exitDone
	}
	if failed := (*StartError)(nil); errors.As(err, &failed) {
		os.Stderr.Write(failed.Stderr)
	}
	fmt.Fprintln(os.Stderr, message(s.config.Name, err))
	return exitCode(err)
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
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, message(s.config.Name, err))
	case status.State == Running && status.PID != 0:
		fmt.Printf("%s is running (pid %d).\n", s.config.Name, status.PID)
	case status.State == Running:
		fmt.Printf("%s is starting.\n", s.config.Name)
	case status.State == Dead:
		fmt.Printf("%s is dead, but its pidfile %s is left.\n", s.config.Name, s.pidfile)
	default:
		fmt.Printf("%s is not running.\n", s.config.Name)
	}
	if status.Crash != "" {
		fmt.Printf("It crashed: %s (all of it is in %s)\n", status.Crash, crashPath(s.pidfile))
	}
	return int(status.State)
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
	said, err := launch(false, s.config.StartTimeout, p.lastSeen)
	if err == nil {
		p.end()
		os.Stderr.Write(said)
	}
	return err
}

func (s *service) stop() error {
	return stopHolder(s.pidfile, s.config.StopTimeout, crashPath(s.pidfile))
}

// waitsForEnd is what stop waits for.
func (s *service) waitsForEnd() string {
	return fmt.Sprintf("waiting for the daemon to end (SIGKILL after %s)", seconds(s.config.StopTimeout))
}

func (s *service) restart(p *progress) error {
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
		p.say(s.waitsForEnd())
		if err := s.stop(); err != nil && !errors.Is(err, ErrNotRunning) {
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
