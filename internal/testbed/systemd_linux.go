// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	stageCgroup  = "systemd-cgroup" // in a control group of its own, to be the root of the next stage's
	stageMounts  = "systemd-mounts" // PID 1, about to become systemd
	stageSystemd = "systemd"        // the test, as a unit
	envOut       = "TESTBED_OUT"    // directory shared with the booted system
	systemd      = "/lib/systemd/systemd"
	cannotBoot   = 96
)

// Systemd runs the test again as a unit of a real systemd, which is PID 1 of
// namespaces of its own and has an overlay over / as its root, so that nothing the test
// writes stays. Files are copied there first: where to, and from where. It is true in
// there, as root, and false outside:
//
//	if !testbed.Systemd(t, files) {
//		return
//	}
//
// It skips without root, and where systemd is not installed. files is called outside only.
func Systemd(t *testing.T, files func() map[string]string) bool {
	t.Helper()
	if os.Getenv(envStage) == stageSystemd {
		return os.Getenv(envTest) == t.Name()
	}
	t.Parallel()
	NeedRoot(t)
	if _, err := os.Stat(systemd); err != nil {
		t.Skipf("needs %s: apt-get install systemd", systemd)
	}
	out := t.TempDir()
	put := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(out, name), []byte(text), 0o755))
	}
	var list strings.Builder
	for to, from := range files() {
		fmt.Fprintf(&list, "%s\t%s\n", to, from)
	}
	put("files", list.String())
	put("run", fmt.Sprintf("#!/bin/sh\n%s=%s %s=%s exec /opt/testbed.test -test.run='%s' -test.v\n", envStage, stageSystemd, envTest, t.Name(), pattern(t.Name())))
	put("unit", `[Unit]
Requires=basic.target systemd-journald.service
After=basic.target
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
TimeoutStartSec=150
ExecStart=/opt/out/run
StandardOutput=truncate:/opt/out/result
StandardError=inherit
`)
	c := exec.Command(self())
	c.Env = append(os.Environ(), envStage+"="+stageCgroup, envOut+"="+out)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // see Isolate
	defer runtime.UnlockOSThread()
	var console strings.Builder
	c.Stdout, c.Stderr = &console, &console
	require.NoError(t, c.Start())
	err := c.Wait()
	removeCgroups(t, c.Process.Pid)
	if c.ProcessState.ExitCode() == cannotBoot {
		t.Skipf("cannot boot systemd here: %s", console.String())
	}
	result, _ := os.ReadFile(filepath.Join(out, "result"))
	text := string(result)
	if err != nil || !strings.Contains(text, "--- PASS: "+t.Name()+" (") {
		t.Fatalf("under systemd (%v):\n%s%s", err, console.String(), text)
	}
	if testing.Verbose() {
		t.Logf("%s", text)
	}
	return false
}

// systemdStage is what this process was started to be on the way there.
func systemdStage() {
	var err error
	switch os.Getenv(envStage) {
	default:
		return
	case stageCgroup:
		err = cgroupStage()
	case stageMounts:
		err = mountsStage()
	}
	fmt.Fprintln(os.Stderr, "testbed: systemd:", err)
	os.Exit(cannotBoot)
}

// cgroupRoots are the hierarchies that systemd may want: unified, or beside it the
// old kind's.
func cgroupRoots() []string {
	var found []string
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		if _, err := os.Stat(dir + "/cgroup.procs"); err == nil {
			found = append(found, dir)
		}
	}
	return found
}

func cgroupName(pid int) string { return fmt.Sprintf("testbed-%d", pid) }

func removeCgroups(t *testing.T, pid int) {
	for _, root := range cgroupRoots() {
		top := filepath.Join(root, cgroupName(pid))
		Eventually(t, func() bool {
			var dirs []string
			_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for i := len(dirs) - 1; i >= 0; i-- {
				_ = unix.Rmdir(dirs[i])
			}
			_, err := os.Stat(top)
			return errors.Is(err, os.ErrNotExist)
		}, "%s to become empty", top)
	}
}

func cgroupStage() error {
	for _, root := range cgroupRoots() {
		dir := filepath.Join(root, cgroupName(os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/cgroup.procs", fmt.Append(nil, os.Getpid()), 0); err != nil {
			return err
		}
	}
	c := exec.Command(self())
	c.Env = append(os.Environ(), envStage+"="+stageMounts)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // see Isolate
	if err := c.Start(); err != nil {
		return err
	}
	deadline := time.AfterFunc(180*time.Second, func() { _ = c.Process.Kill() })
	defer deadline.Stop()
	_ = c.Wait()
	os.Exit(c.ProcessState.ExitCode())
	return nil
}

// mountsStage lays out the root and becomes systemd. /proc/sys and /sys are
// read-only: systemd would set the kernel's settings.
func mountsStage() error {
	out := os.Getenv(envOut)
	top := filepath.Join(out, "top")
	root := filepath.Join(top, "root")
	var failed error
	try := func(what string, err error) {
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", what, err)
		}
	}
	mount := func(source, target, fstype string, flags uintptr, data string) {
		if failed == nil {
			try("mount "+target, unix.Mount(source, target, fstype, flags, data))
		}
	}
	dir := func(names ...string) {
		for _, name := range names {
			if failed == nil {
				try("mkdir", os.MkdirAll(name, 0o755))
			}
		}
	}
	bind := func(source, target string) { // a file
		if f, err := os.OpenFile(target, os.O_CREATE, 0o755); err == nil {
			f.Close()
		}
		mount(source, target, "", unix.MS_BIND, "")
	}
	mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	dir(top)
	mount("tmpfs", top, "tmpfs", 0, "mode=755")
	dir(top+"/up", top+"/work", root)
	mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+top+"/up,workdir="+top+"/work")
	dir(root+"/opt/out", root+"/etc/systemd/system")
	mount(out, root+"/opt/out", "", unix.MS_BIND, "")
	bind(self(), root+"/opt/testbed.test")
	list, err := os.ReadFile(out + "/files")
	try("files", err)
	for line := range strings.Lines(string(list) + "/etc/systemd/system/testbed.service\t" + out + "/unit\n") {
		to, from, _ := strings.Cut(strings.TrimSpace(line), "\t")
		dir(filepath.Dir(root + to))
		try("copy", copyFile(root+to, from))
	}
	try("fstab", os.WriteFile(root+"/etc/fstab", nil, 0o644))
	_ = os.Remove(root + "/etc/machine-id")
	try("machine-id", os.WriteFile(root+"/etc/machine-id", []byte(strings.Repeat("7", 32)+"\n"), 0o444))

	mount("tmpfs", root+"/dev", "tmpfs", 0, "mode=755")
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		bind("/dev/"+name, root+"/dev/"+name)
	}
	bind("/dev/null", root+"/dev/console")
	dir(root+"/dev/pts", root+"/dev/shm")
	mount("devpts", root+"/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
	_ = os.Symlink("pts/ptmx", root+"/dev/ptmx")
	_ = os.Symlink("/proc/self/fd", root+"/dev/fd")
	mount("proc", root+"/proc", "proc", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, "")
	mount(root+"/proc/sys", root+"/proc/sys", "", unix.MS_BIND, "")
	mount("", root+"/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	if _, err := os.Stat(root + "/proc/sysrq-trigger"); err == nil {
		mount("/dev/null", root+"/proc/sysrq-trigger", "", unix.MS_BIND, "")
	}
	mount("sysfs", root+"/sys", "sysfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, "")
	mount("cgroup2", root+"/sys/fs/cgroup", "cgroup2", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, "")
	mount("tmpfs", root+"/run", "tmpfs", 0, "mode=755")
	mount("tmpfs", root+"/tmp", "tmpfs", 0, "mode=1777")
	dir(root + "/run/lock")
	if failed == nil {
		try("chdir", os.Chdir(root))
		try("pivot_root", unix.PivotRoot(".", "."))
		try("umount", unix.Unmount(".", unix.MNT_DETACH))
		try("chdir", os.Chdir("/"))
	}
	if failed != nil {
		return failed
	}
	runtime.LockOSThread()
	for _, c := range []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_SYS_RAWIO, unix.CAP_SYSLOG, unix.CAP_MKNOD} {
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
	}
	// It kills no process of the host, but would take its terminal.
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for fd := range 3 {
		_ = unix.Dup3(int(null.Fd()), fd, 0)
	}
	return syscall.Exec(systemd, []string{systemd, "--unit=testbed.service", "--log-target=journal", "--show-status=0"},
		[]string{"container=unshare", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
