// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// What a daemon is, seen from outside.

import (
	"bytes"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// detacher calls Daemon(nochdir, noclose), arguments "0" or "1".
var _ = testbed.Launcher("detacher", func() {
	if err := daemonize.Daemon(os.Args[1] == "1", os.Args[2] == "1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testbed.UntilTerm()
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
		for fd, to := range fds {
			if strings.HasPrefix(to, "socket:") || fd > 2 && strings.HasPrefix(to, "pipe:") {
				return false
			}
		}
		return true
	}, "the report's end, and that of the start's pipe, which nobody writes to any more")
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
			theirs := look(testbed.Program(c, flags[:]...), c)
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
	testbed.NeedLinuxBuild(t, "/proc/self/exe")
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

// TestDescriptorsOfAStart: no process of a start but the launcher has what that was started with,
// and the launcher's other threads may give it to programs that they run.
func TestDescriptorsOfAStart(t *testing.T) {
	if !testbed.IsolateBothWays(t) {
		return
	}
	testbed.Hear(t)
	const file = "/run/inherited"
	f := testbed.Must(os.Create(file))
	defer f.Close()
	c := testdaemon.Command("start", "DO=privileged hangs")
	c.ExtraFiles = []*os.File{f, f, f}
	require.NoError(t, c.Start())
	testbed.Eventually(t, func() bool { return unix.Access("/run/hangs", unix.F_OK) == nil }, "the privileged action")
	who := testbed.Find("service")
	require.GreaterOrEqual(t, len(who), 2, "the launcher, the daemon, and perhaps who waits for it")
	for _, pid := range who {
		if pid == c.Process.Pid {
			info := testbed.Must(os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/3", pid)))
			_, flags, _ := strings.Cut(string(info), "\nflags:\t")
			n, err := strconv.ParseInt(strings.SplitN(flags, "\n", 2)[0], 8, 64)
			require.NoError(t, err, "%s", info)
			assert.Zero(t, n&unix.O_CLOEXEC, "%s", info)
			continue
		}
		testbed.Eventually(t, func() bool {
			return !slices.Contains(slices.Collect(maps.Values(testbed.Look(t, pid).FDs)), file)
		}, "%d to close %s", pid, file)
	}
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	testbed.None(t, "service")
}

// parent is a daemon with a child that is no Go program and shows what
// children inherit.
var _ = testbed.Launcher("parent", func() {
	if err := daemonize.Daemon(false, false); err != nil {
		log.Fatal(err)
	}
	c := testbed.Program("sleep", "1000")
	if err := c.Start(); err != nil {
		log.Fatal(err)
	}
	testbed.UntilTerm()
})

func TestDaemonAndItsChildrenHaveCleanSignals(t *testing.T) {
	if !testbed.UsesLibc {
		testbed.NeedLinuxBuild(t, "rt_sigaction(2) without libc")
	}
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

// twice becomes a daemon and tells a file what further calls say.
var _ = testbed.Launcher("twice", func() {
	if err := daemonize.Daemon(true, true); err != nil {
		log.Fatal(err)
	}
	err := daemonize.Daemon(true, true)
	os.WriteFile(os.Args[1], fmt.Appendf(nil, "%v\n", err), 0o600)
	testbed.UntilTerm()
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

// bare calls Daemonize.
var _ = testbed.Launcher("bare", func() {
	err := daemonize.Daemonize(func() { os.WriteFile(os.Args[1], []byte("in action\n"), 0o600) })
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
