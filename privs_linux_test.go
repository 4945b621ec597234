package daemonize

// The drop, seen from outside, thread by thread.

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/madhadron/daemonize/internal/testbed"
)

const testPasswd = `root:x:0:0:root:/root:/bin/sh
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

const testGroup = `root:x:0:
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

// lockThreads starts n threads that nobody else runs on. They end with the
// process.
func lockThreads(n int) {
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
	for len(must(os.ReadDir("/proc/self/task"))) < n {
		runtime.Gosched()
	}
}

// become is a program that becomes an account and says so, and then runs
// until its standard input ends: it stands for a daemon.
var _ = testbed.Helper("become", func() {
	threads := flag.Int("threads", 0, "how many to lock before")
	reading := flag.Int("reading", 0, "how many to have in a system call")
	allow := flag.Bool("allow", false, "allow new privileges")
	public := flag.Bool("public", false, "through DropPrivileges")
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
	lockThreads(*threads)
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
		if err := errors.Join(sysSetgroups([]int{*gid}), sysSetresgid(*gid, *gid, *gid), sysSetresuid(*uid, *uid, *uid)); err != nil {
			fail(err)
		}
	}
	if *public {
		os.Args[0] = *name
		err = DropPrivileges(flag.Arg(0), flag.Arg(1))
	} else {
		var a *account
		if a, err = resolveAccount(*name, flag.Arg(0), flag.Arg(1)); err == nil {
			err = a.drop(*allow)
		}
	}
	if err != nil {
		fail(err)
	}
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
})

// becoming starts a program and returns its first line of output and its
// pid; it ends with the test.
func becoming(t *testing.T, c *exec.Cmd) (line string, pid int) {
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

// asRoot makes the program run with what somebody's shell might have: root
// with extra groups.
func asRoot(args ...string) *exec.Cmd {
	c := testbed.Command("become", args...)
	c.Env = append(c.Env, "HOME=/root", "USER=root", "LOGNAME=root")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{0, 4, 27}}}
	return c
}

// through runs the program by way of setpriv(1).
func through(t *testing.T, c *exec.Cmd, options ...string) *exec.Cmd {
	t.Helper()
	setpriv := testbed.Package(t, "setpriv", "util-linux")
	c.Args = append(append([]string{setpriv}, options...), append([]string{c.Path}, c.Args[1:]...)...)
	c.Path = setpriv
	return c
}

// isolateAccounts is isolateRootOneWay with the accounts above.
func isolateAccounts(t *testing.T) bool {
	t.Helper()
	if !isolateRootOneWay(t) {
		return false
	}
	testbed.Accounts(t, testPasswd, testGroup)
	return true
}

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
		assert.Equal(t, noNewPrivs, s["NoNewPrivs"])
		if uid != 0 {
			assert.Equal(t, []string{"0000000000000000", "0000000000000000", "0000000000000000"}, []string{s["CapPrm"], s["CapEff"], s["CapAmb"]})
		}
	}
}

func TestDropChangesEveryThread(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	for _, public := range []string{"-public=false", "-public"} {
		line, pid := becoming(t, asRoot("-threads=200", public, "www"))
		assert.Equal(t, "became HOME=/srv/www USER=www LOGNAME=www", line)
		assert.GreaterOrEqual(t, len(testbed.Threads(t, pid)), 200)
		assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
	}
}

// A signal handler that libc runs on a goroutine's stack overwrites what lies
// below it: musl before 1.2.4, golang.org/issue/39857.
func TestDropWhereThreadsSleepInSystemCalls(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	for range 3 {
		line, pid := becoming(t, asRoot("-reading=100", "-threads=100", "www"))
		assert.Equal(t, "became HOME=/srv/www USER=www LOGNAME=www", line)
		assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
	}
}

func TestDropFollowsTheRules(t *testing.T) {
	if !isolateAccounts(t) {
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
			c := asRoot(tt.args...)
			if slices.Contains(tt.args, "-noproc") {
				c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
			}
			line, pid := becoming(t, c)
			if slices.Contains(tt.args, "-noproc") && isMusl() {
				assert.Equal(t, "failed: daemonize: become user www (uid 7001, gid 7002): setgroups: no such file or directory; is the /proc of this PID namespace mounted? Without it the threads cannot be found", line)
				return
			}
			assert.Equal(t, "became "+tt.env, line)
			assertDropped(t, pid, tt.uid, tt.gid, tt.groups, tt.noNewPrivs)
		})
	}
}

func TestAccountsThatCannotBeAreRefused(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Accounts(t, testPasswd, testGroup)
	for _, tt := range []struct{ name, user, group, why string }{
		{"x", "nobody-here", "", "nonexistent user nobody-here"},
		{"www", "nobody-here", "", "nonexistent user nobody-here"},
		{"www", "www", "nobody-here", "nonexistent group nobody-here"},
		{"www", "zero", "", "nonexistent user zero"},
		{"www", "none", "", "out of range"},
		{"none", "", "", "out of range"},
		{"x", "nogroup", "", "out of range"},
		{"x", "www", "none", "out of range"},
		{"x", "8888", "", "name a group"},
		{"x", "alias", "", "uid 0"},
		{"x", "rootgroup", "", "gid 0"},
		{"x", "www", "rootalias", "gid 0"},
		{"rootalias", "www", "", "gid 0"},
		{"alias", "", "", "uid 0"},
		{"root", "", "", "uid 0"},
		{"x", "4294967295", "", "out of range"},
		{"x", "www", "4294967296", "out of range"},
	} {
		a, err := resolveAccount(tt.name, tt.user, tt.group)
		assert.ErrorContains(t, err, tt.why, "%+v: %+v", tt, a)
		assert.True(t, isConfigError(err), "%v", err)
	}
	testbed.Accounts(t, "root:x:0:0:::\nwww:x:7001:7002:::\n", "root:x:0:\n")
	for _, name := range []string{"x", "daemon", "www"} { // www: neither its group nor "daemon"
		_, err := resolveAccount(name, "", "")
		assert.True(t, isConfigError(err), "%v", err)
		assert.ErrorContains(t, err, "nor to daemon")
	}
}

func TestDropWithoutTheCapabilityFails(t *testing.T) {
	if !isolateAccounts(t) {
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
			line, _ := becoming(t, through(t, asRoot(tt.args...), tt.setpriv...))
			for _, why := range append(tt.why, "failed: daemonize: become user www") {
				assert.Contains(t, line, why)
			}
		})
	}
}

func TestNoCapabilityOutlivesTheDrop(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	line, pid := becoming(t, through(t, asRoot("-threads=3", "www"), "--inh-caps=+net_raw", "--ambient-caps=+net_raw"))
	assert.Contains(t, line, "became")
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
}

// What was no_new_privs before the start needs no seccomp filter for it.
func TestNoNewPrivsFromTheStartCostsNoFilter(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	line, pid := becoming(t, through(t, asRoot("www"), "--no-new-privs"))
	assert.Contains(t, line, "became")
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
	assert.Equal(t, testbed.Status(t, os.Getpid(), 0)["Seccomp"], testbed.Status(t, pid, 0)["Seccomp"])
}

// In a program with cgo no_new_privs comes with a filter, which the kernel
// gives no thread that has one of its own.
func TestNoNewPrivsReachesEveryThreadOrTheDropFails(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	line, pid := becoming(t, asRoot("-filter", "-threads=3", "www"))
	if strings.HasPrefix(line, "failed: ") {
		assert.Regexp(t, `no_new_privs for every thread: thread \d+ has a seccomp filter of its own`, line)
		return
	}
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
}

func TestDropInAUserNamespace(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Accounts(t, testPasswd, testGroup)
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
			probe := exec.Command("/bin/true")
			probe.SysProcAttr = c.SysProcAttr
			if err := probe.Run(); errors.Is(err, unix.EPERM) {
				t.Skip("needs user namespaces, which are not to be had in a chroot(2) or where user.max_user_namespaces is 0")
			}
			line, pid := becoming(t, c)
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
	if !isolateAccounts(t) {
		return
	}
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("secret"), 0o600))
	line, pid := becoming(t, asRoot("-listen=127.0.0.1:80", "-file="+file, "www"))
	assert.Equal(t, "became HOME=/srv/www USER=www LOGNAME=www text=secret <nil> true", line)
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007", "1")
	answer, err := http.Get("http://127.0.0.1:80/")
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Equal(t, "uid 7001", string(body))
}

// half is a program that drops as a careless one would, and then asks for
// the proof.
var _ = testbed.Helper("half", func() {
	a := &account{uid: 7001, gid: 7002, groups: []int{7002}, change: true}
	lockThreads(3)
	check := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(3)
		}
	}
	runtime.LockOSThread()
	switch os.Args[1] {
	case "minus one":
		a.uid = -1
		fmt.Println(a.drop(false))
		return
	case "one thread":
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, _, e := unix.RawSyscall(call, 7001, 7001, 7001); e != 0 {
				check(e)
			}
		}
	case "saved uid":
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 0)))
	case "saved gid":
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 0), sysSetresuid(7001, 7001, 7001)))
	case "capabilities": // the launcher's securebits keep them
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 7001)))
	case "no groups": // forgotten
		check(errors.Join(sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 7001)))
	case "no new privs":
		check(errors.Join(sysSetgroups(a.groups), sysSetresgid(7002, 7002, 7002), sysSetresuid(7001, 7001, 7001)))
		check(a.verify(false))
	}
	fmt.Printf("%v; %v; ", a.verify(true), a.verifySelf(true))
	if os.Args[1] == "one thread" {
		fmt.Println("libc would abort over threads that disagree")
		return
	}
	fmt.Println(a.tryRegainRoot())
})

func TestProofNoticesHalfADrop(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	for what, want := range map[string]string{
		"one thread":   `thread \d+: (Uid is "0 0 0 0", not "7001 7001 7001 7001"|Gid is "7001 7001 7001 7001", not "7002 7002 7002 7002"); gids are 7001 7001 7001, not 7002; `,
		"minus one":    `^daemonize: become uid -1, .*out of range`,
		"saved uid":    `thread \d+: Uid is "7001 7001 0 7001", .*; uids are 7001 7001 0, not 7001; .*setuid\(0\) brought`,
		"saved gid":    `thread \d+: Gid is "7002 7002 0 7002", .*; gids are .*; .*setgid\(0\) brought`,
		"capabilities": `thread \d+: NoNewPrivs is "0", not "1"; capabilities are .*, not none; .*setgroups brought`,
		"no groups":    `groups are \[0 4 27\], not \[7002\]; groups are .*; <nil>`,
		"no new privs": `NoNewPrivs is "0", not "1"; no_new_privs is 0 .*; <nil>`,
	} {
		c := asRoot(what)
		c.Env = testbed.Command("half").Env
		if what == "capabilities" {
			c = through(t, c, "--securebits=+no_setuid_fixup")
		}
		line, _ := becoming(t, c)
		assert.Regexp(t, want, line, what)
	}
}

func TestAccountsOfANameServiceAreFound(t *testing.T) {
	if isMusl() {
		t.Skip("needs a libc with name services: musl has none")
	}
	if !testbed.Isolate(t) {
		return
	}
	testbed.Package(t, "getent", "libc-bin")
	testbed.ExtraUsers(t, "x1:x:7001:7002:NSS only:/home/x1:/bin/sh\n",
		"xgrp:x:7002:\nxsup:x:7003:x1\nxbig:x:7004:"+testbed.Members(8500)+"\nxmega:x:7005:"+testbed.Members(200_000)+"\n")
	p, err := Getpwnam("x1")
	require.NoError(t, err)
	assert.Equal(t, &Passwd{"x1", "x", 7001, 7002, "NSS only", "/home/x1", "/bin/sh"}, p)
	p, err = sysGetpwuid(7001)
	require.NoError(t, err)
	assert.Equal(t, "x1", p.Name)
	groups, err := sysGetgrouplist("x1", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{7002, 7003}, groups)
	for name, members := range map[string]int{"xsup": 1, "xbig": 8500, "xmega": 200_000} {
		g, err := Getgrnam(name)
		require.NoError(t, err)
		assert.Len(t, g.Members, members, name)
	}
	_, err = Getpwnam("x2")
	assert.Equal(t, user.UnknownUserError("x2"), err)

	// Both halves find the same, and root is what root can only look at.
	fp, err := filesGetpwnam("x1")
	require.NoError(t, err)
	assert.Equal(t, p, fp)
	fg, err := filesGetgrnam("xbig")
	require.NoError(t, err)
	assert.Len(t, fg.Members, 8500)
	groups, err = filesGetgrouplist("x1", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{7002, 7003}, groups)
	GetentPaths = nil
	_, err = filesGetpwnam("x1")
	assert.Equal(t, user.UnknownUserError("x1"), err)
}

func TestDropTakesTheGroupsOfANameService(t *testing.T) {
	if isMusl() {
		t.Skip("needs a libc with name services: musl has none")
	}
	if !isolateAccounts(t) {
		return
	}
	testbed.Package(t, "getent", "libc-bin")
	testbed.ExtraUsers(t, "x1:x:7011:7012::/home/x1:/bin/sh\n", "xgrp:x:7012:\nxsup:x:7013:x1,www\n")
	_, pid := becoming(t, asRoot("x1"))
	assertDropped(t, pid, 7011, 7012, "7012 7013", "1")
	_, pid = becoming(t, asRoot("www"))
	assertDropped(t, pid, 7001, 7002, "7002 7003 7004 7007 7013", "1")
}

func TestAFailedLookupIsNotAnUnknownName(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	// Root reads everything, so root without the capability to.
	require.NoError(t, os.Chmod("/etc/passwd", 0))
	require.NoError(t, os.Chown("/etc/passwd", 7001, 7002))
	for _, args := range [][]string{{"-name=www"}, {"www"}, {"7001"}, {"-name=daemon"}} {
		line, _ := becoming(t, through(t, asRoot(args...), "--bounding-set=-dac_override,-dac_read_search"))
		assert.Contains(t, line, "failed: ", "%q", args)
		assert.Contains(t, line, "lookup failed: ", "%q", args)
		assert.Contains(t, line, "permission denied", "%q", args)
	}
	require.NoError(t, os.Chmod("/etc/passwd", 0o644))
	require.NoError(t, os.Chmod("/etc/group", 0))
	require.NoError(t, os.Chown("/etc/group", 7001, 7002))
	for _, args := range [][]string{{"-name=www"}, {"www"}, {"www", "web"}} {
		line, _ := becoming(t, through(t, asRoot(args...), "--bounding-set=-dac_override,-dac_read_search"))
		assert.Contains(t, line, "lookup failed: ", "%q", args)
	}
}

// A name service that is down may know the account: "daemon", which the files
// have, must not be taken for it.
func TestAFailedLookupIsNoReasonForTheDefault(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	if !findsByLibc() {
		withGetent(t, `case "$1 $2" in "passwd x1" | "group x2") kill -9 $$ ;; *) exit 2 ;; esac`)
		for _, name := range []string{"x1", "x2"} {
			a, err := resolveAccount(name, "", "")
			assert.ErrorContains(t, err, "lookup failed: ", "%+v", a)
			assert.False(t, isConfigError(err))
		}
		return
	}
	if isMusl() {
		t.Skip("needs a libc with name services: musl has none")
	}
	testbed.ExtraUsers(t, "x1:x:7011:7012::/home/x1:/bin/sh\n", "x1:x:7012:\n")
	for _, file := range []string{"passwd", "group"} {
		path := "/var/lib/extrausers/" + file
		require.NoError(t, errors.Join(os.Chmod(path, 0), os.Chown(path, 7001, 7002)))
		line, _ := becoming(t, through(t, asRoot("-name=x1"), "--bounding-set=-dac_override,-dac_read_search"))
		assert.Regexp(t, `^failed: .*x1: lookup failed: get.*_r x1: permission denied`, line)
		require.NoError(t, os.Chmod(path, 0o644))
	}
}

func TestGroupLinesOfAnyLengthAreFound(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	testbed.Accounts(t, "last:x:7001:7002:"+strings.Repeat("g", 70_000)+":/:\n",
		"big:x:7003:"+testbed.Members(8500)+",last\nmega:x:7004:"+testbed.Members(200_000)+",last\nlast:x:7002:\n")
	p, err := Getpwnam("last")
	require.NoError(t, err)
	assert.Len(t, p.Gecos, 70_000)
	for name, members := range map[string]int{"last": 0, "big": 8501, "mega": 200_001} {
		g, err := Getgrnam(name)
		require.NoError(t, err)
		require.Len(t, g.Members, members)
		if members > 0 {
			assert.Equal(t, "m000000", g.Members[0])
			assert.Equal(t, "last", g.Members[members-1])
		}
	}
	groups, err := sysGetgrouplist("last", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{7002, 7003, 7004}, groups)
}

func TestMoreGroupsThanTheFirstBufferHas(t *testing.T) {
	if !testbed.Isolate(t) {
		return
	}
	var b strings.Builder
	want := []int{7002}
	for i := range 3000 {
		fmt.Fprintf(&b, "g%d:x:%d:a,www\n", i, 10000+i)
		want = append(want, 10000+i)
	}
	testbed.Accounts(t, testPasswd, b.String())
	groups, err := sysGetgrouplist("www", 7002)
	require.NoError(t, err)
	assert.ElementsMatch(t, want, groups)
}

func TestMalformedLinesAreSkipped(t *testing.T) {
	if isMusl() {
		t.Skip("needs glibc, or no cgo: musl skips more, and takes 4294967296 for 0")
	}
	if !testbed.Isolate(t) {
		return
	}
	lines := []string{
		"a0", "a1:", "a2:x", "a3:x:", "a4:x:7", "a5:x:7:", "a6:x:7:8", "a7:x:7:8:", "a8:x:7:8:g:h:s:t", "a9:x:0day:8:::",
		"b0:x:0x0:8:::", "b1:x:: 8:::", "b2:x: 7:\t8:::", "b3:x:+7:8:::", "b4:x:7 :8:::", "b5:x:99999999999:8:::", "b6:x:-1:8:::",
		"  b7:x:7:8:::", "#b8:x:7:8:::", "+b9:x:7:8:::", "-c0:x:7:8:::", "c1 :x:7:8:::", "c2:x:7:8:::\r", "c3:x:4294967296:8:::",
		"", ":::::", "\x00c4:x:7:8:::", "c5:x:7:8:g\x00rest:h:s", "c6:x:7:8:\xff\xfe:h:s", "c7:x:1:1:first::", "c7:x:2:2:second::",
		strings.Repeat("long", 20_000), "c8:x:7:8:last:h:s",
	}
	testbed.Accounts(t, strings.Join(lines, "\n"), strings.Join(lines, "\n"))
	GetentPaths = nil
	found := 0
	for _, line := range lines {
		name, _, _ := strings.Cut(strings.TrimLeft(line, " #+-\x00"), ":")
		for _, name := range []string{name, "+" + name, "#" + name} {
			p, err := Getpwnam(name)
			g, gerr := Getgrnam(name)
			assert.Equal(t, err != nil, unknown(err), "%q: %v", line, err)
			assert.Equal(t, gerr != nil, unknown(gerr), "%q: %v", line, gerr)
			if p != nil {
				found++
			}
			if name == "" || name[0] == '+' {
				assert.Nil(t, p)
				continue
			}
			// Where Getpwnam is libc's, this compares the two halves.
			fp, _ := filesGetpwnam(name)
			fg, _ := filesGetgrnam(name)
			assert.Equal(t, fp, p, "%q", line)
			assert.Equal(t, fg, g, "%q", line)
		}
	}
	assert.Equal(t, 13, found)
	p, err := Getpwnam("c7")
	require.NoError(t, err)
	assert.Equal(t, "first", p.Gecos, "the first of two counts")
}

func TestNobodyElseIsRefusedBeforeAnythingStarts(t *testing.T) {
	if !isolateAccounts(t) {
		return
	}
	as := func(args ...string) string {
		line, _ := becoming(t, asRoot(append([]string{"-uid=7001", "-gid=7002"}, args...)...))
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
