// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Passwd and Group are the accounts of IsolateAccounts.
const (
	Passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www:x:7001:7002:Web:/srv/www:/bin/sh
big:x:4294967294:4294967294::/:
none:x:4294967295:1::/:
nogroup:x:7009:4294967295::/:
alias:x:0:0::/:
rootgroup:x:7008:0::/:
nohome:x:7005:7005:::
zero:x:0day:0::/:
`
	Group = `root:x:0:
daemon:x:1:
www:x:7002:
extra:x:7003:daemon,www
more:x:7004:www
web:x:7006:
rootalias:x:0:
big:x:4294967294:
none:x:4294967295:
web:x:7007:www
`
)

// IsolateAccounts is IsolateRootOneWay with those accounts.
func IsolateAccounts(t *testing.T) bool {
	t.Helper()
	if !IsolateRootOneWay(t) {
		return false
	}
	Accounts(t, Passwd, Group)
	return true
}

// LockThreads starts n threads that nobody else runs on. They end with the process.
func LockThreads(n int) {
	var started sync.WaitGroup
	started.Add(n)
	for range n {
		go func() {
			runtime.LockOSThread()
			started.Done()
			select {}
		}()
	}
	started.Wait()
}

// Becoming starts a program that drops its privileges and says so; it returns the first line
// of output and the pid. The program ends with the test.
func Becoming(t *testing.T, c *exec.Cmd) (line string, pid int) {
	t.Helper()
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = c.Wait()
	})
	line, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stdin.Close()
		t.Logf("it ended: %v", c.Wait())
	}
	require.NoError(t, err)
	return strings.TrimSuffix(line, "\n"), c.Process.Pid
}

// AsRoot makes the helper run with what somebody's shell might have: root with extra groups.
func AsRoot(helper string, args ...string) *exec.Cmd {
	c := Command(helper, args...)
	c.Env = append(c.Env, "HOME=/root", "USER=root", "LOGNAME=root")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{0, 4, 27}}}
	return c
}

// Through has the program run by way of setpriv(1).
func Through(t testing.TB, c *exec.Cmd, options ...string) *exec.Cmd {
	t.Helper()
	setpriv := Package(t, "setpriv", "util-linux")
	c.Args = append(append([]string{setpriv}, options...), append([]string{c.Path}, c.Args[1:]...)...)
	c.Path = setpriv
	return c
}
