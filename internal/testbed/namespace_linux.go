// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	envStage  = "TESTBED_STAGE" // stageInit: PID 1 of the namespace; stageIn: the test in it
	envTest   = "TESTBED_TEST"  // the test that was isolated
	envRoot   = "TESTBED_ROOT"  // "1": real root outside, not a user namespace's
	stageInit = "init"
	stageIn   = "in"

	exitNoMounts = 97 // of the namespace's init: a container without the right
)

// Isolate runs the test again in a mount, PID and network namespace of its
// own, with an empty /run, a private /dev that has no /dev/log and a FIFO
// as /dev/console. It is true in there and false outside, where the test
// has nothing left to do:
//
//	if !testbed.Isolate(t) {
//		return
//	}
//
// PID 1 in there reaps orphans at once, and all that the test leaves behind
// dies with it. Without root it uses a user namespace. Outside, the test runs side by side
// with the package's other tests that call Isolate.
func Isolate(t *testing.T) bool {
	t.Helper()
	if isIsolated(t) {
		return true
	}
	t.Parallel()
	return isolate(t, reexec)
}

// IsolateBothWays is Isolate for the promises of a start: the test runs
// once for each way to a daemon that this build has, or with -short by
// re-execution alone. See ForksFirst.
func IsolateBothWays(t *testing.T) bool {
	t.Helper()
	if isIsolated(t) {
		return true
	}
	t.Parallel()
	return isolate(t, reexec) || canForkFirst && !testing.Short() && isolate(t, forkFirst)
}

func isIsolated(t *testing.T) bool {
	return os.Getenv(envStage) == stageIn && os.Getenv(envTest) == t.Name()
}

// reason is what a skipped test has said last: "    file.go:12: needs so and so".
var reason = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`)

// isolate returns false, for Isolate.
func isolate(t *testing.T, way string) bool {
	t.Helper()
	c := exec.Command(self(), "-test.run="+pattern(t.Name()), "-test.v")
	for _, name := range []string{"test.timeout", "test.gocoverdir"} { // the latter is .ci/coverage's
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			c.Args = append(c.Args, "-"+name+"="+f.Value.String())
		}
	}
	if testing.Short() {
		c.Args = append(c.Args, "-test.short")
	}
	c.Env = append(os.Environ(), envStage+"="+stageInit, envTest+"="+t.Name(), envWay+"="+way, raceEnv())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() == 0 {
		c.Env = append(c.Env, envRoot+"=1")
	} else {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	// Pdeathsig is the death of the thread that forked, not of the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := c.CombinedOutput()
	text := string(out)
	if c.ProcessState == nil {
		if os.Geteuid() == 0 {
			t.Skipf("needs namespaces (%v), which root may not make here: docker run --privileged, or with CAP_SYS_ADMIN", err)
		}
		t.Skipf("needs root or user namespaces (%v): run it as root", err)
	}
	if c.ProcessState.ExitCode() == exitNoMounts {
		t.Skipf("needs root, or user namespaces that may mount: %s", text)
	}
	if err != nil {
		t.Fatalf("in its namespace, %s (%v):\n%s", way, err, text)
	}
	if before, _, skipped := strings.Cut(text, "--- SKIP: "+t.Name()+" ("); skipped {
		reasons := reason.FindAllStringSubmatch(before, -1)
		if len(reasons) == 0 {
			t.Fatalf("skipped without a reason:\n%s", text)
		}
		t.Skip(reasons[len(reasons)-1][1])
	}
	if !strings.Contains(text, "--- PASS: "+t.Name()+" (") {
		t.Fatalf("ran no test in its namespace:\n%s", text)
	}
	if testing.Verbose() {
		t.Logf("%s:\n%s", way, text)
	}
	return false
}

// NeedRoot skips the test unless it runs as real root, outside a user
// namespace.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getenv(envRoot) == "1" || os.Geteuid() == 0 && os.Getenv(envStage) == "" {
		return
	}
	t.Skipf("needs root: as root, go test -run '%s' %s", pattern(t.Name()), inModule())
}

// namespaceInit is PID 1 of the namespace: it mounts, starts the test, reaps
// what comes, and ends with the test's exit status.
func namespaceInit() {
	if err := mountAll(); err != nil {
		fmt.Fprintln(os.Stderr, "testbed: namespace:", err)
		os.Exit(exitNoMounts)
	}
	os.Setenv(envStage, stageIn)
	p, err := os.StartProcess(self(), os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "testbed: namespace:", err)
		os.Exit(98)
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "testbed: wait4:", err)
			os.Exit(98)
		case pid == p.Pid && status.Signaled():
			fmt.Fprintln(os.Stderr, "testbed: the test was killed:", status.Signal())
			os.Exit(98)
		case pid == p.Pid:
			os.Exit(status.ExitStatus())
		}
	}
}

// mountAll makes the mounts private, then lays /proc, /run and /dev anew.
func mountAll() error {
	mount := func(source, target, fstype string, flags uintptr, data string) error {
		if err := unix.Mount(source, target, fstype, flags, data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", source, target, err)
		}
		return nil
	}
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	dev, err := os.MkdirTemp("", "dev")
	if err != nil {
		return err
	}
	if err := mount("tmpfs", dev, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		node := filepath.Join(dev, name)
		if err := os.WriteFile(node, nil, 0o600); err != nil {
			return err
		}
		if err := mount("/dev/"+name, node, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	// LOG_CONS writes with O_NOCTTY to whatever is there: each message would
	// overwrite the last one in a plain file.
	if err := unix.Mkfifo(filepath.Join(dev, "console"), 0o600); err != nil {
		return err
	}
	for _, link := range [][2]string{{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}} {
		if err := os.Symlink(link[0], filepath.Join(dev, link[1])); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dev, "pts"), 0o755); err != nil {
		return err
	}
	_ = unix.Mount("/dev/pts", filepath.Join(dev, "pts"), "", unix.MS_BIND|unix.MS_REC, "") // no terminals here: tests that need one say so
	if err := mount(dev, "/dev", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Unmount(dev, unix.MNT_DETACH); err != nil {
		return err
	}
	_ = os.Remove(dev)
	if err := mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	return loopbackUp()
}

// loopbackUp sets lo up: a new network namespace starts with it down.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request))
}
