package daemonize

// Old kernels, few processes, odd ways to be started.

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// failing runs a helper for which some system calls fail: the errno, the
// calls' numbers, then the helper and its arguments.
var _ = testbed.Helper("failing", func() {
	for nr := range strings.SplitSeq(os.Args[2], ",") {
		testbed.Refuse(unix.Errno(must(strconv.Atoi(os.Args[1]))), nil, must(strconv.Atoi(nr)))
	}
	execHelper(os.Args[3:])
})

// TestOldKernel: Linux before 5.1 has none of these.
func TestOldKernel(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	lacks := fmt.Sprintf("%d,%d,%d,%d,%d,%d", unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD, unix.SYS_CLOSE_RANGE, unix.SYS_OPENAT2, unix.SYS_FACCESSAT2)
	verb := func(v string) *exec.Cmd { return testbed.Command("without", lacks, "service", v) }
	log := startSyslogd(t)
	command(t, 3, verb("status"))
	command(t, 0, verb("start"))
	pid := testbed.One(t, "service")
	heldBy(t, svcPidfile, pid)
	assert.Equal(t, "1\t1\t1\t1", testbed.Status(t, pid, 0)["Uid"])
	stdout, _ := command(t, 0, verb("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	command(t, 1, verb("start"))
	command(t, 0, verb("reload"))
	log.has(t, "daemon.notice svc[%d]: reloading", pid)
	command(t, 0, verb("restart"))
	second := testbed.One(t, "service")
	assert.NotEqual(t, pid, second)
	require.NoError(t, unix.Kill(second, unix.SIGKILL))
	testbed.None(t, "service")
	command(t, 1, verb("status"))
	command(t, 0, verb("start"))
	require.NoError(t, os.Remove(svcPidfile)) // under a live daemon
	command(t, 1, verb("start"))
	command(t, 0, verb("stop"))
	command(t, 0, verb("stop"))
	nothingLeft(t)
}

func TestFileSystemWithoutLocks(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOLCK, unix.EOPNOTSUPP} {
		t.Run(errno.Error(), func(t *testing.T) {
			if !testbed.Isolate(t) {
				return
			}
			verb := func(v string) *exec.Cmd {
				return testbed.Command("failing", strconv.Itoa(int(errno)), strconv.Itoa(unix.SYS_FLOCK), "service", v)
			}
			for range 2 {
				c := verb("start")
				c.Env = append(c.Env, "AS=root")
				_, stderr := command(t, 1, c)
				assert.Equal(t, "svc: lock pidfile: flock /var/run/svc.pid (locks may not be supported there: use a local directory): "+errno.Error()+"\n", stderr)
				nothingLeft(t)
			}
			// One that somebody else left stays.
			require.NoError(t, os.WriteFile(svcPidfile, []byte("2"), 0o600))
			for verbName, code := range map[string]int{"start": 1, "status": 4, "stop": 1, "reload": 1, "restart": 1} {
				c := verb(verbName)
				c.Env = append(c.Env, "AS=root")
				_, stderr := command(t, code, c)
				assert.Contains(t, stderr, "use a local directory", verbName)
			}
			text, err := os.ReadFile(svcPidfile)
			require.NoError(t, err)
			assert.Equal(t, "2", string(text))
			testbed.None(t, "service")
		})
	}
}

// few-processes becomes another helper, with so few processes and threads.
var _ = testbed.Helper("few-processes", func() {
	n := uint64(must(strconv.Atoi(os.Args[1])))
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n}); err != nil {
		panic(err)
	}
	execHelper(os.Args[2:])
})

// TestFewProcessesAreAClearErrorOrEnough: the Go runtime itself needs threads, and
// says so; what it has, the launcher shows.
func TestFewProcessesAreAClearErrorOrEnough(t *testing.T) {
	if !isolateRoot(t) { // root has no such limit, and others' uid is not ours to take
		return
	}
	const uid = 64937 // nobody else's: the limit counts the user's processes everywhere
	var clear, enough int
	for _, n := range []int{1, 2, 4, 5, 6, 7, 8, 10, 14, 40} {
		out, err := testbed.As(t, uid, testbed.Command("few-processes", strconv.Itoa(n), "detacher", "0", "0")).CombinedOutput()
		if err == nil {
			enough++
			require.NoError(t, unix.Kill(testbed.One(t, "detacher"), unix.SIGKILL))
		} else {
			clear++
			assert.Regexp(t, `ulimit -u|pthread_create failed: Resource temporarily unavailable`, string(out), "%d processes", n)
		}
		testbed.None(t, "detacher")
	}
	assert.NotZero(t, clear)
	assert.NotZero(t, enough)
}

// remounts has its program's file system mounted noexec before it launches.
var _ = testbed.Helper("remounts", func() {
	if err := unix.Mount("", os.Args[1], "", unix.MS_REMOUNT|unix.MS_NOEXEC, ""); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, Daemon(false, false))
	os.Exit(1)
})

func TestProgramOnAMountThatIsNoexec(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	const dir = "/run/bin"
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/program", binary, 0o755))
	cmd := testbed.Command("remounts", dir)
	cmd.Path = dir + "/program"
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "daemonize: start: cannot run this program again (is its file system mounted noexec?): fork/exec /proc/self/exe: permission denied\n", string(out))
	testbed.None(t, "remounts")
}

// TestStartedBy: the daemon is the same whoever starts it, and whoever waits for the end of its
// output, as cron, at and ssh do, waits for the launcher only.
func TestStartedBy(t *testing.T) {
	nohup, setsid := testbed.Package(t, "nohup", "coreutils"), testbed.Package(t, "setsid", "util-linux")
	for name, through := range map[string][]string{
		"nohup":                  {nohup},
		"cron":                   {"env", "-i", "HOME=/root", "LOGNAME=root", "SHELL=/bin/sh", "PATH=/usr/bin:/bin", setsid, "-w", "sh", "-c", `TESTBED_HELPER=service "$@" </dev/null`, "sh"},
		"at":                     {setsid, "-w", "sh", "-c", `umask 077; exec "$@" </etc/passwd`, "sh"},
		"ssh without a terminal": {setsid, "-w", "sh", "-c", `trap '' PIPE; "$@" | cat`, "sh"},
		"a job of a shell":       {"sh", "-c", `"$@" & wait $!`, "sh"},
		"niced and ignoring":     {"sh", "-c", `trap '' HUP INT QUIT TERM USR1 USR2 CHLD; exec "$@"`, "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			if !isolateRoot(t) {
				return
			}
			c := serviceCommand("start")
			path, err := exec.LookPath(through[0])
			require.NoError(t, err)
			c.Args = append(append([]string{path}, through[1:]...), append([]string{c.Path}, c.Args[1:]...)...)
			c.Path = path
			out, err := c.CombinedOutput() // returns when nobody has the pipe any more
			require.NoError(t, err, "%s", out)
			assert.Empty(t, strings.ReplaceAll(string(out), "nohup: ignoring input\n", ""))
			pid, err := strconv.Atoi(string(must(os.ReadFile(svcPidfile))))
			require.NoError(t, err)
			heldBy(t, svcPidfile, pid)
			p := testbed.Look(t, pid)
			assert.Zero(t, p.TTY)
			assert.Equal(t, []any{1, "/", "0022", "0000000000000000"}, []any{p.PPID, p.Cwd, p.Status["Umask"], p.Status["SigIgn"]})
			for fd := range 3 {
				assert.Equal(t, "/dev/null", p.FDs[fd])
			}
			command(t, 0, serviceCommand("stop"))
			assert.False(t, testbed.Alive(pid))
			nothingLeft(t)
		})
	}
}
