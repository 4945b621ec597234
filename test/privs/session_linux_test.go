// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package privs_test

// What the daemon keeps of the session that started it.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// rootsKey is what keyctl(2) says of root's key in the session keyring.
func rootsKey() error {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", "roots", 0)
	if err != nil {
		return err
	}
	b := make([]byte, 64)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, b, 0)
	if err == nil {
		err = fmt.Errorf("read %q", b[:n])
	}
	return err
}

// keys is a daemon of uid 1 that looks for root's key, in a session of root's that has one.
var _ = testbed.Helper("keys", func() {
	daemonize.Serviced(func(ctx context.Context, _ int) error {
		daemonize.Syslogf(daemonize.LOG_INFO, "uid %d: key: %v; SHELL=%q XDG_RUNTIME_DIR=%q XDG_CONFIG_HOME=%q",
			os.Getuid(), rootsKey(), os.Getenv("SHELL"), os.Getenv("XDG_RUNTIME_DIR"), os.Getenv("XDG_CONFIG_HOME"))
		<-ctx.Done()
		return nil
	}, &daemonize.Config[int]{Name: "svc", User: "1", Group: "1"})
})

func TestDroppedDaemonHasNotRootsSession(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	runtime.LockOSThread() // the keyring is the thread's, and its children's
	_, _, e := unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	if e == unix.ENOSYS || e == unix.EPERM {
		t.Skipf("needs a kernel with keyrings(7), and no filter of keyctl(2): %v", e)
	}
	require.Zero(t, e)
	typ, name, secret := []byte("user\x00"), []byte("roots\x00"), []byte("secret")
	id, _, e := unix.Syscall6(unix.SYS_ADD_KEY, uintptr(unsafe.Pointer(&typ[0])), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(&secret[0])), uintptr(len(secret)), ^uintptr(2), 0) // -3, KEY_SPEC_SESSION_KEYRING
	require.Zero(t, e)
	require.NoError(t, unix.KeyctlSetperm(int(id), 0x3f3f3f3f)) // whoever has the keyring may read it
	require.EqualError(t, rootsKey(), `read "secret"`)

	command := func(verb string) *exec.Cmd {
		c := testbed.Command("keys", verb)
		c.Env = append(c.Env, "SHELL=/bin/rootsh", "XDG_RUNTIME_DIR=/run/user/0", "XDG_CONFIG_HOME=/etc/svc")
		return c
	}
	testbed.Run(t, 0, command("start"))
	key := "required key not available"
	if testbed.Portable { // only Linux has session keyrings, and gives the daemon one of its own
		key = `read "secret"`
	}
	log.WaitFor(t, "uid 1: key: "+key+`; SHELL="" XDG_RUNTIME_DIR="" XDG_CONFIG_HOME="/etc/svc"`)
	testbed.Run(t, 0, command("stop"))

	// run stays in the session: its supervisor decides.
	log.Forget()
	r := testbed.RunInForeground(t, command("run"))
	log.WaitFor(t, `uid 1: key: read "secret"; SHELL="" XDG_RUNTIME_DIR=""`)
	r.Kill(unix.SIGTERM)
	assert.Equal(t, 0, r.Exits())
}

// staysroot is a root that stays root.
var _ = testbed.Helper("staysroot", func() {
	fmt.Println(daemonize.DropPrivileges("root", ""), os.Getuid(), os.Getenv("HOME"))
})

func TestRootOfAUserNamespaceStaysRoot(t *testing.T) {
	helper := testbed.Command("staysroot")
	// unshare(1) denies setgroups(2), as the kernel wants it of who is not root.
	args := []string{"unshare", "-r", "bash", "-c", `exec -a "$0" "$@"`, helper.Args[0], helper.Path}
	if os.Getuid() == 0 { // with groups that root's account has not
		args = append([]string{"setpriv", "--groups", "4,12345"}, args...)
	}
	if err := exec.Command("unshare", "-r", "true").Run(); err != nil {
		t.Skipf("needs unshare(1) and user namespaces: %v", err)
	}
	c := exec.Command(args[0], append(args[1:], helper.Args[1:]...)...)
	c.Env = helper.Env
	stdout, stderr := testbed.Run(t, 0, c)
	assert.Equal(t, "<nil> 0 /root\n", stdout+stderr)
}

// togethers drops in many goroutines at once.
var _ = testbed.Helper("togethers", func() {
	done := make(chan error)
	for range 16 {
		go func() { done <- daemonize.DropPrivileges("nobody", "") }()
	}
	for range 16 {
		fmt.Println(<-done)
	}
})

func TestManyGoroutinesMayDropAndTheFirstDoes(t *testing.T) {
	testbed.NeedRoot(t)
	stdout, stderr := testbed.Run(t, 0, testbed.Command("togethers"))
	assert.Equal(t, strings.Repeat("<nil>\n", 16), stdout+stderr)
}
