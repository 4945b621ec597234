package daemonize

// The life of a service: run, sd_notify, socket activation, reload, respawning, crashes,
// progress.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// life is the daemon of these tests: a service of that name which does what
// the variables LIFE_… say.
var _ = testbed.Helper("life", func() {
	runs := 0
	config := &Config[string]{
		Name: "life", User: os.Getenv("LIFE_USER"), PidfileDirectory: os.Getenv("LIFE_DIR"),
		PrivilegedAction: func() (string, error) {
			switch os.Getenv("LIFE_PRIVILEGED") {
			case "slow":
				SetStatus("loading\x1b[2J the index")
				time.Sleep(1600 * time.Millisecond)
			case "hang":
				Syslog(LOG_NOTICE, "hanging")
				select {}
			case "fail":
				return "", errors.New("no such luck")
			}
			return "the value", nil
		},
	}
	config.RespawnDelay, _ = time.ParseDuration(os.Getenv("LIFE_RESPAWN"))
	config.StopTimeout, _ = time.ParseDuration(os.Getenv("LIFE_STOP"))
	if how := os.Getenv("LIFE_RELOAD"); how != "" {
		config.Reload = func(context.Context) error {
			Syslogf(LOG_NOTICE, "reloading as uid %d", os.Getuid())
			switch how {
			case "error":
				return errors.New("bad config")
			case "panic":
				panic("bad reload")
			}
			return nil
		}
	}
	Serviced(func(ctx context.Context, value string) error {
		runs++
		Syslogf(LOG_NOTICE, "run %d with %s", runs, value)
		switch kind := os.Getenv("LIFE_ACTION"); kind {
		case "errors":
			switch runs {
			case 1:
				return errors.New("first")
			case 2:
				panic("second")
			case 3:
				runtime.Goexit()
			}
			return nil
		case "fail":
			return errors.New("broken")
		case "fatal":
			return fmt.Errorf("wrapped: %w", Fatal(errors.New("no config")))
		case "deaf":
			select {}
		case "slow":
			<-ctx.Done()
			time.Sleep(1600 * time.Millisecond)
		case "child":
			out, err := exec.Command("/bin/sh", "-c", `echo "<$NOTIFY_SOCKET$LISTEN_PID$LISTEN_FDS$LISTEN_FDNAMES>"; ls -l /proc/self/fd | grep -c socket:`).Output()
			Syslogf(LOG_NOTICE, "child: %q %v", out, err)
		case "status":
			SetStatus("forged\nREADY=1")
		case "answer":
			files := ListenFiles()
			Syslogf(LOG_NOTICE, "%d files", len(files))
			for _, f := range files {
				l, err := net.FileListener(f)
				if err != nil {
					return err
				}
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						fmt.Fprintf(c, "uid %d on %s", os.Getuid(), f.Name())
						c.Close()
					}
				}()
			}
		case "goroutine", "map", "fault", "ansi", "exit":
			usr1 := make(chan os.Signal, 1)
			signal.Notify(usr1, unix.SIGUSR1)
			Syslog(LOG_NOTICE, "waits for SIGUSR1")
			select {
			case <-ctx.Done():
				return nil
			case <-usr1:
			}
			crash(kind)
		}
		<-ctx.Done()
		return ctx.Err()
	}, config)
})

func crash(kind string) {
	switch kind {
	case "goroutine":
		go func() { panic("beyond\nrecovery") }()
	case "ansi":
		go func() { panic("\x1b[2Jgotcha") }()
	case "fault":
		testbed.Fault()
	case "exit":
		os.Exit(9)
	case "map":
		m := map[int]int{}
		for range 8 {
			go func() {
				for i := 0; ; i++ {
					m[i%64] = i
				}
			}()
		}
	}
	select {}
}

// lifeLog is what is sent to /dev/log, without priority, time and tag.
type lifeLog struct {
	mu    sync.Mutex
	lines []string
}

var syslogHead = regexp.MustCompile(`^<(\d+)>.*?life(\[\d+\])?: `)

func hearLife(t *testing.T) *lifeLog {
	t.Helper()
	h := &lifeLog{}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	require.NoError(t, err)
	require.NoError(t, os.Chmod("/dev/log", 0o666))
	t.Cleanup(func() { c.Close(); os.Remove("/dev/log") })
	go func() {
		for b := make([]byte, 1<<17); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			h.mu.Lock()
			h.lines = append(h.lines, syslogHead.ReplaceAllString(strings.TrimRight(string(b[:n]), "\n\x00"), ""))
			h.mu.Unlock()
		}
	}()
	return h
}

func (h *lifeLog) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.lines...)
}

func (h *lifeLog) text() string { return strings.Join(h.all(), "\n") }

func (h *lifeLog) waitFor(t *testing.T, line string) {
	t.Helper()
	testbed.Eventually(t, func() bool { return strings.Contains(h.text(), line) }, "%q in syslog", line)
}

func (h *lifeLog) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = nil
}

// lifeCommand is `life verb` with variables.
func lifeCommand(verb string, env ...string) *exec.Cmd {
	c := testbed.Command("life", verb)
	c.Env = append(c.Env, env...)
	return c
}

// do runs `life verb` to its end.
func do(t *testing.T, verb string, env ...string) (code int, said string) {
	t.Helper()
	return finish(t, lifeCommand(verb, env...))
}

func finish(t *testing.T, c *exec.Cmd) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Start())
	late := time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
	defer late.Stop()
	_ = c.Wait()
	return c.ProcessState.ExitCode(), out.String()
}

// running is `life run`, or another program in the foreground.
type running struct {
	*exec.Cmd
	t      *testing.T
	stderr *syncBuffer
	done   chan struct{}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func runInForeground(t *testing.T, c *exec.Cmd) *running {
	t.Helper()
	r := &running{c, t, &syncBuffer{}, make(chan struct{})}
	if c.Stderr == nil {
		c.Stderr = r.stderr
	}
	require.NoError(t, c.Start())
	go func() { _ = c.Wait(); close(r.done) }()
	t.Cleanup(func() { _ = c.Process.Kill(); <-r.done })
	return r
}

// exits waits for the end and returns the exit code.
func (r *running) exits() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(10 * time.Second):
		require.FailNow(r.t, "it does not end", "%s", r.stderr)
	}
	return r.ProcessState.ExitCode()
}

func (r *running) says(text string) {
	r.t.Helper()
	testbed.Eventually(r.t, func() bool { return strings.Contains(r.stderr.String(), text) }, "%q on standard error, not\n%s", text, lazy(r.stderr.String))
}

// lazy is a string to be made when it is printed.
type lazy func() string

func (l lazy) String() string { return l() }

func (r *running) kill(sig syscall.Signal) {
	r.t.Helper()
	require.NoError(r.t, r.Process.Signal(sig))
}

// lifeDirectory is where the pidfile goes: of a user without root, a directory
// of its own.
func lifeDirectory(t *testing.T) string {
	t.Helper()
	if os.Geteuid() == 0 {
		return "/run"
	}
	return t.TempDir()
}

// isolateIfRoot isolates what runs as root; others get by with a directory.
func isolateIfRoot(t *testing.T) bool {
	t.Helper()
	return os.Geteuid() != 0 || testbed.Isolate(t)
}

func pidIn(t *testing.T, file string) int {
	t.Helper()
	var pid int
	testbed.Eventually(t, func() bool {
		text, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(string(text))
		return pid > 0
	}, "a pid in %s", file)
	return pid
}

func TestRunIsTheDaemonInTheForeground(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	dir := "LIFE_DIR=" + lifeDirectory(t)
	pidfile := strings.TrimPrefix(dir, "LIFE_DIR=") + "/life.pid"
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
		r := runInForeground(t, lifeCommand("run", dir))
		testbed.Eventually(t, func() bool { return pidIn(t, pidfile) == r.Process.Pid }, "its own pid, over a stale one")
		r.says("run 1 with the value")
		p := testbed.Look(t, r.Process.Pid)
		assert.Equal(t, "/", p.Cwd)
		assert.Equal(t, "0022", p.Status["Umask"])
		assert.Equal(t, os.Getpid(), p.PPID)
		if os.Geteuid() == 0 {
			assert.Equal(t, "1\t1\t1\t1", p.Status["Uid"], "daemon")
		}
		assert.Regexp(t, `(?m)^life: Starting\.$`, r.stderr)

		code, said := do(t, "status", dir)
		assert.Equal(t, 0, code, "%s", said)
		code, said = do(t, "run", dir)
		assert.Equal(t, 1, code)
		assert.Equal(t, fmt.Sprintf("life: PID file exists. Process already running? (pid %d holds %s)\n", r.Process.Pid, pidfile), said)

		r.kill(sig)
		assert.Equal(t, 0, r.exits(), "%s", r.stderr)
		assert.Contains(t, r.stderr.String(), "life: Exiting.")
		if os.Geteuid() != 0 {
			assert.NoFileExists(t, pidfile)
			assert.NoFileExists(t, crashPath(pidfile))
		}
	}
}

func TestRunEndsWithTheActionsError(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	dir := "LIFE_DIR=" + lifeDirectory(t)
	code, said := do(t, "run", dir, "LIFE_ACTION=fail")
	assert.Equal(t, 1, code)
	assert.Equal(t, 1, strings.Count(said, "broken"), "once: %s", said)
	code, said = do(t, "run", dir, "LIFE_PRIVILEGED=fail")
	assert.Equal(t, 1, code)
	assert.Equal(t, 1, strings.Count(said, "privileged action: no such luck"), "%s", said)
}

func TestSecondCtrlCEndsRunAtOnce(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+lifeDirectory(t), "LIFE_ACTION=deaf"))
	r.says("run 1")
	testbed.Eventually(t, func() bool {
		_ = r.Process.Signal(unix.SIGINT)
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	}, "its end")
	assert.Equal(t, unix.SIGINT, r.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestRunEndsCleanlyBeforeItIsReady(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	dir := lifeDirectory(t)
	r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+dir, "LIFE_PRIVILEGED=hang"))
	r.says("hanging")
	r.kill(unix.SIGTERM)
	assert.Equal(t, 1, r.exits())
	assert.Contains(t, r.stderr.String(), "told to stop before it was ready")
	assert.NoFileExists(t, dir+"/life.pid")
	assert.NoFileExists(t, dir+"/life.crash")
}

func TestRunGoesOnWithoutAPidfile(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	dirs := map[string]string{"missing": filepath.Join(t.TempDir(), "missing"), "forbidden": t.TempDir(), "read-only": t.TempDir(), "full": t.TempDir(), "no room": t.TempDir()}
	if os.Geteuid() == 0 {
		delete(dirs, "forbidden") // nothing is, for root
		require.NoError(t, unix.Mount("tmpfs", dirs["read-only"], "tmpfs", unix.MS_RDONLY, "mode=755"))
		require.NoError(t, unix.Mount("tmpfs", dirs["full"], "tmpfs", 0, "mode=755,nr_inodes=1"))
		require.NoError(t, unix.Mount("tmpfs", dirs["no room"], "tmpfs", 0, "mode=755,size=4k"))
		require.ErrorIs(t, os.WriteFile(dirs["no room"]+"/fill", make([]byte, 1<<20), 0o600), unix.ENOSPC)
		t.Cleanup(func() {
			for _, name := range []string{"read-only", "full", "no room"} {
				assert.NoError(t, unix.Unmount(dirs[name], 0))
			}
		})
	} else {
		delete(dirs, "read-only")
		delete(dirs, "full")
		delete(dirs, "no room")
		require.NoError(t, os.Chmod(dirs["forbidden"], 0o500))
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+dir))
			r.says("run 1")
			assert.Contains(t, r.stderr.String(), "no pidfile")
			assert.Contains(t, r.stderr.String(), dir)
			second, said := do(t, "run", "LIFE_DIR="+dir, "LIFE_ACTION=fail")
			assert.Equal(t, 1, second)
			assert.Equal(t, name == "no room", strings.Contains(said, "already running?"), "%s", said)
			r.kill(unix.SIGTERM)
			assert.Equal(t, 0, r.exits())
		})
	}
}

func TestRunBesideADaemonIsRefusedEvenWhereItCannotWrite(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	code, said := do(t, "start")
	require.Equal(t, 0, code, said)
	pid := pidIn(t, "/run/life.pid")
	other := lifeCommand("run")
	testbed.As(t, 65534, other)
	code, said = finish(t, other)
	assert.Equal(t, 1, code)
	assert.Contains(t, said, fmt.Sprintf("PID file exists. Process already running? (pid %d", pid))
	code, said = do(t, "stop")
	assert.Equal(t, 0, code, said)
}

func TestRunAsPID1(t *testing.T) {
	if isMusl() {
		t.Skip("needs glibc: over musl the drop needs the /proc of its PID namespace, which is not mounted here")
	}
	if !isolateRoot(t) {
		return
	}
	for _, privileged := range []string{"", "hang"} {
		c := lifeCommand("run", "LIFE_PRIVILEGED="+privileged)
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		r := runInForeground(t, c)
		if privileged == "" {
			r.says("run 1 with the value")
			text, err := os.ReadFile("/run/life.pid")
			require.NoError(t, err)
			assert.Equal(t, "1", string(text))
			code, said := do(t, "stop")
			assert.Equal(t, 1, code)
			assert.Equal(t, "life: the daemon is PID 1, the init of its container: stop the container instead\n", said)
		} else {
			r.says("hanging")
		}
		r.kill(unix.SIGTERM)
		assert.Equal(t, map[string]int{"": 0, "hang": 1}[privileged], r.exits(), "%s", r.stderr)
	}
}

func TestRunLeavesStderrToTheJournal(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	dir := lifeDirectory(t)
	for _, mine := range []bool{true, false} {
		file, err := os.CreateTemp(t.TempDir(), "stderr")
		require.NoError(t, err)
		var st unix.Stat_t
		require.NoError(t, unix.Fstat(int(file.Fd()), &st))
		if !mine {
			st.Ino++
		}
		c := lifeCommand("run", "LIFE_DIR="+dir, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino), "LIFE_ACTION=fail")
		c.Stderr = file
		_ = c.Run()
		assert.Equal(t, 1, c.ProcessState.ExitCode())
		text, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		assert.Equal(t, !mine, strings.Contains(string(text), "Starting."), "%s", text)
		assert.Equal(t, !mine, strings.Contains(string(text), "broken"), "%s", text)
	}
}

func TestRunNotifiesItsSupervisor(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	dir := lifeDirectory(t)
	// A socket that only root reaches: it must be connected before the drop.
	private := filepath.Join(t.TempDir(), "private")
	require.NoError(t, os.Mkdir(private, 0o700))
	for _, name := range []string{filepath.Join(private, "notify"), "@daemonize-test-" + strconv.Itoa(os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
			require.NoError(t, err)
			defer c.Close()
			next := func() string {
				require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
				b := make([]byte, 4096)
				n, err := c.Read(b)
				require.NoError(t, err)
				return string(b[:n])
			}
			r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+dir, "NOTIFY_SOCKET="+name, "LIFE_RELOAD=error", "LIFE_ACTION=status"))
			require.Equal(t, "READY=1", next())
			require.Equal(t, "STATUS=forged READY=1", next())
			p := testbed.Look(t, r.Process.Pid)
			if os.Geteuid() == 0 {
				assert.Equal(t, "1\t1\t1\t1", p.Status["Uid"], "ready is after the drop")
			}
			var before, after unix.Timespec
			require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &before))
			r.kill(unix.SIGHUP)
			m := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)$`).FindStringSubmatch(next())
			require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
			require.NotNil(t, m)
			usec, err := strconv.ParseInt(m[1], 10, 64)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, usec, before.Nano()/1000)
			assert.LessOrEqual(t, usec, after.Nano()/1000)
			require.Equal(t, "READY=1", next(), "the error does not end it")
			r.kill(unix.SIGTERM)
			require.Equal(t, "STOPPING=1", next())
			assert.Equal(t, 0, r.exits(), "%s", r.stderr)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
			_, err = c.Read(make([]byte, 1))
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "nothing more")

			r = runInForeground(t, lifeCommand("run", "LIFE_DIR="+dir, "NOTIFY_SOCKET="+name, "LIFE_ACTION=fail"))
			require.Equal(t, "READY=1", next())
			require.Equal(t, "STOPPING=1", next(), "it ends by itself")
			assert.Equal(t, 1, r.exits())
		})
	}
}

// TestSupervisorThatHangsHoldsNobodyUp: its queue is full, and it reads nothing.
func TestSupervisorThatHangsHoldsNobodyUp(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	defer c.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Connect(fd, &unix.SockaddrUnix{Name: name}))
	for err = nil; err == nil; {
		_, err = unix.SendmsgN(fd, []byte("full"), nil, nil, unix.MSG_DONTWAIT)
	}
	require.Equal(t, unix.EAGAIN, err)
	r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+lifeDirectory(t), "NOTIFY_SOCKET="+name, "LIFE_ACTION=status"))
	r.says("run 1")
	r.kill(unix.SIGTERM)
	assert.Equal(t, 0, r.exits(), "%s", r.stderr)
}

// after-run is a program that goes on after Run.
var _ = testbed.Helper("after-run", func() {
	s, err := New(func(ctx context.Context, _ int) error {
		defer func() { <-ctx.Done() }()
		return unix.Kill(os.Getpid(), unix.SIGTERM)
	}, &Config[int]{Name: "life", PidfileDirectory: os.Getenv("LIFE_DIR")})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "returned", s.Run())
	select {}
})

func TestRunGivesTheSignalsBack(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	c := testbed.Command("after-run")
	c.Env = append(c.Env, "LIFE_DIR="+lifeDirectory(t))
	r := runInForeground(t, c)
	r.says("returned ")
	r.kill(unix.SIGTERM)
	assert.Equal(t, -1, r.exits())
	assert.Equal(t, unix.SIGTERM, r.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestRunTellsOfANotifySocketThatIsNoUse(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	for _, name := range []string{"/nonexistent/notify", "relative", "vsock:2:9999"} {
		r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+lifeDirectory(t), "NOTIFY_SOCKET="+name))
		r.says("run 1")
		assert.Contains(t, r.stderr.String(), "NOTIFY_SOCKET")
		assert.Contains(t, r.stderr.String(), "nobody is told")
		r.kill(unix.SIGTERM)
		assert.Equal(t, 0, r.exits())
	}
}

// activated is run with sockets as systemd passes them; the pid in LISTEN_PID
// is only known in the process itself.
func activated(pid string, env ...string) *exec.Cmd {
	run := lifeCommand("run", env...)
	c := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=` + pid + ` exec "$@"`, "sh", run.Path}, run.Args[1:]...)...)
	c.Env = run.Env
	return c
}

func TestSocketActivationReachesTheActionAndNoChild(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	dir := lifeDirectory(t)
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		f, err := l.(*net.TCPListener).File()
		require.NoError(t, err)
		addrs, files = append(addrs, l.Addr().String()), append(files, f)
		l.Close()
	}
	sockets := []string{"LIFE_DIR=" + dir, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:"}

	c := activated("$$", append(sockets, "LIFE_ACTION=answer")...)
	c.ExtraFiles = files
	r := runInForeground(t, c)
	r.says("run 1")
	for i, name := range []string{"web", "LISTEN_FD_4"} {
		conn, err := net.Dial("tcp", addrs[i])
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		var b bytes.Buffer
		_, err = b.ReadFrom(conn)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("uid %d on %s", map[bool]int{true: 1, false: os.Getuid()}[os.Geteuid() == 0], name), b.String())
	}
	r.kill(unix.SIGTERM)
	assert.Equal(t, 0, r.exits())

	c = activated("$$", append(sockets, "LIFE_ACTION=child", "NOTIFY_SOCKET=@nobody")...)
	c.ExtraFiles = files
	r = runInForeground(t, c)
	r.says(`child: "<>\n0\n"`)
	r.kill(unix.SIGTERM)
	assert.Equal(t, 0, r.exits())

	c = activated("1", append(sockets, "LIFE_ACTION=answer")...)
	c.ExtraFiles = files
	r = runInForeground(t, c)
	r.says("0 files")
	assert.NotEmpty(t, testbed.Look(t, r.Process.Pid).FDs[3], "another's descriptors are not touched")
	r.kill(unix.SIGTERM)
	assert.Equal(t, 0, r.exits())
}

func TestReload(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := hearLife(t)
	for how, wanted := range map[string]string{"ok": "reloading as uid 1", "error": "reload: bad config", "panic": "reload: panic: bad reload"} {
		log.forget()
		code, said := do(t, "start", "LIFE_RELOAD="+how)
		require.Equal(t, 0, code, said)
		pid := pidIn(t, "/run/life.pid")
		code, said = do(t, "reload", "LIFE_RELOAD="+how)
		assert.Equal(t, 0, code, said)
		log.waitFor(t, wanted)
		assert.True(t, testbed.Alive(pid))

		log.forget()
		code, said = do(t, "reload") // the same daemon seen by a program without Reload
		assert.Equal(t, 3, code)
		assert.Contains(t, said, "life: reload: this daemon has nothing to reload")
		code, _ = do(t, "stop")
		assert.Equal(t, 0, code)
		log.waitFor(t, "Exiting.")
		assert.NotContains(t, log.text(), "reloading", "it was not signalled")
	}
	code, said := do(t, "reload", "LIFE_RELOAD=ok")
	assert.Equal(t, 7, code)
	assert.Equal(t, "life is not running.\n", said)
}

func TestHangupIsIgnoredWithoutReload(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+lifeDirectory(t)))
	r.says("run 1")
	r.kill(unix.SIGHUP)
	testbed.Eventually(t, func() bool {
		s := testbed.Status(t, r.Process.Pid, 0)
		return s["SigPnd"] == "0000000000000000" && s["ShdPnd"] == "0000000000000000"
	}, "delivery")
	r.kill(unix.SIGTERM)
	assert.Equal(t, 0, r.exits())
}

func TestFailedActionRunsAgain(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	code, said := do(t, "run", "LIFE_DIR="+lifeDirectory(t), "LIFE_ACTION=errors", "LIFE_RESPAWN=30ms")
	assert.Equal(t, 0, code, "nil ends it")
	wanted := []string{
		"Starting.", "run 1 with the value", "unexpected error: first", "restarting in 30ms",
		"run 2 with the value", "unexpected error: panic: second", "life_linux_test.go", "restarting in 30ms",
		"run 3 with the value", "unexpected error: it ended its goroutine (runtime.Goexit)", "restarting in 30ms",
		"run 4 with the value", "Exiting.",
	}
	rest := said
	for _, w := range wanted {
		_, after, found := strings.Cut(rest, w)
		require.True(t, found, "%q in its place in:\n%s", w, said)
		rest = after
	}
}

func TestSIGTERMEndsTheWaitAtOnce(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	r := runInForeground(t, lifeCommand("run", "LIFE_DIR="+lifeDirectory(t), "LIFE_ACTION=fail", "LIFE_RESPAWN=5s"))
	r.says("restarting in 5 seconds")
	start := time.Now()
	r.kill(unix.SIGTERM)
	assert.Equal(t, 0, r.exits())
	assert.Less(t, time.Since(start), 2*time.Second)
	assert.NotContains(t, r.stderr.String(), "run 2")
}

func TestFatalEndsIt(t *testing.T) {
	if !isolateIfRoot(t) {
		return
	}
	code, said := do(t, "run", "LIFE_DIR="+lifeDirectory(t), "LIFE_ACTION=fatal", "LIFE_RESPAWN=5s")
	assert.Equal(t, 1, code)
	assert.Contains(t, said, "life: wrapped: no config")
	assert.NotContains(t, said, "restarting")
	assert.NoError(t, Fatal(nil))
}

// becomesDead starts a daemon and has it crash.
func becomesDead(t *testing.T, log *lifeLog, env ...string) {
	t.Helper()
	code, said := do(t, "start", env...)
	require.Equal(t, 0, code, said)
	pid := pidIn(t, "/run/life.pid")
	log.waitFor(t, "waits for SIGUSR1")
	require.NoError(t, unix.Kill(pid, unix.SIGUSR1))
	// Its main thread may be gone while others hold the lock still.
	testbed.Eventually(t, func() bool {
		locks, err := os.ReadFile("/proc/locks")
		return err == nil && !strings.Contains(string(locks), "FLOCK")
	}, "the crash")
}

func TestCrashLeavesEvidence(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := hearLife(t)
	kinds := map[string][]string{ // what status shows, then what the log has, too
		"goroutine": {"panic: beyond", "recovery", "goroutine ", "crash"},
		"map":       {"probably concurrent use of a map: ", "internal/runtime/maps.fatal", "crash"},
		"ansi":      {"panic:  [2Jgotcha", "goroutine "},
	}
	if raceEnabled {
		delete(kinds, "map") // the detector sees it first
	}
	if usesLibc {
		kinds["fault"] = []string{"SIGSEGV: segmentation violation", "signal arrived during cgo execution"}
	}
	for kind, wanted := range kinds {
		t.Run(kind, func(t *testing.T) {
			log.forget()
			becomesDead(t, log, "LIFE_ACTION="+kind)
			info, err := os.Stat("/run/life.crash")
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode())
			assert.Zero(t, info.Sys().(*syscall.Stat_t).Uid)

			code, said := do(t, "status")
			assert.Equal(t, 1, code)
			lines := strings.Split(said, "\n")
			require.Len(t, lines, 4, "%s", said)
			assert.Equal(t, "What it logged: journalctl -t life, or /var/log/syslog or /var/log/messages.", lines[2])
			if kind == "fault" {
				assert.Regexp(t, `^It crashed: (SIGSEGV: segmentation violation|fatal error: unexpected signal during runtime execution) \(all of it is in /var/run/life.crash\)$`, lines[1])
			} else {
				assert.True(t, strings.HasPrefix(lines[1], "It crashed: "+wanted[0]), "%s", said)
				if kind == "map" {
					assert.Regexp(t, `maps\.fatal.* github.com/madhadron/daemonize\.crash`, lines[1])
				}
			}

			log.forget()
			code, said = do(t, "start")
			require.Equal(t, 0, code, said)
			log.waitFor(t, "run 1")
			for _, w := range wanted[1:] {
				assert.Contains(t, log.text(), w)
			}
			for _, l := range log.all() {
				assert.NotContains(t, l, "\n", "line by line")
			}
			assert.Less(t, strings.Index(log.text(), "It crashed the last time."), strings.Index(log.text(), "goroutine "))
			info, err = os.Stat("/run/life.crash")
			require.NoError(t, err)
			assert.Zero(t, info.Size(), "it is logged once")
			code, said = do(t, "stop")
			assert.Equal(t, 0, code, said)
			assert.NoFileExists(t, "/run/life.pid")
			assert.NoFileExists(t, "/run/life.crash")
			code, said = do(t, "status")
			assert.Equal(t, 3, code)
			assert.Equal(t, "life is not running.\n", said)
		})
	}
}

func TestStopKeepsEvidenceForTheNextStart(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := hearLife(t)
	becomesDead(t, log, "LIFE_ACTION=goroutine")
	code, _ := do(t, "stop")
	assert.Equal(t, 0, code)
	code, said := do(t, "status")
	assert.Equal(t, 3, code)
	assert.Contains(t, said, "It crashed: panic: beyond")
	code, _ = do(t, "start")
	require.Equal(t, 0, code)
	log.waitFor(t, "recovery")
	code, _ = do(t, "stop")
	assert.Equal(t, 0, code)
}

func TestNoCrashFileIsLeft(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := hearLife(t)
	t.Run("clean exit of root", func(t *testing.T) { // who may unlink it
		code, said := do(t, "start", "LIFE_USER=root")
		require.Equal(t, 0, code, said)
		pid := pidIn(t, "/run/life.pid")
		assert.FileExists(t, "/run/life.crash")
		require.NoError(t, unix.Kill(pid, unix.SIGTERM))
		testbed.Eventually(t, func() bool { return !testbed.Alive(pid) }, "its end")
		assert.NoFileExists(t, "/run/life.pid")
		assert.NoFileExists(t, "/run/life.crash")
	})
	t.Run("failed start", func(t *testing.T) {
		code, _ := do(t, "start", "LIFE_PRIVILEGED=fail")
		assert.Equal(t, 1, code)
		assert.NoFileExists(t, "/run/life.pid")
		assert.NoFileExists(t, "/run/life.crash")
	})
	t.Run("os.Exit, then stop", func(t *testing.T) {
		becomesDead(t, log, "LIFE_ACTION=exit")
		code, said := do(t, "status")
		assert.Equal(t, 1, code)
		assert.NotContains(t, said, "crashed")
		code, _ = do(t, "stop")
		assert.Equal(t, 0, code)
		assert.NoFileExists(t, "/run/life.pid")
		assert.NoFileExists(t, "/run/life.crash")
	})
}

func TestCrashFileThatIsNotOursIsNotTouched(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	log := hearLife(t)
	target := filepath.Join(t.TempDir(), "target")
	require.NoError(t, os.WriteFile(target, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(target, "/run/life.crash"))
	code, said := do(t, "start")
	require.Equal(t, 0, code, said)
	log.waitFor(t, "crash file /var/run/life.crash is a symbolic link: refused")
	code, _ = do(t, "stop")
	assert.Equal(t, 0, code)
	text, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(text))
	assert.FileExists(t, "/run/life.crash")
}

func TestProgressOnATerminal(t *testing.T) {
	t.Parallel() // it waits, most of the time
	if !isolateRoot(t) {
		return
	}
	slow := func(verb string, env ...string) *testbed.Terminal {
		term := testbed.NewTerminal(t, 120)
		c := lifeCommand(verb, env...)
		c.Stderr = term.File
		require.NoError(t, c.Run(), "%s", lazy(term.Text))
		return term
	}
	goesAway := func(term *testbed.Terminal) {
		t.Helper()
		testbed.Eventually(t, func() bool { return term.Text() != "" && slices.Equal(term.Screen(), []string{""}) }, "the line to go away: %q", lazy(term.Text))
	}
	term := slow("start", "LIFE_PRIVILEGED=slow", "LIFE_ACTION=slow")
	goesAway(term)
	assert.Contains(t, term.Text(), "life: waiting for the daemon, last seen while it ran its privileged action: loading [2J the index: 1 s")
	term = slow("stop")
	goesAway(term)
	assert.Contains(t, term.Text(), "life: waiting for the daemon to end (SIGKILL after 4 seconds): 1 s")

	for _, verb := range []string{"start", "stop"} {
		began := time.Now()
		term = slow(verb)
		if time.Since(began) < progressDelay {
			assert.Empty(t, term.Text(), "quick: nothing to say")
		}
	}

	code, said := do(t, "start", "LIFE_PRIVILEGED=slow")
	assert.Equal(t, 0, code)
	assert.Empty(t, said, "quiet on a pipe")
	code, _ = do(t, "stop")
	assert.Equal(t, 0, code)

	narrow := testbed.NewTerminal(t, 20)
	c := lifeCommand("start", "LIFE_PRIVILEGED=slow")
	c.Stderr = narrow.File
	require.NoError(t, c.Run())
	goesAway(narrow)
	assert.Regexp(t, `^life: waiting for t\r`, narrow.Text(), "a line that wraps would stay")
	code, _ = do(t, "stop")
	assert.Equal(t, 0, code)
}
