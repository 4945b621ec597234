// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package privs_test

// The drop, seen from outside, thread by thread.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// readThreads starts n threads that sleep in a system call of Go code, on the
// small stack of a goroutine.
func readThreads(n int) {
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	for range n {
		go func() { _, _ = unix.Read(pipe[0], make([]byte, 1)) }()
	}
	for len(testbed.Must(os.ReadDir("/proc/self/task"))) < n {
		runtime.Gosched()
	}
}

// become is a program that becomes an account and says so, and then runs
// until its standard input ends: it stands for a daemon.
var _ = testbed.Helper("become", func() {
	threads := flag.Int("threads", 0, "how many to lock before")
	reading := flag.Int("reading", 0, "how many to have in a system call")
	allow := flag.Bool("allow", false, "allow new privileges")
	name := flag.String("name", "no-such-daemon-here", "the daemon's")
	noproc := flag.Bool("noproc", false, "without /proc")
	keepcaps := flag.Bool("keepcaps", false, "on one other thread")
	listen := flag.String("listen", "", "before the drop, serve after")
	filter := flag.Bool("filter", false, "a seccomp filter on one other thread")
	uid := flag.Int("uid", 0, "run as")
	gid := flag.Int("gid", 0, "run as")
	file := flag.String("file", "", "open before the drop, read after")
	flag.Parse()
	fail := func(err error) {
		fmt.Println("failed:", err)
		os.Exit(3)
	}
	testbed.LockThreads(*threads)
	readThreads(*reading)
	var l net.Listener
	var err error
	if *listen != "" {
		if l, err = net.Listen("tcp", *listen); err != nil {
			fail(err)
		}
	}
	var f *os.File
	if *file != "" {
		if f, err = os.Open(*file); err != nil {
			fail(err)
		}
	}
	if *noproc {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fail(err)
		}
		for unix.Unmount("/proc", unix.MNT_DETACH) == nil { // one lies on the other
		}
		if _, err := os.Stat("/proc/self"); err == nil {
			fail(errors.New("/proc is still there"))
		}
	}
	elsewhere := func(do func() error) { // on a thread that is not the one to drop
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			done <- do()
			select {}
		}()
		if err := <-done; err != nil {
			fail(err)
		}
	}
	if *keepcaps {
		elsewhere(func() error { return unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0) })
	}
	if *filter {
		elsewhere(func() error {
			allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
			program := unix.SockFprog{Len: 1, Filter: &allow}
			return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
		})
	}
	if *uid != 0 {
		if err := errors.Join(syscall.Setgroups([]int{*gid}), syscall.Setresgid(*gid, *gid, *gid), syscall.Setresuid(*uid, *uid, *uid)); err != nil {
			fail(err)
		}
	}
	became := func() {
		fmt.Printf("became HOME=%s USER=%s LOGNAME=%s", os.Getenv("HOME"), os.Getenv("USER"), os.Getenv("LOGNAME"))
		if f != nil {
			text, err := io.ReadAll(f)
			_, reopen := os.Open(*file)
			fmt.Printf(" text=%s %v %v", text, err, errors.Is(reopen, os.ErrPermission))
		}
		fmt.Println()
		if l != nil {
			go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "uid %d", os.Getuid()) }))
		}
		io.Copy(io.Discard, os.Stdin)
	}
	os.Args[0] = *name
	if *allow || flag.Arg(0) == "" || flag.Arg(1) == "" { // a service has rules for what is not named
		err = testbed.Must(daemonize.New(func(context.Context, int) error { became(); return nil },
			&daemonize.Config[int]{User: flag.Arg(0), Group: flag.Arg(1), AllowNewPrivileges: *allow,
				PidfileDirectory: "/nonexistent"})).Run(context.Background())
	} else if err = daemonize.DropPrivileges(flag.Arg(0), flag.Arg(1)); err == nil {
		became()
	}
	if err != nil {
		fail(err)
	}
})

// assertDropped looks at every thread from outside.
func assertDropped(t *testing.T, pid int, uid, gid uint32, groups, noNewPrivs string) {
	t.Helper()
	threads := testbed.Threads(t, pid)
	for _, tid := range threads {
		s := testbed.Status(t, pid, tid)
		four := func(id uint32) string { return fmt.Sprintf("%d\t%[1]d\t%[1]d\t%[1]d", id) }
		assert.Equal(t, four(uid), s["Uid"])
		assert.Equal(t, four(gid), s["Gid"])
		assert.Equal(t, groups, s["Groups"])
		if !testbed.Portable {
			assert.Equal(t, noNewPrivs, s["NoNewPrivs"])
		}
		if uid != 0 {
			assert.Equal(t, []string{"0000000000000000", "0000000000000000", "0000000000000000"}, []string{s["CapPrm"], s["CapEff"], s["CapAmb"]})
		}
	}
}

func TestDropChangesEveryThread(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	line, pid := testbed.Becoming(t, testbed.AsRoot("become", "-threads=200", "www"))
	assert.Equal(t, "became HOME=/srv/www USER=www LOGNAME=www", line)
	assert.GreaterOrEqual(t, len(testbed.Threads(t, pid)), 200)
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
}

// A signal handler that libc runs on a goroutine's stack overwrites what lies
// below it: musl before 1.2.4, golang.org/issue/39857.
func TestDropWhereThreadsSleepInSystemCalls(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	for range 3 {
		line, pid := testbed.Becoming(t, testbed.AsRoot("become", "-reading=100", "-threads=100", "www"))
		assert.Equal(t, "became HOME=/srv/www USER=www LOGNAME=www", line)
		assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
	}
}

func TestDropFollowsTheRules(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	for _, tt := range []struct {
		args       []string
		env        string
		uid, gid   uint32
		groups     string
		noNewPrivs string
	}{
		{[]string{"www"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7002, "7002 7003 7004 7007", "1"},
		{[]string{"-allow", "www"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7002, "7002 7003 7004 7007", "0"},
		{[]string{"-name=www"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7002, "7002 7003 7004 7007", "1"},
		{[]string{"-name=nohome"}, "HOME=/ USER=nohome LOGNAME=nohome", 7005, 1, "1", "1"},
		{[]string{}, "HOME=/usr/sbin USER=daemon LOGNAME=daemon", 1, 1, "1 7003", "1"},
		{[]string{"www", "web"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7006, "7003 7004 7006 7007", "1"},
		{[]string{"", "web"}, "HOME=/usr/sbin USER=daemon LOGNAME=daemon", 1, 7006, "7003 7006", "1"},
		{[]string{"-name=web", "www"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7006, "7003 7004 7006 7007", "1"},
		{[]string{"7001"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7002, "7002 7003 7004 7007", "1"},
		{[]string{"7001", "7777"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7777, "7003 7004 7007 7777", "1"},
		{[]string{"8888", "7777"}, "HOME=/ USER= LOGNAME=", 8888, 7777, "7777", "1"},
		{[]string{"-name=web", "8888"}, "HOME=/ USER= LOGNAME=", 8888, 7006, "7006", "1"},
		{[]string{"big"}, "HOME=/ USER=big LOGNAME=big", 4294967294, 4294967294, "4294967294", "1"},
		{[]string{"root"}, "HOME=/root USER=root LOGNAME=root", 0, 0, "0", "0"},
		{[]string{"rootgroup", "root"}, "HOME=/ USER=rootgroup LOGNAME=rootgroup", 7008, 0, "0", "1"},
		{[]string{"www", "0"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 0, "0 7003 7004 7007", "1"},
		{[]string{"0", "web"}, "HOME=/root USER=root LOGNAME=root", 0, 7006, "7006", "0"},
		{[]string{"-noproc", "www"}, "HOME=/srv/www USER=www LOGNAME=www", 7001, 7002, "7002 7003 7004 7007", "1"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			if tt.uid > 1<<31 && strconv.IntSize == 32 {
				t.Skip("needs a 64-bit int")
			}
			c := testbed.AsRoot("become", tt.args...)
			if slices.Contains(tt.args, "-noproc") {
				c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
			}
			line, pid := testbed.Becoming(t, c)
			if slices.Contains(tt.args, "-noproc") && testbed.Musl {
				assert.Equal(t, "failed: daemonize: become user www (uid 7001, gid 7002): setgroups: no such file or directory; is the /proc of this PID namespace mounted? Without it the threads cannot be found", line)
				return
			}
			assert.Equal(t, "became "+tt.env, line)
			assertDropped(t, pid, tt.uid, tt.gid, tt.groups, tt.noNewPrivs)
		})
	}
}

func TestDropWithoutTheCapabilityFails(t *testing.T) {
	testbed.NeedLinuxBuild(t, "capabilities")
	if !testbed.IsolateAccounts(t) {
		return
	}
	for _, tt := range []struct {
		setpriv []string
		args    []string
		why     []string
	}{
		{[]string{"--bounding-set=-setuid"}, []string{"www"}, []string{"setresuid", "CAP_SETUID", "operation not permitted", "user www"}},
		{[]string{"--bounding-set=-setgid"}, []string{"www"}, []string{"setgroups", "CAP_SETGID", "operation not permitted", "user www"}},
		{[]string{"--securebits=+noroot"}, []string{"www"}, []string{"setgroups", "CAP_SETGID"}},
		{[]string{"--securebits=+no_setuid_fixup"}, []string{"www"}, []string{"SECBIT_NO_SETUID_FIXUP", "start without"}},
		{[]string{"--inh-caps=+net_raw"}, []string{"-allow", "www"}, []string{"inheritable", "start without"}},
		{[]string{"--inh-caps=-all"}, []string{"-keepcaps", "www"}, []string{"not proved", "CapPrm"}},
	} {
		t.Run(tt.setpriv[0], func(t *testing.T) {
			line, _ := testbed.Becoming(t, testbed.Through(t, testbed.AsRoot("become", tt.args...), tt.setpriv...))
			for _, why := range append(tt.why, "failed: daemonize: become user www") {
				assert.Contains(t, line, why)
			}
		})
	}
}

func TestNoCapabilityOutlivesTheDrop(t *testing.T) {
	testbed.NeedLinuxBuild(t, "capabilities")
	if !testbed.IsolateAccounts(t) {
		return
	}
	line, pid := testbed.Becoming(t, testbed.Through(t, testbed.AsRoot("become", "-threads=3", "www"), "--inh-caps=+net_raw", "--ambient-caps=+net_raw"))
	assert.Contains(t, line, "became")
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
}

// What was no_new_privs before the start needs no seccomp filter for it.
func TestNoNewPrivsFromTheStartCostsNoFilter(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	line, pid := testbed.Becoming(t, testbed.Through(t, testbed.AsRoot("become", "www"), "--no-new-privs"))
	assert.Contains(t, line, "became")
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
	assert.Equal(t, testbed.Status(t, os.Getpid(), 0)["Seccomp"], testbed.Status(t, pid, 0)["Seccomp"])
}

// In a program with cgo no_new_privs comes with a filter, which the kernel
// gives no thread that has one of its own.
func TestNoNewPrivsReachesEveryThreadOrTheDropFails(t *testing.T) {
	testbed.NeedLinuxBuild(t, "no_new_privs")
	if !testbed.IsolateAccounts(t) {
		return
	}
	line, pid := testbed.Becoming(t, testbed.AsRoot("become", "-filter", "-threads=3", "www"))
	if strings.HasPrefix(line, "failed: ") {
		assert.Regexp(t, `no_new_privs for every thread: thread \d+ has a seccomp filter of its own`, line)
		return
	}
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
}

func TestDropInAUserNamespace(t *testing.T) {
	testbed.NeedLinuxBuild(t, "user namespaces")
	if !testbed.Isolate(t) {
		return
	}
	testbed.Accounts(t, testbed.Passwd, testbed.Group)
	for _, tt := range []struct {
		name      string
		setgroups bool
		size      int
		needRoot  bool
		why       []string
	}{
		{"setgroups denied", false, 1, false, []string{"setgroups", "operation not permitted", "CAP_SETGID", "deny"}},
		{"not mapped", true, 1, true, []string{"invalid argument", "gid_map"}},
		{"mapped", true, 65536, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.needRoot {
				testbed.NeedRoot(t)
			}
			c := testbed.Command("become", "www")
			c.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:                 syscall.CLONE_NEWUSER,
				UidMappings:                []syscall.SysProcIDMap{{HostID: 0, Size: tt.size}},
				GidMappings:                []syscall.SysProcIDMap{{HostID: 0, Size: tt.size}},
				GidMappingsEnableSetgroups: tt.setgroups,
			}
			probe := testbed.Program("/bin/true")
			probe.SysProcAttr = c.SysProcAttr
			if err := probe.Run(); errors.Is(err, unix.EPERM) {
				t.Skip("needs user namespaces, which are not to be had in a chroot(2) or where user.max_user_namespaces is 0")
			}
			line, pid := testbed.Becoming(t, c)
			for _, why := range tt.why {
				assert.Contains(t, line, why)
			}
			if tt.why == nil {
				assert.Contains(t, line, "became")
				assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
			}
		})
	}
}

func TestListenerAndFileCrossTheDrop(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("secret"), 0o600))
	line, pid := testbed.Becoming(t, testbed.AsRoot("become", "-listen=127.0.0.1:80", "-file="+file, "www"))
	assert.Equal(t, "became HOME=/srv/www USER=www LOGNAME=www text=secret <nil> true", line)
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
	answer, err := http.Get("http://127.0.0.1:80/")
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Equal(t, "uid 7001", string(body))
}

func TestDropTakesTheGroupsOfANameService(t *testing.T) {
	if testbed.Musl {
		t.Skip("needs a libc with name services: musl has none")
	}
	if !testbed.IsolateAccounts(t) {
		return
	}
	testbed.Package(t, "getent", "libc-bin")
	testbed.ExtraUsers(t, "x1:x:7011:7012::/home/x1:/bin/sh\n", "xgrp:x:7012:\nxsup:x:7013:x1,www\n")
	_, pid := testbed.Becoming(t, testbed.AsRoot("become", "x1"))
	assertDropped(t, pid, 7011, 7012, "7012 7013", "1")
	_, pid = testbed.Becoming(t, testbed.AsRoot("become", "www"))
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007 7013", "1")
}

func TestAFailedLookupIsNotAnUnknownName(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	// Root reads everything, so root without the capability to.
	require.NoError(t, os.Chmod("/etc/passwd", 0))
	require.NoError(t, os.Chown("/etc/passwd", 7001, 7002))
	for _, args := range [][]string{{"-name=www"}, {"www"}, {"7001"}, {"-name=daemon"}} {
		line, _ := testbed.Becoming(t, testbed.Through(t, testbed.AsRoot("become", args...), "--bounding-set=-dac_override,-dac_read_search"))
		assert.Contains(t, line, "failed: ", "%q", args)
		assert.Contains(t, line, "lookup failed: ", "%q", args)
		assert.Contains(t, line, "permission denied", "%q", args)
	}
	require.NoError(t, os.Chmod("/etc/passwd", 0o644))
	require.NoError(t, os.Chmod("/etc/group", 0))
	require.NoError(t, os.Chown("/etc/group", 7001, 7002))
	for _, args := range [][]string{{"-name=www"}, {"www"}, {"www", "web"}} {
		line, _ := testbed.Becoming(t, testbed.Through(t, testbed.AsRoot("become", args...), "--bounding-set=-dac_override,-dac_read_search"))
		assert.Contains(t, line, "lookup failed: ", "%q", args)
	}
}

func TestNobodyElseIsRefusedBeforeAnythingStarts(t *testing.T) {
	if !testbed.IsolateAccounts(t) {
		return
	}
	as := func(args ...string) string {
		line, _ := testbed.Becoming(t, testbed.AsRoot("become", append([]string{"-uid=7001", "-gid=7002"}, args...)...))
		return line
	}
	for _, args := range [][]string{{}, {"-name=daemon"}, {"www"}, {"www", "www"}, {"7001"}, {"", "7002"}} {
		assert.Contains(t, as(args...), "became HOME=/root USER=root", "%q", args)
	}
	for _, args := range [][]string{{"daemon"}, {"root"}, {"www", "daemon"}, {"", "root"}, {"1", "1"}} {
		line := as(args...)
		assert.Contains(t, line, "only root may change that", "%q", args)
		assert.Contains(t, line, "permission denied", "%q", args)
	}
	assert.Contains(t, as("nobody-here"), "nonexistent user nobody-here")
}
