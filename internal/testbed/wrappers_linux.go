// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// UntilTerm is what helper daemons do for a living.
func UntilTerm() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	<-ctx.Done()
}

// ExecHelper becomes another helper, with all descriptors.
func ExecHelper(args []string) {
	c := Command(args[0], args[1:]...)
	c.Env = slices.DeleteFunc(c.Env, func(v string) bool { // the first one would count
		return strings.HasPrefix(v, envHelper+"=") && v != envHelper+"="+args[0]
	})
	for fd := 3; fd < 100; fd++ {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	panic(unix.Exec(c.Path, c.Args, c.Env))
}

// These helpers change something about the process, then become another helper. Their first
// arguments say what; the other helper and its arguments follow.
var _ = []bool{
	Helper("without", func() { // system calls that do not exist: their numbers, or nothing
		refuse(unix.ENOSYS, os.Args[1])
		ExecHelper(os.Args[2:])
	}),
	Helper("failing", func() { // system calls that fail: the errno, their numbers
		refuse(unix.Errno(Must(strconv.Atoi(os.Args[1]))), os.Args[2])
		ExecHelper(os.Args[3:])
	}),
	Helper("without-capability", func() { // its number
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(Must(strconv.Atoi(os.Args[1]))), 0, 0, 0); err != nil {
			panic(err)
		}
		ExecHelper(os.Args[2:])
	}),
	Helper("limited", limited(unix.RLIMIT_NOFILE)),      // how many descriptors
	Helper("few-processes", limited(unix.RLIMIT_NPROC)), // how many processes and threads of the user
	Helper("shut", func() { // which of descriptors 0 to 2 to close
		for _, c := range os.Args[1] {
			unix.Close(int(c - '0'))
		}
		ExecHelper(os.Args[2:])
	}),
	Helper("dirty", func() { // every signal blocked; HUP, PIPE, USR1 and TERM ignored, as some parents do
		signal.Ignore(unix.SIGHUP, unix.SIGPIPE, unix.SIGUSR1, unix.SIGTERM)
		var all unix.Sigset_t
		for i := range all.Val {
			all.Val[i] = ^all.Val[i]
		}
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
			panic(err)
		}
		ExecHelper(os.Args[1:])
	}),
	Helper("cannot-fork", func() { // fork(2), not the clone(2) of os.StartProcess, fails with EAGAIN
		Refuse(unix.EAGAIN, &Argument{Index: 0, Mask: unix.CLONE_VM, Value: 0}, unix.SYS_CLONE)
		if runtime.GOARCH == "amd64" {
			const fork = 57 // musl's; newer processors have none
			Refuse(unix.EAGAIN, nil, fork)
		}
		ExecHelper(os.Args[1:])
	}),
}

func refuse(errno unix.Errno, numbers string) {
	for _, nr := range strings.FieldsFunc(numbers, func(r rune) bool { return r == ',' }) {
		Refuse(errno, nil, Must(strconv.Atoi(nr)))
	}
}

func limited(resource int) func() {
	return func() {
		n := uint64(Must(strconv.Atoi(os.Args[1])))
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			panic(fmt.Errorf("setrlimit: %w", err))
		}
		ExecHelper(os.Args[2:])
	}
}
