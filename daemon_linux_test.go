package daemonize

// Becoming a daemon: Detach, Daemon and Daemonize, seen from outside, and what may break.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// untilTerm is what the helper daemons do for a living.
func untilTerm() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	<-ctx.Done()
}

// detacher calls Daemon(nochdir, noclose), arguments "0" or "1".
var _ = testbed.Launcher("detacher", func() {
	if err := Daemon(os.Args[1] == "1", os.Args[2] == "1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	untilTerm()
})

const cDetacher = `#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
	if (daemon(atoi(argv[1]), atoi(argv[2])) != 0) return 1;
	for (;;) pause();
}`

// descriptors leaves out what the Go runtime opens for itself. The daemon
// closes the report socket a moment after the launcher has its verdict.
func descriptors(t *testing.T, pid int) map[int]string {
	t.Helper()
	var fds map[int]string
	testbed.Eventually(t, func() bool {
		fds = testbed.Look(t, pid).FDs
		named, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", pid))
		require.NoError(t, err)
		maps.DeleteFunc(fds, func(_ int, to string) bool { // a service's claim, see there
			inode := strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")
			return regexp.MustCompile(" " + regexp.QuoteMeta(inode) + " @daemonize/").Match(named)
		})
		return !slices.ContainsFunc(slices.Collect(maps.Values(fds)), func(to string) bool { return strings.HasPrefix(to, "socket:") })
	}, "the report's end")
	maps.DeleteFunc(fds, func(_ int, to string) bool {
		return strings.HasPrefix(to, "anon_inode:[event") || strings.HasPrefix(to, "/sys/fs/cgroup/")
	})
	return fds
}

// TestDaemonIsWhatDaemon3Makes looks at both from outside.
func TestDaemonIsWhatDaemon3Makes(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	c := testbed.CC(t, cDetacher)
	dir := t.TempDir()
	for _, flags := range [][2]string{{"0", "0"}, {"1", "0"}, {"0", "1"}, {"1", "1"}} {
		t.Run(fmt.Sprintf("daemon(%s,%s)", flags[0], flags[1]), func(t *testing.T) {
			look := func(command *exec.Cmd, argv0 string) *testbed.Proc {
				out, err := os.CreateTemp(dir, "out")
				require.NoError(t, err)
				in, err := os.Open("/dev/zero")
				require.NoError(t, err)
				command.Dir, command.Stdin, command.Stdout, command.Stderr = dir, in, out, out
				old := unix.Umask(0o027)
				err = command.Run()
				unix.Umask(old)
				require.NoError(t, err)
				var pid int
				testbed.Eventually(t, func() bool { // the C launcher does not wait
					pids := testbed.Find(argv0)
					if len(pids) != 1 {
						return false
					}
					pid = pids[0]
					p := testbed.Look(t, pid)
					return p.PPID == 1 && p.SID == p.PGID && p.Cwd == map[string]string{"0": "/", "1": dir}[flags[0]] &&
						(flags[1] == "1" || p.FDs[2] == "/dev/null" && p.FDs[3] == "")
				}, "%s", argv0)
				p := testbed.Look(t, pid)
				p.FDs = descriptors(t, pid)
				for fd, to := range p.FDs {
					p.FDs[fd] = strings.ReplaceAll(to, filepath.Base(out.Name()), "out")
				}
				require.NoError(t, unix.Kill(pid, unix.SIGKILL))
				testbed.None(t, argv0)
				return p
			}
			theirs := look(exec.Command(c, flags[:]...), c)
			ours := look(testbed.Command("detacher", flags[:]...), "detacher")

			for fd := range 3 {
				assert.Equal(t, theirs.FDs[fd], ours.FDs[fd], "descriptor %d", fd)
			}
			assert.Len(t, ours.FDs, 3, "%v", ours.FDs)
			assert.Equal(t, theirs.Cwd, ours.Cwd)
			assert.Equal(t, theirs.PPID, ours.PPID)
			assert.Equal(t, 1, ours.PPID)
			assert.Zero(t, ours.TTY)
			assert.Equal(t, "0027", ours.Status["Umask"])
			assert.Equal(t, theirs.Status["Umask"], ours.Status["Umask"])
			assert.Equal(t, theirs.Status["Uid"], ours.Status["Uid"])
			assert.NotEqual(t, os.Getpid(), ours.SID)
			// The one difference: glibc's forks once and stays a session leader.
			assert.NotEqual(t, ours.PID, ours.SID, "a session leader can catch a terminal")
			assert.Equal(t, ours.PGID, ours.SID)
			assert.Equal(t, testbed.Command("detacher", flags[:]...).Args, ours.Args)
		})
	}
}

func TestDaemonIsNamedAsTyped(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	c := testbed.Command("detacher", "0", "0")
	c.Args[0] = "/opt/bin/with-a-very-long-name"
	require.NoError(t, c.Run())
	p := testbed.Look(t, testbed.One(t, c.Args[0]))
	assert.Equal(t, "with-a-very-lon", p.Comm, "not exe, which ps, pgrep and killall would show")
	assert.Equal(t, c.Args[0], p.Args[0])
}

func TestDaemonInheritsNoDescriptor(t *testing.T) {
	for _, refused := range []bool{false, true} {
		t.Run(map[bool]string{false: "close_range", true: "without close_range"}[refused], func(t *testing.T) {
			if !testbed.IsolateBothWays(t) {
				return
			}
			c := testbed.Command("without", "", "detacher", "0", "0")
			if refused {
				c = testbed.Command("without", fmt.Sprint(unix.SYS_CLOSE_RANGE), "detacher", "0", "0")
			}
			for range 50 {
				f, err := os.Open("/root")
				if err != nil {
					f, err = os.Open("/")
				}
				require.NoError(t, err)
				defer f.Close()
				c.ExtraFiles = append(c.ExtraFiles, f)
			}
			out, err := c.CombinedOutput()
			require.NoError(t, err, "%s", out)
			fds := descriptors(t, testbed.One(t, "detacher"))
			assert.Equal(t, map[int]string{0: "/dev/null", 1: "/dev/null", 2: "/dev/null"}, fds)
		})
	}
}

// without runs a helper for which some system calls do not exist: their
// numbers, then the helper and its arguments.
var _ = testbed.Helper("without", func() {
	for nr := range strings.SplitSeq(os.Args[1], ",") {
		if n, err := strconv.Atoi(nr); err == nil {
			testbed.Refuse(unix.ENOSYS, nil, n)
		}
	}
	execHelper(os.Args[2:])
})

// execHelper becomes another helper, with all descriptors.
func execHelper(args []string) {
	c := testbed.Command(args[0], args[1:]...)
	c.Env = slices.DeleteFunc(c.Env, func(v string) bool { // the first one would count
		return strings.HasPrefix(v, "TESTBED_HELPER=") && v != "TESTBED_HELPER="+args[0]
	})
	for fd := 3; fd < 100; fd++ {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	panic(unix.Exec(c.Path, c.Args, c.Env))
}

// dirty runs a helper with every signal blocked and HUP, PIPE, USR1 and
// TERM ignored, as some parents do.
var _ = testbed.Helper("dirty", func() {
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE, unix.SIGUSR1, unix.SIGTERM)
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		panic(err)
	}
	execHelper(os.Args[1:])
})

// parent is a daemon with a child that is no Go program and shows what
// children inherit.
var _ = testbed.Launcher("parent", func() {
	if err := Daemon(false, false); err != nil {
		log.Fatal(err)
	}
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		log.Fatal(err)
	}
	untilTerm()
})

func TestDaemonAndItsChildrenHaveCleanSignals(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	out, err := testbed.Command("dirty", "parent").CombinedOutput()
	require.NoError(t, err, "%s", out)
	daemon, child := testbed.One(t, "parent"), testbed.One(t, "sleep")
	const none = "0000000000000000"
	assert.Equal(t, none, testbed.Status(t, child, 0)["SigBlk"], "the child's mask")
	assert.Equal(t, none, testbed.Status(t, child, 0)["SigIgn"], "what the child ignores")
	assert.Equal(t, none, testbed.Status(t, daemon, 0)["SigIgn"], "what the daemon ignores")
	require.NoError(t, unix.Kill(daemon, unix.SIGTERM))
	testbed.None(t, "parent")
}

// starter does what its first argument says, around Detach.
var _ = testbed.Launcher("starter", func() {
	say := func() {
		fmt.Println("out before")
		fmt.Fprintln(os.Stderr, "err before")
	}
	switch os.Args[1] {
	case "exit0":
		if isDaemon() {
			say()
			os.Exit(0)
		}
	case "return":
		if isDaemon() {
			say()
			return
		}
	case "panic":
		if isDaemon() {
			panic("early trouble")
		}
	case "fatal":
		if isDaemon() {
			log.SetFlags(0)
			log.Fatal("cannot read the config")
		}
	case "prints":
		say()
	}
	ready, err := Detach(false, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch os.Args[1] {
	case "fails":
		fmt.Fprintln(os.Stderr, "what led to it")
		ready(errors.New("the port is taken"))
		ready(nil)
		os.Exit(3)
	case "runs":
		ready(&RunningError{Pidfile: "/its/own.pid", PID: 7})
		os.Exit(3)
	case "dies":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "late":
		fmt.Fprintln(os.Stderr, "never seen")
		time.Sleep(time.Second / 2)
	case "hangs":
		os.WriteFile(os.Args[2], []byte("up"), 0o600)
		untilTerm()
	case "flood":
		for range 3000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 99))
		}
		ready(errors.New("enough"))
		os.Exit(1)
	}
	ready(nil)
	ready(errors.New("too late"))
	untilTerm()
})

func TestLauncherTellsTheTruth(t *testing.T) {
	for _, c := range []struct {
		what   string
		code   int
		stderr string // %d: the daemon's pid
		daemon bool

		out, err string // forked first, main runs at the terminal
		how      string // it ended
	}{
		{what: "ready", daemon: true},
		{what: "late", daemon: true, err: "never seen\n"},
		{what: "fails", code: 1, stderr: "what led to it\nstarter: the port is taken\n"},
		{what: "runs", code: 1, stderr: "starter: PID file exists. Process already running? (pid 7 holds /its/own.pid)\n"},
		{what: "dies", code: 1, stderr: "starter: the daemon (pid %d) died before it was ready, after it reached the call that makes it a daemon\n", how: ": signal: killed"},
		{what: "exit0", code: 1, stderr: "err before\nstarter: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first\n", out: "out before\n", how: ": exit status 0"},
		{what: "return", code: 1, stderr: "err before\nstarter: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first\n", out: "out before\n", how: ": exit status 0"},
		{what: "fatal", code: 1, stderr: "cannot read the config\nstarter: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first\n", how: ": exit status 1"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if !testbed.IsolateBothWays(t) {
				return
			}
			cmd := testbed.Command("starter", c.what)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run()
			assert.Equal(t, c.code, cmd.ProcessState.ExitCode())
			if !testbed.ForksFirst() {
				c.out, c.err = "", ""
			}
			assert.Equal(t, c.out, stdout.String())
			if text, ok := strings.CutSuffix(c.stderr, "\n"); ok {
				c.stderr = text + c.how + "\n"
			}
			assert.Equal(t, c.err+c.stderr, digits(stderr.String(), c.stderr))
			if c.daemon {
				testbed.One(t, "starter")
			} else {
				testbed.None(t, "starter")
			}
		})
	}
}

// digits puts %d for the pid in what was said if it stands so in what is wanted.
func digits(said, wanted string) string {
	if !strings.Contains(wanted, "(pid %d)") {
		return said
	}
	before, after, ok := strings.Cut(said, "(pid ")
	if !ok {
		return said
	}
	return before + "(pid %d)" + strings.TrimLeft(after, "0123456789")[1:]
}

func TestLauncherShowsThePanic(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	cmd := testbed.Command("starter", "panic")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "panic: early trouble\n\ngoroutine 1 [")
	const how = ": exit status 2"
	assert.Contains(t, string(out), "main returned, exited or panicked first"+how+"\n")
	testbed.None(t, "starter")
}

func TestLauncherShowsTheFirstOfMuchOutput(t *testing.T) {
	if !testbed.Isolate(t) { // forked first, all of it goes to the terminal
		return
	}
	out, err := testbed.Command("starter", "flood").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "xxxx\n[234464 more bytes]\n"[10:])
	assert.True(t, strings.HasSuffix(string(out), "\nstarter: enough\n"))
	assert.Less(t, len(out), 70_000)
}

func TestEarlyOutputIsSeenOnce(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	cmd := testbed.Command("starter", "prints")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run())
	assert.Equal(t, "out before\n", stdout.String())
	assert.Equal(t, "err before\n", stderr.String())
}

// again records where and with what main runs, each time.
var _ = testbed.Launcher("again", func() {
	f, err := os.OpenFile("runs", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "relative path:", err)
		os.Exit(9)
	}
	marked := os.Getenv(marker)
	fmt.Fprintf(f, "%s|%s|%q|%q\n", os.Getenv("GROWS"), filepath.Base(must(os.Getwd())), os.Args[1:], marked)
	f.Close()
	os.Setenv("GROWS", os.Getenv("GROWS")+"+")
	if err := os.Chdir("sub"); err != nil {
		os.Exit(8)
	}
	if err := Daemon(false, true); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("in the daemon, at the launcher's terminal")
	untilTerm()
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestMainFindsWhatTheLauncherFound(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	dir := filepath.Join(t.TempDir(), "here")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "runs"), nil, 0o644))
	cmd := testbed.Command("again", "a b", "", "--c=\n")
	cmd.Dir, cmd.Env = dir, append(cmd.Env, "GROWS=x")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Run()
	write.Close()
	b := make([]byte, 1000)
	n, _ := io.ReadAtLeast(read, b, 42)
	require.NoError(t, err, "%s", b[:n])
	assert.Equal(t, "in the daemon, at the launcher's terminal\n", string(b[:n]), "noclose")
	runs, err := os.ReadFile(filepath.Join(dir, "runs"))
	require.NoError(t, err)
	const run = `x|here|["a b" "" "--c=\n"]|""` + "\n"
	times := map[bool]int{true: 1, false: 2}[testbed.ForksFirst()]
	assert.Equal(t, strings.Repeat(run, times), string(runs))
}

func TestNoDaemonStaysWhenTheLauncherGoesBeforeReady(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGKILL} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			if !testbed.IsolateBothWays(t) {
				return
			}
			up := filepath.Join(t.TempDir(), "up")
			caught := make(chan os.Signal, 1) // what we ignore, under nohup say, the launcher would ignore
			signal.Notify(caught, sig)
			defer signal.Stop(caught)
			cmd := testbed.Command("starter", "hangs", up)
			require.NoError(t, cmd.Start())
			testbed.Eventually(t, func() bool { _, err := os.Stat(up); return err == nil }, "the daemon")
			require.NoError(t, cmd.Process.Signal(sig))
			_ = cmd.Wait()
			testbed.None(t, "starter")
		})
	}
}

// counted appends a line to a file whenever main runs, then calls Daemon.
var _ = testbed.Launcher("counted", func() {
	f := must(os.OpenFile(os.Args[1], os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666))
	fmt.Fprintln(f, os.Getpid())
	f.Close()
	for range 3 { // whoever ignores the error must not get further the next time
		if err := Daemon(false, false); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(1)
})

// TestMarkerByHandNeverLaunches: by construction, see mayLaunch: a process that saw a
// marker and did not become the daemon has no way to StartProcess.
func TestMarkerByHandNeverLaunches(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	me := strconv.Itoa(os.Getpid())
	for _, value := range []string{
		"", ":", "1:3", "0:3", "-1:3", "+2:3", " 2:3", "2:", ":3", "2:3:", "2:3:4", "2:3:4:5", "99999999999:3", "2:99999999999",
		"2147483648:3", me + ":3 ", me + ":0", me + ":2", me + ":-1", me + ":999", "nonsense", strings.Repeat("1", 10000),
	} {
		t.Run(fmt.Sprintf("%.12q", value), func(t *testing.T) {
			count := filepath.Join(t.TempDir(), "count")
			cmd := testbed.Command("counted", count)
			cmd.Env = append(cmd.Env, marker+"="+value, marker+"=2:3")
			if len(value)%2 == 0 {
				cmd.Env = cmd.Env[:len(cmd.Env)-1] // once; otherwise twice
			}
			a, b, err := socketPairFiles() // a real socket on 3, but not the launcher's
			require.NoError(t, err)
			defer a.Close()
			cmd.ExtraFiles = []*os.File{b}
			out, err := cmd.CombinedOutput()
			b.Close()
			require.Error(t, err)
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			line := "daemonize: the environment variable DAEMONIZE_BOOT was set, but not for this process by a launcher of this program: unset it and start again\n"
			assert.Equal(t, strings.Repeat(line, 3), string(out))
			runs, err := os.ReadFile(count)
			require.NoError(t, err)
			assert.Equal(t, 1, strings.Count(string(runs), "\n"), "main ran once")
			testbed.None(t, "counted")
		})
	}
}

func socketPairFiles() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b"), nil
}

// TestMarkerWithHalfTheTruthIsRefused: the parent is whom the marker names, but
// another made the socket; or who made the socket is not the parent; or the
// session is another.
func TestMarkerWithHalfTheTruthIsRefused(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	me := os.Getpid()
	for _, value := range []string{"PID:3", fmt.Sprintf("%d:3", me), fmt.Sprintf("%d:3:%d", me, me)} {
		cmd := testbed.Command("marks", filepath.Join(t.TempDir(), "count"), value)
		a, b, err := socketPairFiles()
		require.NoError(t, err)
		defer a.Close()
		cmd.ExtraFiles = []*os.File{b}
		out, err := cmd.CombinedOutput()
		b.Close()
		require.Error(t, err, value)
		assert.Contains(t, string(out), "DAEMONIZE_BOOT was set, but not for this process", value)
		testbed.None(t, "counted")
	}
}

// marks starts counted with a marker, in which PID stands for its own, and a
// socket that its own parent made.
var _ = testbed.Helper("marks", func() {
	cmd := testbed.Command("counted", os.Args[1])
	cmd.Env = append(cmd.Env, marker+"="+strings.ReplaceAll(os.Args[2], "PID", strconv.Itoa(os.Getpid())))
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "socket")}
	cmd.Stderr = os.Stderr
	if cmd.Run() != nil {
		os.Exit(1)
	}
})

func TestInternalLinkingIsAnErrorAtOnce(t *testing.T) {
	if !usesLibc {
		t.Skip("needs cgo: apt-get install gcc libc6-dev; CGO_ENABLED=1 go test")
	}
	if isMusl() {
		t.Skip("needs glibc: Go's linker knows no other")
	}
	if !testbed.IsolateBothWays(t) {
		return
	}
	still := filepath.Join(t.TempDir(), "still")
	out, err := exec.Command("go", "build", "-ldflags=-linkmode=internal", "-o", still, "./examples/stillalive").CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.Command(still, "start")
	stderr, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Equal(t, "stillalive: the C constructor that calls daemon(3) did not run: the program was linked with -ldflags=-linkmode=internal; link without it, or build with CGO_ENABLED=0 or -tags daemonizego\n", string(stderr))
	testbed.None(t, still)
	cmd = exec.Command(still, "start")
	cmd.Env = append(os.Environ(), marker+"=2:3")
	stderr, err = cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(stderr), "did not run")
	testbed.None(t, still)
	out, err = exec.Command(still, "status").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "stillalive is not running.\n", string(out))
}

// twice becomes a daemon and tells a file what further calls say.
var _ = testbed.Launcher("twice", func() {
	if err := Daemon(true, true); err != nil {
		log.Fatal(err)
	}
	err := Daemon(true, true)
	os.WriteFile(os.Args[1], fmt.Appendf(nil, "%v\n", err), 0o600)
	untilTerm()
})

func TestSecondCallIsAnError(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	said := filepath.Join(t.TempDir(), "said")
	require.NoError(t, testbed.Command("twice", said).Run())
	var text []byte
	testbed.Eventually(t, func() bool { text, _ = os.ReadFile(said); return bytes.HasSuffix(text, []byte("\n")) }, "%s", said)
	assert.Equal(t, "daemonize: a process can become or launch a daemon only once: this is its second call\n", string(text))
	testbed.One(t, "twice")
}

func TestPID1Refuses(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	cmd := testbed.Command("detacher", "0", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Equal(t, "daemonize: this is PID 1, the init of a container, which ends when it ends: stay in the foreground (the command run)\n", string(out))
}

func TestSetuidProgramRefuses(t *testing.T) {
	testbed.NeedRoot(t)
	if !testbed.IsolateBothWays(t) {
		return
	}
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	copied := "/run/setuid"
	require.NoError(t, os.WriteFile(copied, binary, 0o755))
	require.NoError(t, os.Chmod(copied, 0o755|os.ModeSetuid))
	cmd := testbed.Command("detacher", "0", "0")
	cmd.Path, cmd.Dir = copied, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "set-user-ID or set-group-ID program")
	assert.Contains(t, string(out), "operation not permitted")
	testbed.None(t, "detacher")

	run := testbed.Command("service", "run")
	run.Path, run.Dir, run.SysProcAttr = cmd.Path, cmd.Dir, cmd.SysProcAttr
	_, stderr := command(t, 4, run)
	assert.Contains(t, stderr, "set-user-ID or set-group-ID program (its caller chooses its name and environment")

	// Its caller must not choose whose pidfile goes.
	require.NoError(t, os.WriteFile("/run/sshd.pid", nil, 0o600))
	stop := testbed.Command("unnamed", "stop")
	stop.Args[0] = "/usr/sbin/sshd"
	stop.Path, stop.Dir, stop.SysProcAttr = cmd.Path, cmd.Dir, cmd.SysProcAttr
	_, stderr = command(t, 6, stop)
	assert.Contains(t, stderr, "has no name but the one that its caller chooses: set Name")
	assert.FileExists(t, "/run/sshd.pid")

	// Nor as whom it goes on.
	drops := testbed.Command("drops")
	drops.Path, drops.Dir, drops.SysProcAttr = cmd.Path, cmd.Dir, cmd.SysProcAttr
	stdout, _ := command(t, 0, drops)
	assert.Equal(t, "daemonize: a set-user-ID or set-group-ID program has no name but the one that its caller chooses: name the user and the group\n", stdout)
}

// drops becomes nobody, and whatever group is called like the program.
var _ = testbed.Helper("drops", func() { fmt.Println(DropPrivileges("nobody", "")) })

// shut closes some of descriptors 0 to 2, then becomes another helper.
var _ = testbed.Helper("shut", func() {
	for _, c := range os.Args[1] {
		unix.Close(int(c - '0'))
	}
	execHelper(os.Args[2:])
})

func TestClosedStandardDescriptors(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	for _, closed := range []string{"", "0", "1", "2", "01", "02", "12", "012"} {
		t.Run("closed "+closed, func(t *testing.T) {
			require.NoError(t, testbed.Command("shut", closed, "detacher", "0", "0").Run())
			pid := testbed.One(t, "detacher")
			assert.Equal(t, map[int]string{0: "/dev/null", 1: "/dev/null", 2: "/dev/null"}, descriptors(t, pid))
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
			testbed.None(t, "detacher")
		})
	}
}

func TestBrokenSurroundings(t *testing.T) {
	for _, c := range []struct {
		name, says string
		breaks     func(*testing.T)
	}{
		{"no /proc", "/proc/self/exe: no such file or directory", func(t *testing.T) {
			require.NoError(t, unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""))
			t.Cleanup(func() { _ = unix.Unmount("/proc", unix.MNT_DETACH) })
		}},
		{"no /dev/null", "open /dev/null: no such file or directory", func(t *testing.T) {
			require.NoError(t, unix.Unmount("/dev/null", unix.MNT_DETACH))
			require.NoError(t, os.Remove("/dev/null"))
		}},
		{"/dev/null is a regular file", "open /dev/null: no such device", func(t *testing.T) {
			require.NoError(t, unix.Unmount("/dev/null", unix.MNT_DETACH))
		}},
		{"/dev/null is another device", "open /dev/null: no such device", func(t *testing.T) {
			require.NoError(t, unix.Mount("/dev/zero", "/dev/null", "", unix.MS_BIND, ""))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !testbed.IsolateBothWays(t) {
				return
			}
			// Ours are prepared before anything breaks.
			cmd := testbed.Command("detacher", "0", "0")
			read, write, err := os.Pipe()
			require.NoError(t, err)
			null, err := os.Open("/dev/null")
			require.NoError(t, err)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = null, write, write
			c.breaks(t)
			require.NoError(t, cmd.Start())
			write.Close()
			out, err := io.ReadAll(read)
			require.NoError(t, err)
			require.Error(t, cmd.Wait())
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			assert.Contains(t, string(out), "daemonize: start: ")
			assert.Contains(t, string(out), c.says)
		})
	}
}

// limited becomes another helper, with so few descriptors.
var _ = testbed.Helper("limited", func() {
	n := uint64(must(strconv.Atoi(os.Args[1])))
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
		panic(err)
	}
	execHelper(os.Args[2:])
})

func TestFewDescriptorsAreAClearErrorOrEnough(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	var clear, enough int
	for n := 4; n < 20; n++ {
		cmd := testbed.Command("limited", strconv.Itoa(n), "detacher", "0", "0")
		out, err := cmd.CombinedOutput()
		if err == nil {
			enough++
			require.NoError(t, unix.Kill(testbed.One(t, "detacher"), unix.SIGKILL))
		} else {
			clear++
			assert.Regexp(t, "[Tt]oo many open files|Error 24|failed with 24", string(out), "%d descriptors", n)
		}
		testbed.None(t, "detacher")
	}
	assert.NotZero(t, clear)
	assert.NotZero(t, enough)
}

// cannot-fork has fork(2), not the clone(2) of os.StartProcess, fail with EAGAIN.
var _ = testbed.Helper("cannot-fork", func() {
	testbed.Refuse(unix.EAGAIN, &testbed.Argument{Index: 0, Mask: unix.CLONE_VM, Value: 0}, unix.SYS_CLONE)
	if runtime.GOARCH == "amd64" {
		const fork = 57 // musl's; newer processors have none
		testbed.Refuse(unix.EAGAIN, nil, fork)
	}
	execHelper(os.Args[1:])
})

func TestForkThatFailsInDaemon3IsTold(t *testing.T) {
	if !usesLibc {
		t.Skip("needs cgo: apt-get install gcc libc6-dev; CGO_ENABLED=1 go test")
	}
	if !testbed.IsolateBothWays(t) {
		return
	}
	out, err := testbed.Command("cannot-fork", "detacher", "0", "0").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "daemon(3): resource temporarily unavailable: the limit of processes is reached (RLIMIT_NPROC, see ulimit -u; or the control group's pids.max)\n", string(out))
	testbed.None(t, "detacher")
}

// bare calls Daemonize.
var _ = testbed.Launcher("bare", func() {
	err := Daemonize(func() { os.WriteFile(os.Args[1], []byte("in action\n"), 0o600) })
	os.WriteFile(os.Args[1]+".after", fmt.Appendf(nil, "%v\n", err), 0o600)
})

// TestDaemonizeAnywhere needs neither root nor namespaces: it runs in emulators, too.
func TestDaemonizeAnywhere(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	out, err := testbed.Command("bare", said).CombinedOutput()
	require.NoError(t, err, "%s", out)
	testbed.Eventually(t, func() bool { b, _ := os.ReadFile(said + ".after"); return string(b) == "<nil>\n" }, "the daemon's return")
}

func TestDaemonizeCallsActionAndReturns(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	said := filepath.Join(t.TempDir(), "said")
	require.NoError(t, testbed.Command("bare", said).Run())
	testbed.Eventually(t, func() bool { b, _ := os.ReadFile(said + ".after"); return string(b) == "<nil>\n" }, "the return")
	b, err := os.ReadFile(said)
	require.NoError(t, err)
	assert.Equal(t, "in action\n", string(b))
	testbed.None(t, "bare")
}

// replaced overwrites its own path with another program, then calls Daemon.
var _ = testbed.Helper("replaced", func() {
	self := os.Args[1]
	if os.Rename("/run/other", self) != nil && !isDaemon() {
		os.Exit(9)
	}
	if err := Daemon(false, false); err != nil {
		log.Fatal(err)
	}
	untilTerm()
})

// TestReplacedProgramStartsItself: an upgrade that happens between.
func TestReplacedProgramStartsItself(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	other, err := os.ReadFile("/bin/false")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("/run/other", other, 0o755))
	c := testbed.Command("replaced", "/run/program")
	binary, err := os.ReadFile(c.Path)
	require.NoError(t, err)
	c.Path = "/run/program"
	require.NoError(t, os.WriteFile(c.Path, binary, 0o755))
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", testbed.One(t, "replaced")))
	require.NoError(t, err)
	assert.Equal(t, "/run/program (deleted)", to, "what ran, not what is there now")
}
