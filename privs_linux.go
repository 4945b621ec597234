// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother

package daemonize

// The drop on Linux: every thread, capabilities, no_new_privs, and the proof from /proc.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From <linux/securebits.h>.
const secbitKeepCaps, secbitNoSetuidFixup = 1 << 4, 1 << 2

// The calls that change every thread; x/sys/unix changes only this one.
var (
	_ func(groups []int) error = sysSetgroups
	_ func(r, e, s int) error  = sysSetresgid
	_ func(r, e, s int) error  = sysSetresuid
)

// setIDs sets the supplementary groups, and the real, effective and saved
// ids, of every thread.
func setIDs(a *account) error {
	uid, gid := a.uid, a.gid
	if err := sysSetgroups(a.groups); err != nil {
		return refused("setgroups", "CAP_SETGID", err)
	}
	if err := sysSetresgid(gid, gid, gid); err != nil {
		return refused("setresgid", "CAP_SETGID", err)
	}
	if err := sysSetresuid(uid, uid, uid); err != nil {
		return refused("setresuid", "CAP_SETUID", err)
	}
	return nil
}

// These change the calling thread alone: without libc's signals to all others they
// take microseconds, not a millisecond.

func threadSetgroups(gid int) error { return unix.Setgroups([]int{gid}) }

func threadSetgid(gid int) error { return rawCall(unix.SYS_SETGID, gid) }

func threadSetuid(uid int) error { return rawCall(unix.SYS_SETUID, uid) }

func rawCall(nr uintptr, id int) error {
	if _, _, e := unix.RawSyscall(nr, uintptr(id), 0, 0); e != 0 {
		return e
	}
	return nil
}

// canRegainRoot is true if a process that is not root can be so at any time.
func canRegainRoot() bool {
	real, _, saved := unix.Getresuid()
	return real == 0 || saved == 0
}

// checkCapabilitiesClear refuses to start what capabilities(7) says would not end:
// with these securebits a setuid leaves the capabilities as they are, and
// inheritable ones come back with the next program whose file has them,
// unless no_new_privs forbids that. The ambient ones the kernel clears.
func checkCapabilitiesClear(allowNewPrivs bool) error {
	bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	if err != nil && err != unix.EINVAL { // EINVAL: a kernel without them, as gVisor's
		return os.NewSyscallError("prctl PR_GET_SECUREBITS", err)
	}
	if bits&(secbitKeepCaps|secbitNoSetuidFixup) != 0 {
		return fmt.Errorf("capabilities would survive: securebits are %#x, with SECBIT_KEEP_CAPS or SECBIT_NO_SETUID_FIXUP: start without them", bits)
	}
	caps, err := ownCaps()
	if err != nil {
		return err
	}
	if inheritable := caps[0].Inheritable | caps[1].Inheritable; inheritable != 0 && allowNewPrivs {
		return errors.New("capabilities would survive: some are inheritable: start without them (setpriv --inh-caps=-all), or with no_new_privs")
	}
	return nil
}

// ownCaps reads the capabilities of the calling thread.
func ownCaps() (caps [2]unix.CapUserData, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return caps, os.NewSyscallError("capget", unix.Capget(&header, &caps[0]))
}

// setNoNewPrivs sets PR_SET_NO_NEW_PRIVS on every thread.
//
// In a program with cgo, whichever backend of this library it uses, Go doesn't
// reach threads that C made and refuses AllThreadsSyscall. There the one call
// that changes other threads is seccomp(2) with SECCOMP_FILTER_FLAG_TSYNC: it
// gives them the caller's filter, here one that allows everything, and the
// caller's no_new_privs with it.
func setNoNewPrivs() error {
	_, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if e == 0 {
		return nil
	}
	if e != syscall.ENOTSUP {
		return os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", e)
	}
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && set == 1 && // so look at all
		everyThread(func(s threadStatus) error { return s.want("NoNewPrivs", "1") }) == nil {
		return nil // set before the program started: no need of the filter
	}
	runtime.LockOSThread() // prctl and seccomp must be one thread's
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", err)
	}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	program := unix.SockFprog{Len: 1, Filter: &allow}
	// Without SPEC_ALLOW (Linux 4.17) kernels before 5.16 slow such threads down.
	for _, flags := range []uintptr{unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, unix.SECCOMP_FILTER_FLAG_TSYNC} {
		tid, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
		switch {
		case e == unix.EINVAL:
			continue
		case e != 0:
			return fmt.Errorf("no_new_privs for every thread: %w; allow seccomp(2), set it before the start (setpriv --no-new-privs), or do without it", os.NewSyscallError("seccomp", e))
		case tid != 0:
			return fmt.Errorf("no_new_privs for every thread: thread %d has a seccomp filter of its own: set no_new_privs before it", tid)
		}
		return nil
	}
	return errors.New("no_new_privs for every thread: this kernel's seccomp(2) has no SECCOMP_FILTER_FLAG_TSYNC: set it before the start (setpriv --no-new-privs), or do without it")
}

// lacksSeccomp is true where setNoNewPrivs would fail later: C is in the program, and
// seccomp(2) is refused, as by qemu-user and some sandboxes. Without a filter seccomp
// answers EFAULT where it is allowed.
func lacksSeccomp() bool {
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); e != syscall.ENOTSUP {
		return false
	}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, 0)
	return e != unix.EFAULT
}

// withNoNewPrivs calls f in a thread that has no_new_privs, for what it starts. The
// thread ends with its goroutine: the process stays as it is.
func withNoNewPrivs(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		err := os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// threadStatus is the text of a /proc/PID/status.
type threadStatus string

// get returns a line's value, its fields with one space between them.
func (s threadStatus) get(key string) (value string, there bool) {
	_, rest, there := strings.Cut(string(s), "\n"+key+":")
	value, _, _ = strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(value), " "), there
}

// want compares a line.
func (s threadStatus) want(key, value string) error {
	if got, there := s.get(key); !there || got != value {
		return fmt.Errorf("%s is %q, not %q", key, got, value)
	}
	return nil
}

// everyThread shows check the status of each thread. Without /proc the error is
// fs.ErrNotExist.
func everyThread(check func(threadStatus) error) error {
	const dir = "/proc/self/task/"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	seen := 0
	for _, thread := range threads {
		text, err := readProc(dir + thread.Name() + "/status")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err == nil {
			err = check(threadStatus(text))
		}
		if err != nil {
			return fmt.Errorf("thread %s: %w", thread.Name(), err)
		}
		seen++
	}
	if seen == 0 {
		return errors.New(dir + " has no threads")
	}
	return nil
}

// verify reads back who every thread is. Without /proc, only the calling
// thread can be asked; the calls above have changed all or failed.
func (a *account) verify(noNewPrivs bool) error {
	err := everyThread(func(s threadStatus) error { return a.verifyStatus(s, noNewPrivs) })
	if errors.Is(err, fs.ErrNotExist) {
		return a.verifySelf(noNewPrivs)
	}
	return err
}

func (a *account) verifyStatus(s threadStatus, noNewPrivs bool) error {
	four := func(id int) string { return strings.TrimSuffix(strings.Repeat(strconv.Itoa(id)+" ", 4), " ") }
	if err := s.want("Uid", four(a.uid)); err != nil {
		return err
	}
	if err := s.want("Gid", four(a.gid)); err != nil {
		return err
	}
	listed, there := s.get("Groups")
	var groups []int
	for _, f := range strings.Fields(listed) {
		g, err := strconv.Atoi(f)
		if err != nil {
			return err
		}
		groups = append(groups, g)
	}
	if !there || !a.sameGroups(groups) {
		return fmt.Errorf("groups are %v, not %v", groups, a.groups)
	}
	if a.uid == 0 {
		return nil
	}
	none := []string{"CapPrm", "CapEff"}
	if _, there := s.get("CapAmb"); there { // Linux 4.3
		none = append(none, "CapAmb")
	}
	if _, there := s.get("NoNewPrivs"); noNewPrivs && !there {
		// Linux before 4.10, and gVisor: this thread can be asked. setNoNewPrivs has set all or failed.
		if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set != 1 {
			return fmt.Errorf("no_new_privs is %d (%v), not 1", set, err)
		}
	} else if noNewPrivs {
		if err := s.want("NoNewPrivs", "1"); err != nil {
			return err
		}
	} else {
		none = append(none, "CapInh") // without effect under no_new_privs
	}
	for _, key := range none {
		if err := s.want(key, "0000000000000000"); err != nil {
			return err
		}
	}
	return nil
}

func (a *account) verifySelf(noNewPrivs bool) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if r, e, s := unix.Getresuid(); r != a.uid || e != a.uid || s != a.uid {
		return fmt.Errorf("uids are %d %d %d, not %d", r, e, s, a.uid)
	}
	if r, e, s := unix.Getresgid(); r != a.gid || e != a.gid || s != a.gid {
		return fmt.Errorf("gids are %d %d %d, not %d", r, e, s, a.gid)
	}
	if groups, err := syscall.Getgroups(); err != nil || !a.sameGroups(groups) {
		return fmt.Errorf("groups are %v (%v), not %v", groups, err, a.groups)
	}
	if a.uid == 0 {
		return nil
	}
	caps, err := ownCaps()
	if err != nil {
		return err
	}
	for _, c := range caps { // ambient ones are permitted ones as well
		if c.Permitted|c.Effective != 0 || c.Inheritable != 0 && !noNewPrivs {
			return fmt.Errorf("capabilities are %+v, not none", caps)
		}
	}
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); noNewPrivs && (err != nil || set != 1) {
		return fmt.Errorf("no_new_privs is %d (%v), not 1", set, err)
	}
	return nil
}
