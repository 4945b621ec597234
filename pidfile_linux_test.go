package daemonize

// Who holds a pidfile: the looks at it that a test makes by itself.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWithoutPidfdTheProofComesBeforeTheKill: the pid in a file that nobody
// has locked is not signalled.
func TestWithoutPidfdTheProofComesBeforeTheKill(t *testing.T) {
	sleeper := exec.Command("sleep", "1004")
	require.NoError(t, sleeper.Start())
	defer func() { _, _ = sleeper.Process.Kill(), sleeper.Wait() }()
	path := filepath.Join(private(t), "x.pid")
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(sleeper.Process.Pid)), 0o600))
	f, err := openPidfile(path, os.O_RDONLY)
	require.NoError(t, err)
	h := &holder{pid: sleeper.Process.Pid, file: f, path: path, pidfd: -1}
	defer h.close()
	assert.Equal(t, ErrNotRunning, h.signal(unix.SIGKILL))
	assert.True(t, testbed.Alive(sleeper.Process.Pid))
}

// TestWhoTidiesIsNotTakenForADaemon: stop has the file locked while it removes it.
func TestWhoTidiesIsNotTakenForADaemon(t *testing.T) {
	path := filepath.Join(private(t), "x.pid")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	f, err := openPidfile(path, os.O_RDONLY|os.O_APPEND)
	require.NoError(t, err)
	defer f.Close()
	free, err := flock(f, unix.LOCK_EX)
	require.NoError(t, err)
	require.True(t, free)
	held, err := holdsLock(os.Getpid(), f)
	require.NoError(t, err)
	assert.False(t, held)
	require.NoError(t, os.Remove(path))
	status, err := probe(path)
	require.NoError(t, err)
	assert.Equal(t, Status{State: Stopped}, status)
	p, err := acquire(path)
	require.NoError(t, err)
	p.remove()
}

// TestManyLocksAreOneLook: the claim taken, whoever looks for a removed pidfile
// reads the descriptors of each process once, however many locks it has.
func TestManyLocksAreOneLook(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 4096, Max: 4096}))
	for i := range 3000 {
		f, err := os.Create(fmt.Sprint("/run/", i))
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	}
	locks, err := writeLocks()
	require.NoError(t, err)
	require.Len(t, locks, 3000)
	assert.Len(t, lockers(locks), 1)
	fd := claim("/run/svc.pid")
	require.NotEqual(t, -1, fd)
	defer unix.Close(fd)
	began := time.Now()
	status, err := probe("/run/svc.pid")
	require.NoError(t, err)
	assert.Equal(t, Status{State: Stopped}, status)
	assert.Less(t, time.Since(began), 20*time.Second, "nine million looks take a minute")
}

// TestListOfLocksIsNotBelievedOfALaterProcess: one that was started after the
// pidfile was written has only got the daemon's pid, while a child of the daemon
// keeps the lock.
func TestListOfLocksIsNotBelievedOfALaterProcess(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	const path = "/run/svc.pid"
	c := exec.Command(testbed.Package(t, "flock", "util-linux"), "-x", "-n", path, "sleep", "1005")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, c.Start())
	pid := c.Process.Pid
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(pid)), 0o600))
	info, err := os.Stat(path)
	require.NoError(t, err)
	testbed.Eventually(t, func() bool {
		locks, err := writeLocks()
		return err == nil && locks[procLocksKey(info)] == pid
	}, "the lock")
	started, err := startOf(pid)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), started, 30*time.Second)
	for _, written := range []time.Duration{time.Second, -time.Second} {
		require.NoError(t, os.Chtimes(path, time.Time{}, started.Add(written)))
		info, err := os.Stat(path)
		require.NoError(t, err)
		ours, err := holdsLockUnseen(pid, info, unix.EACCES)
		assert.Equal(t, written > 0, ours)
		if written < 0 {
			assert.ErrorContains(t, err, "it was started after the pidfile was written")
		}
	}
}
