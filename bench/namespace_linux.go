// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const envNamespace = "BENCH_NAMESPACE"

// ownNamespace calls f in a PID and mount namespace, where orphans are reaped
// at once, no syslogd listens, /run is empty and accounts come from the files alone;
// without root, right here.
func ownNamespace(f func() (bool, error)) (within bool, err error) {
	switch {
	case os.Getpid() == 1:
		os.Exit(namespaceInit())
	case os.Getuid() != 0 || os.Getenv(envNamespace) != "":
		return f()
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	signal.Ignore(os.Interrupt) // the terminal sends it to the child, too
	runtime.LockOSThread()      // Pdeathsig is the death of this thread
	within, err = verdict(c)
	if c.ProcessState == nil {
		err = fmt.Errorf("no namespaces: %w: run it as an ordinary user", err)
	}
	return within, err
}

// namespaceInit is PID 1: it runs this command once more and reaps orphans.
func namespaceInit() int {
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"tmpfs", "/run", "tmpfs", 0}, // systemd's /dev/log leads there
	} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			fmt.Fprintf(os.Stderr, "bench: mount %s: %v\n", m.target, err)
			return 2
		}
	}
	if info, err := os.Lstat("/dev/log"); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = unix.Mount("/dev/null", "/dev/log", "", unix.MS_BIND, "") // a daemon's syslog(3) fails at once
	}
	if err := onlyAccountFiles(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	os.Setenv(envNamespace, "1")
	p, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	for {
		var status unix.WaitStatus
		switch pid, err := unix.Wait4(-1, &status, 0, nil); {
		case err == unix.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "bench: wait4:", err)
			return 2
		case pid == p.Pid && status.Signaled():
			return 228 + int(status.Signal())
		case pid == p.Pid:
			return status.ExitStatus()
		}
	}
}

// onlyAccountFiles takes other name services, which cost what they cost, out of
// nsswitch.conf(5).
func onlyAccountFiles() error {
	const nsswitch, files = "/etc/nsswitch.conf", "/run/nsswitch.conf"
	if _, err := os.Stat(nsswitch); err != nil {
		return nil
	}
	if err := os.WriteFile(files, []byte("passwd: files\ngroup: files\n"), 0o644); err != nil {
		return err
	}
	return os.NewSyscallError("mount "+nsswitch, unix.Mount(files, nsswitch, "", unix.MS_BIND, ""))
}
