// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// The pidfile with real daemons, and what others do with it.

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestWhatIsNoPidfileIsRefusedByName(t *testing.T) {
	const victim = "/run/victim"
	for _, c := range []struct {
		what string
		make func(t *testing.T, path string)
	}{
		{"a symbolic link", func(t *testing.T, path string) { require.NoError(t, os.Symlink(victim, path)) }},
		{"a symbolic link", func(t *testing.T, path string) { require.NoError(t, os.Symlink("/run/dangling", path)) }},
		{"a directory", func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }},
		{"a FIFO", func(t *testing.T, path string) { require.NoError(t, unix.Mkfifo(path, 0o600)) }},
		{"a socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
		}},
		{"a device", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, unix.Mount("/dev/zero", path, "", unix.MS_BIND, ""))
			t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
		}},
		{"one of 2 links to the same file", func(t *testing.T, path string) { require.NoError(t, os.Link(victim, path)) }},
		{"writable by others (mode 0666)", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Chmod(path, 0o666))
		}},
		{"writable by others (mode 0620)", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Chmod(path, 0o620))
		}},
		{"owned by uid 65534, neither root nor us", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Chown(path, 65534, 0))
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if strings.HasPrefix(c.what, "owned by") {
				testbed.NeedRoot(t)
			}
			if !testbed.Isolate(t) {
				return
			}
			sleeper := testbed.Program("sleep", "1002")
			require.NoError(t, sleeper.Start())
			require.NoError(t, os.WriteFile(victim, []byte(strconv.Itoa(sleeper.Process.Pid)), 0o600))
			c.make(t, testdaemon.Pidfile)
			before, err := os.Lstat(testdaemon.Pidfile)
			require.NoError(t, err)
			says := "svc: pidfile /var/run/svc.pid is " + c.what + ": refused; look who put it there, then remove it\n"
			for verb, code := range map[string]int{"start": 6, "stop": 6, "restart": 6, "reload": 6, "status": 4} {
				_, stderr := testbed.Run(t, code, testdaemon.Command(verb))
				assert.Equal(t, says, stderr, verb)
			}
			after, err := os.Lstat(testdaemon.Pidfile)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
			text, err := os.ReadFile(victim)
			require.NoError(t, err)
			assert.Equal(t, strconv.Itoa(sleeper.Process.Pid), string(text))
			assert.NoFileExists(t, "/run/dangling")
			assert.True(t, testbed.Alive(sleeper.Process.Pid))
			testbed.None(t, "service")
		})
	}
}

func TestStartFailsWhereNoPidfileCanBe(t *testing.T) {
	for _, c := range []struct {
		name, says string
		code       int
		breaks     func(t *testing.T)
	}{
		{"full", "no space left on device", 1, func(t *testing.T) {
			require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755,size=4k"))
			for i := 0; os.WriteFile(fmt.Sprint("/run/fill", i), make([]byte, 4096), 0o600) == nil; i++ {
			}
		}},
		{"read-only", "read-only file system", 1, func(t *testing.T) {
			require.NoError(t, unix.Mount("", "/run", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}},
		{"missing", "pidfile directory /var/run: does not exist: create it, or set PidfileDirectory", 6, func(t *testing.T) {
			require.NoError(t, unix.Mount("tmpfs", "/var", "tmpfs", 0, ""))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !testbed.Isolate(t) {
				return
			}
			c.breaks(t)
			_, stderr := testbed.Run(t, c.code, testdaemon.Command("start"))
			assert.Contains(t, stderr, c.says)
			testbed.None(t, "service")
			testbed.NoLocks(t)
		})
	}
}

func TestUnprivilegedUserSeesAndMayNot(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/locks")
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start"))
	pid := testbed.One(t, "service")
	user := func(verb string) *exec.Cmd { return testbed.As(t, 65534, testdaemon.Command(verb)) }
	stdout, _ := testbed.Run(t, 0, user("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	for _, verb := range []string{"stop", "reload", "restart", "start"} {
		want := 4
		if verb == "start" {
			want = 1 // it does run
		}
		_, stderr := testbed.Run(t, want, user(verb))
		assert.NotEmpty(t, stderr)
		assert.Equal(t, pid, testbed.One(t, "service"))
	}
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	testbed.None(t, "service")
	stdout, _ = testbed.Run(t, 1, user("status"))
	assert.Equal(t, "svc is dead, but its pidfile /var/run/svc.pid is left.\nWhat it logged: journalctl -t svc, or /var/log/syslog or /var/log/messages.\n", stdout)
	testbed.Run(t, 4, user("start"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	stdout, _ = testbed.Run(t, 3, user("status"))
	assert.Equal(t, "svc is not running.\n", stdout)
}

func TestPidfileRemovedUnderALiveDaemon(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start", "AS=root"))
	pid := testbed.One(t, "service")
	require.NoError(t, os.Remove(testdaemon.Pidfile))
	_, stderr := testbed.Run(t, 1, testdaemon.Command("start"))
	assert.Equal(t, fmt.Sprintf("svc: PID file exists. Process already running? (pid %d holds /var/run/svc.pid)\n", pid), stderr)
	assert.Equal(t, pid, testbed.One(t, "service"))
	stdout, _ := testbed.Run(t, 0, testdaemon.Command("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	testbed.Run(t, 0, testdaemon.Command("reload"))
	assert.Equal(t, pid, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)
}

// TestPidfileRemovedOverOverlayfs: whose layers are on two file systems, so that
// a file there has another device number than its directory, and than its locks.
func TestPidfileRemovedOverOverlayfs(t *testing.T) {
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	for _, dir := range []string{"/run/lower", "/run/upper", "/run/over"} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	require.NoError(t, unix.Mount("tmpfs", "/run/lower", "tmpfs", 0, "mode=755"))
	require.NoError(t, unix.Mount("tmpfs", "/run/upper", "tmpfs", 0, "mode=755"))
	require.NoError(t, os.Mkdir("/run/upper/u", 0o755))
	require.NoError(t, os.Mkdir("/run/upper/w", 0o755))
	if err := unix.Mount("overlay", "/run/over", "overlay", 0, "lowerdir=/run/lower,upperdir=/run/upper/u,workdir=/run/upper/w,xino=off"); err != nil {
		t.Skipf("needs overlayfs (%v): run it where the kernel has that", err)
	}
	service := func(verb string) *exec.Cmd { return testdaemon.Command(verb, "DIR=/run/over") }
	testbed.Run(t, 0, service("start"))
	pid := testbed.One(t, "service")
	require.NoError(t, os.Remove("/run/over/svc.pid"))
	stdout, _ := testbed.Run(t, 0, service("status"))
	assert.Equal(t, fmt.Sprintf("svc is running (pid %d).\n", pid), stdout)
	_, stderr := testbed.Run(t, 1, service("start"))
	assert.Contains(t, stderr, fmt.Sprintf("(pid %d holds /run/over/svc.pid)", pid))
	testbed.Run(t, 0, service("stop"))
	testbed.None(t, "service")
}
