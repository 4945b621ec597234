// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package stop_test

// What a hostile local user or a compromised daemon may try against root's verbs.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStartWaitsForThoseWhoLook: nobody who has the lock for moments, however long they
// are on a busy machine, keeps a daemon from its start.
func TestStartWaitsForThoseWhoLook(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	flock := testbed.Package(t, "flock", "util-linux")
	require.NoError(t, os.WriteFile(testdaemon.Pidfile, nil, 0o600))
	c := exec.Command(flock, "-s", "-n", testdaemon.Pidfile, "sh", "-c", "echo locked; sleep 2")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = out.Read(make([]byte, 7))
	require.NoError(t, err)
	testbed.Run(t, 0, testdaemon.Command("start"))
	require.NoError(t, c.Wait())
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))
}

// TestPidfileThatOthersMayLockIsMadePrivate: who may read a file may lock it.
func TestPidfileThatOthersMayLockIsMadePrivate(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/PID/fd")
	if !testbed.IsolateRoot(t) {
		return
	}
	flock := testbed.Package(t, "flock", "util-linux")
	require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte("1"), 0o644))
	testbed.Run(t, 0, testdaemon.Command("start"))
	testbed.HeldBy(t, testdaemon.Pidfile, testbed.One(t, "service"))
	testbed.Run(t, 0, testdaemon.Command("stop"))

	for _, how := range []string{"-s", "-x"} {
		require.NoError(t, os.WriteFile(testdaemon.Pidfile, []byte("640"), 0o644))
		c := exec.Command(flock, how, "-n", testdaemon.Pidfile, "sh", "-c", "echo locked; sleep 1006")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		_, err = out.Read(make([]byte, 7))
		require.NoError(t, err)
		_, stderr := testbed.Run(t, 1, testdaemon.Command("start"))
		if how == "-s" {
			assert.Equal(t, "svc: pidfile /var/run/svc.pid: others keep it locked, or replace it all the time: see who has it open (fuser), then try again\n", stderr)
			info, err := os.Stat(testdaemon.Pidfile)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode(), "nobody else may")
		} else {
			assert.Contains(t, stderr, "svc: /var/run/svc.pid is locked, but not by process 640 here, which it names: ")
		}
		testbed.None(t, "service")
		require.NoError(t, os.Remove(testdaemon.Pidfile)) // what an administrator does
		testbed.Run(t, 0, testdaemon.Command("start"))
		testbed.Run(t, 0, testdaemon.Command("stop"))
	}
}

func TestHugeCrashFileDoesNotDelayAStart(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	require.NoError(t, os.WriteFile("/run/svc.crash", []byte("panic: once\n"), 0o600))
	require.NoError(t, os.Truncate("/run/svc.crash", 1<<42))
	began := time.Now()
	testbed.Run(t, 0, testdaemon.Command("start"))
	assert.Less(t, time.Since(began), 30*time.Second)
}

// half-dropped keeps root in its saved uid, then asks for what it is.
var _ = testbed.Helper("half-dropped", func() {
	if err := syscall.Setresuid(1000, 1000, 0); err != nil {
		panic(err)
	}
	fmt.Println(daemonize.DropPrivileges("1000", ""))
})

func TestDropPrivilegesRefusesASavedRoot(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	var out bytes.Buffer
	c := testbed.Command("half-dropped")
	c.Stdout = &out
	require.NoError(t, c.Run())
	assert.Contains(t, out.String(), "the real or saved uid is root's, which would come back: permission denied")
}
