// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// What is left of a crash.

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// becomesDead starts a daemon and has it crash.
func becomesDead(t *testing.T, log *testbed.Log, env ...string) {
	t.Helper()
	code, said := testdaemon.Do(t, "start", env...)
	require.Equal(t, 0, code, said)
	pid := testbed.PIDIn(t, "/run/svc.pid")
	log.WaitFor(t, "waits for SIGUSR1")
	require.NoError(t, unix.Kill(pid, unix.SIGUSR1))
	// Its main thread may be gone while others hold the lock still.
	testbed.Eventually(t, func() bool {
		locks, err := os.ReadFile("/proc/locks")
		return err == nil && !strings.Contains(string(locks), "FLOCK")
	}, "the crash")
}

func TestCrashLeavesEvidence(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	kinds := map[string][]string{ // what status shows, then what the log has, too
		"goroutine": {"panic: beyond", "recovery", "goroutine ", "crash"},
		"map":       {"probably concurrent use of a map: ", "internal/runtime/maps.fatal", "crash"},
		"ansi":      {"panic:  [2Jgotcha", "goroutine "},
	}
	if testbed.Race {
		delete(kinds, "map") // the detector sees it first
	}
	if testbed.UsesLibc {
		kinds["fault"] = []string{"SIGSEGV: segmentation violation", "signal arrived during cgo execution"}
	}
	for kind, wanted := range kinds {
		t.Run(kind, func(t *testing.T) {
			log.Forget()
			becomesDead(t, log, "DO="+kind)
			info, err := os.Stat("/run/svc.crash")
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode())
			assert.Zero(t, info.Sys().(*syscall.Stat_t).Uid)

			code, said := testdaemon.Do(t, "status")
			assert.Equal(t, 1, code)
			lines := strings.Split(said, "\n")
			require.Len(t, lines, 4, "%s", said)
			assert.Equal(t, "What it logged: journalctl -t svc, or /var/log/syslog or /var/log/messages.", lines[2])
			if kind == "fault" {
				assert.Regexp(t, `^It crashed: (SIGSEGV: segmentation violation|fatal error: unexpected signal during runtime execution) \(all of it is in /var/run/svc.crash\)$`, lines[1])
			} else {
				assert.True(t, strings.HasPrefix(lines[1], "It crashed: "+wanted[0]), "%s", said)
				if kind == "map" {
					assert.Regexp(t, `maps\.fatal.* github.com/madhadron/daemonize/internal/testdaemon\.crash`, lines[1])
				}
			}

			log.Forget()
			code, said = testdaemon.Do(t, "start")
			require.Equal(t, 0, code, said)
			log.WaitFor(t, "run 1")
			for _, w := range wanted[1:] {
				assert.Contains(t, log.Text(), w)
			}
			for _, l := range log.Lines() {
				assert.NotContains(t, l, "\n", "line by line")
			}
			assert.Less(t, strings.Index(log.Text(), "It crashed the last time."), strings.Index(log.Text(), "goroutine "))
			info, err = os.Stat("/run/svc.crash")
			require.NoError(t, err)
			assert.Zero(t, info.Size(), "it is logged once")
			code, said = testdaemon.Do(t, "stop")
			assert.Equal(t, 0, code, said)
			assert.NoFileExists(t, "/run/svc.pid")
			assert.NoFileExists(t, "/run/svc.crash")
			code, said = testdaemon.Do(t, "status")
			assert.Equal(t, 3, code)
			assert.Equal(t, "svc is not running.\n", said)
		})
	}
}

func TestStopKeepsEvidenceForTheNextStart(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	becomesDead(t, log, "DO=goroutine")
	code, _ := testdaemon.Do(t, "stop")
	assert.Equal(t, 0, code)
	code, said := testdaemon.Do(t, "status")
	assert.Equal(t, 3, code)
	assert.Contains(t, said, "It crashed: panic: beyond")
	code, _ = testdaemon.Do(t, "start")
	require.Equal(t, 0, code)
	log.WaitFor(t, "recovery")
	code, _ = testdaemon.Do(t, "stop")
	assert.Equal(t, 0, code)
}

func TestNoCrashFileIsLeft(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	t.Run("clean exit of root", func(t *testing.T) { // who may unlink it
		code, said := testdaemon.Do(t, "start", "AS=root")
		require.Equal(t, 0, code, said)
		pid := testbed.PIDIn(t, "/run/svc.pid")
		assert.FileExists(t, "/run/svc.crash")
		require.NoError(t, unix.Kill(pid, unix.SIGTERM))
		testbed.Eventually(t, func() bool { return !testbed.Alive(pid) }, "its end")
		assert.NoFileExists(t, "/run/svc.pid")
		assert.NoFileExists(t, "/run/svc.crash")
	})
	t.Run("failed start", func(t *testing.T) {
		code, _ := testdaemon.Do(t, "start", "DO=privileged fails")
		assert.Equal(t, 1, code)
		assert.NoFileExists(t, "/run/svc.pid")
		assert.NoFileExists(t, "/run/svc.crash")
	})
	t.Run("os.Exit, then stop", func(t *testing.T) {
		becomesDead(t, log, "DO=exit")
		code, said := testdaemon.Do(t, "status")
		assert.Equal(t, 1, code)
		assert.NotContains(t, said, "crashed")
		code, _ = testdaemon.Do(t, "stop")
		assert.Equal(t, 0, code)
		assert.NoFileExists(t, "/run/svc.pid")
		assert.NoFileExists(t, "/run/svc.crash")
	})
}

func TestCrashFileThatIsNotOursIsNotTouched(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	target := filepath.Join(t.TempDir(), "target")
	require.NoError(t, os.WriteFile(target, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(target, "/run/svc.crash"))
	code, said := testdaemon.Do(t, "start")
	require.Equal(t, 0, code, said)
	log.WaitFor(t, "crash file /var/run/svc.crash is a symbolic link: refused")
	code, _ = testdaemon.Do(t, "stop")
	assert.Equal(t, 0, code)
	text, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(text))
	assert.FileExists(t, "/run/svc.crash")
}
