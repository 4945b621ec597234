package daemonize

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What a hostile local user or a compromised daemon may try against root's verbs.

// forger holds a removed file at the pidfile's path, and the claim.
var _ = testbed.Helper("forger", func() {
	path := os.Args[1]
	f := must(os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600))
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		panic(err)
	}
	if claim(path) < 0 || os.Remove(path) != nil {
		panic("no claim")
	}
	fmt.Println("up")
	untilTerm()
})

func TestForgedHolderIsNotBelieved(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	const dir = "/run/sticky"
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	forger := testbed.As(t, 65534, testbed.Command("forger", dir+"/svc.pid"))
	out, err := forger.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, forger.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)

	stdout, _ := command(t, 3, serviceCommand("status", "DIR="+dir))
	assert.Equal(t, "svc is not running.\n", stdout)
	command(t, 0, serviceCommand("stop", "DIR="+dir))
	assert.True(t, testbed.Alive(forger.Process.Pid), "root's stop signalled it")
	command(t, 0, serviceCommand("start", "DIR="+dir))
	heldBy(t, dir+"/svc.pid", testbed.One(t, "service"))
}

// bystander is root's, has the claim and the removed pidfile open, and a lock
// of another file.
var _ = testbed.Helper("bystander", func() {
	path := os.Args[1]
	must(os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600))
	other := must(os.OpenFile(path+".other", os.O_RDONLY|os.O_CREATE, 0o600))
	if unix.Flock(int(other.Fd()), unix.LOCK_EX) != nil || claim(path) < 0 || os.Remove(path) != nil {
		panic("no bystander")
	}
	fmt.Println("up")
	untilTerm()
	runtime.KeepAlive(other)
})

func TestBystanderOfARemovedPidfileIsNotTheDaemon(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	bystander := testbed.Command("bystander", svcPidfile)
	out, err := bystander.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, bystander.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)

	command(t, 3, serviceCommand("status"))
	command(t, 0, serviceCommand("stop"))
	assert.True(t, testbed.Alive(bystander.Process.Pid), "stop signalled it")
	command(t, 0, serviceCommand("start"))
	heldBy(t, svcPidfile, testbed.One(t, "service"))
}

func TestEndlessCrashFileHoldsNoStartUp(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	require.NoError(t, os.WriteFile("/run/svc.crash", []byte("panic: once\n"), 0o600))
	require.NoError(t, os.Truncate("/run/svc.crash", 1<<42))
	began := time.Now()
	command(t, 0, serviceCommand("start"))
	assert.Less(t, time.Since(began), 10*time.Second)
}

// half-dropped keeps root in its saved uid, then asks for what it is.
var _ = testbed.Helper("half-dropped", func() {
	if err := syscall.Setresuid(1000, 1000, 0); err != nil {
		panic(err)
	}
	fmt.Println(DropPrivileges("", ""))
})

func TestSavedRootIsNoUnprivilegedProcess(t *testing.T) {
	if !isolateRoot(t) {
		return
	}
	var out bytes.Buffer
	c := testbed.Command("half-dropped")
	c.Stdout = &out
	require.NoError(t, c.Run())
	assert.Contains(t, out.String(), "the real or saved uid is root's, which would come back: permission denied")
}
