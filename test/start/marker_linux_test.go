// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package start_test

// Markers by hand, and set-user-ID programs.

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile starts a set-user-ID copy of counted with all that a launcher gives.
var _ = testbed.Helper("hostile", func() {
	a, b, err := testbed.SocketPair()
	if err != nil {
		panic(err)
	}
	cmd := testbed.Command("counted", os.Args[2])
	cmd.Path = os.Args[1]
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d:3", testdaemon.Marker, os.Getpid()))
	cmd.ExtraFiles = []*os.File{b}
	cmd.Stderr = os.Stderr
	if err = cmd.Start(); err != nil {
		panic(err)
	}
	b.Close()
	n, _ := a.Read(make([]byte, 1)) // what begins with it is the report of a daemon
	a.Close()
	_ = cmd.Process.Kill() // it would wait for the daemon
	_ = cmd.Wait()
	if n == 0 {
		os.Exit(1)
	}
})

func TestSetuidProgramBelievesNoMarker(t *testing.T) {
	testbed.NeedRoot(t)
	if !testbed.Isolate(t) {
		return
	}
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir("/run/count", 0o700))
	for mode, says := range map[os.FileMode]string{
		0o755:                 "", // as a control: without the bit it becomes a daemon
		0o755 | os.ModeSetuid: "DAEMONIZE_BOOT was set, but not for this process",
	} {
		copied := fmt.Sprintf("/run/copy%d", mode)
		require.NoError(t, os.WriteFile(copied, binary, 0o755))
		require.NoError(t, os.Chmod(copied, mode))
		require.NoError(t, os.Chown("/run/count", 65534, 65534))
		cmd := testbed.As(t, 65534, testbed.Command("hostile", copied, "/run/count/n"))
		out, err := cmd.CombinedOutput()
		if says == "" {
			require.NoError(t, err, "%s", out)
		} else {
			require.Error(t, err)
			assert.Equal(t, 3, strings.Count(string(out), says), "%s", out)
		}
		testbed.None(t, "counted")
	}
}

// counted appends a line to a file whenever main runs, then calls Daemon.
var _ = testbed.Launcher("counted", func() {
	f := testbed.Must(os.OpenFile(os.Args[1], os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666))
	fmt.Fprintln(f, os.Getpid())
	f.Close()
	for range 3 { // whoever ignores the error must not get further the next time
		if err := daemonize.Daemon(false, false); err != nil {
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
			cmd.Env = append(cmd.Env, testdaemon.Marker+"="+value, testdaemon.Marker+"=2:3")
			if len(value)%2 == 0 {
				cmd.Env = cmd.Env[:len(cmd.Env)-1] // once; otherwise twice
			}
			a, b, err := testbed.SocketPair() // a real socket on 3, but not the launcher's
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

// TestMarkerOfAnotherLauncherIsRefused: the parent is whom the marker names, but
// another made the socket; or who made the socket is not the parent; or the
// session is another.
func TestMarkerOfAnotherLauncherIsRefused(t *testing.T) {
	testbed.NeedLinuxBuild(t, "SO_PEERCRED")
	if !testbed.IsolateBothWays(t) {
		return
	}
	me := os.Getpid()
	for _, value := range []string{"PID:3", fmt.Sprintf("%d:3", me), fmt.Sprintf("%d:3:%d", me, me)} {
		cmd := testbed.Command("marks", filepath.Join(t.TempDir(), "count"), value)
		a, b, err := testbed.SocketPair()
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
	cmd.Env = append(cmd.Env, testdaemon.Marker+"="+strings.ReplaceAll(os.Args[2], "PID", strconv.Itoa(os.Getpid())))
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "socket")}
	cmd.Stderr = os.Stderr
	if cmd.Run() != nil {
		os.Exit(1)
	}
})

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
	_, stderr := testbed.Run(t, 4, run)
	assert.Contains(t, stderr, "set-user-ID or set-group-ID program (its caller chooses its name and environment")

	// Its caller must not choose whose pidfile goes.
	require.NoError(t, os.WriteFile("/run/sshd.pid", nil, 0o600))
	stop := testbed.Command("unnamed", "stop")
	stop.Args[0] = "/usr/sbin/sshd"
	stop.Path, stop.Dir, stop.SysProcAttr = cmd.Path, cmd.Dir, cmd.SysProcAttr
	_, stderr = testbed.Run(t, 6, stop)
	assert.Contains(t, stderr, "has no name but the one that its caller chooses: set Name")
	assert.FileExists(t, "/run/sshd.pid")

	// Nor as whom it goes on.
	drops := testbed.Command("drops")
	drops.Path, drops.Dir, drops.SysProcAttr = cmd.Path, cmd.Dir, cmd.SysProcAttr
	stdout, _ := testbed.Run(t, 0, drops)
	assert.Equal(t, "daemonize: DropPrivileges without a user: name one\n<nil>\n", stdout)
}

// drops becomes nobody: os.Args[0] says neither which user nor which group.
var _ = testbed.Helper("drops", func() {
	fmt.Println(daemonize.DropPrivileges("", ""))
	fmt.Println(daemonize.DropPrivileges("nobody", ""))
})
