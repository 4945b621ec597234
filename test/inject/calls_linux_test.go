// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package inject_test

// What is injected: the errnos of each system call, and the calls of which nothing but the
// truth is asked.

import (
	"regexp"
	"strings"
)

// errnos are what the manual page of the call allows there; "" is none: such a call is delayed,
// and its process killed there. A call that is not listed fails the test.
//
// Not EAGAIN for what reads and writes: the kernel answers so where it will wake the process
// later. strace answers so where there is nothing to wait for.
var errnos = map[string]string{
	// Files.
	"access": "EACCES ENOMEM", "faccessat2": "EACCES ENOMEM", "chdir": "EACCES ENOENT ENOMEM",
	"fchdir": "EACCES", "openat": "EACCES EINTR EMFILE ENFILE ENOMEM ENOSPC EROFS EPERM",
	"readlinkat": "EACCES EIO ENOMEM", "readlink": "EACCES EIO ENOMEM",
	"getcwd": "ENOENT ENOMEM", "fstat": "ENOMEM EIO", "newfstatat": "EACCES ENOMEM",
	"stat": "EACCES ENOMEM", "lstat": "EACCES ENOMEM", "statx": "EACCES ENOMEM",
	"statfs": "EACCES EIO ENOSYS", "fchmod": "EIO EPERM EROFS", "ftruncate": "EIO EINTR EPERM",
	"unlinkat": "EACCES EBUSY EIO EPERM EROFS", "getdents64": "EIO ENOENT", "lseek": "ESPIPE",
	"flock": "EINTR ENOLCK EAGAIN", "fcntl": "EACCES EAGAIN EINTR EMFILE ENOLCK EPERM",
	"dup2": "EBUSY EINTR EMFILE", "dup3": "EBUSY EINTR EMFILE", "ioctl": "ENOTTY",
	"read": "EINTR EIO", "pread64": "EINTR EIO", "write": "EINTR EIO ENOSPC EPIPE",
	"writev": "EINTR EIO", "umask": "", "fsync": "EIO", "fadvise64": "EINVAL",
	// Linux closes the descriptor whatever close(2) returns (its NOTES); strace would leave it open.
	"close": "", "close_range": "ENOMEM ENOSYS",
	// Sockets and pipes.
	"socketpair": "EMFILE ENFILE", "socket": "EACCES EMFILE ENFILE ENOBUFS",
	"pipe2": "EMFILE ENFILE", "connect": "EACCES ECONNREFUSED EINTR ENOENT",
	"sendto": "ECONNRESET EINTR ENOBUFS EPIPE", "sendmsg": "EINTR ENOBUFS ETOOMANYREFS",
	"recvmsg": "EINTR ENOMEM", "recvfrom": "EINTR ENOMEM", "getsockopt": "ENOBUFS",
	"setsockopt": "ENOBUFS ENOMEM", "getsockname": "ENOBUFS", "getpeername": "ENOBUFS ENOTCONN",
	"poll": "EINTR ENOMEM", "ppoll": "EINTR ENOMEM", "bind": "EADDRINUSE",
	// Processes and privileges.
	"execve": "EACCES EIO ENOENT ENOMEM EAGAIN", "wait4": "ECHILD EINTR",
	"waitid": "ECHILD EINTR ENOSYS", "pidfd_open": "EMFILE ENODEV ENOMEM ENOSYS EPERM",
	"pidfd_send_signal": "ENOSYS EPERM ESRCH", "kill": "EPERM", "setsid": "EPERM",
	"setpgid": "EPERM", "getsid": "EPERM", "keyctl": "EACCES ENOMEM ENOSYS",
	"prctl": "EINVAL EPERM", "setuid": "EAGAIN EPERM", "setgid": "EPERM",
	"setgroups": "ENOMEM EPERM", "setresuid": "EAGAIN EPERM", "setresgid": "EAGAIN EPERM",
	"setreuid": "EAGAIN EPERM", "setregid": "EPERM", "getgroups": "EINVAL", "capget": "EPERM",
	"capset": "EPERM", "seccomp": "EACCES ENOMEM ENOSYS", "getresuid": "", "getresgid": "",
	"getpid": "", "getppid": "", "getuid": "", "geteuid": "", "getgid": "", "getegid": "",
	"gettid": "", "uname": "", "clock_gettime": "EINVAL", "sysinfo": "EFAULT",
	"setrlimit": "EPERM",
	// The Go runtime's, the loader's and libc's own. Not tgkill: glibc's setuid(3), and Go's, wait
	// for ever for a thread that they cannot signal.
	"mmap": "ENOMEM", "munmap": "ENOMEM", "mprotect": "ENOMEM", "madvise": "EAGAIN",
	"mincore": "EAGAIN", "mremap": "ENOMEM", "brk": "ENOMEM", "futex": "EAGAIN EINTR",
	"clone": "EAGAIN ENOMEM", "clone3": "EAGAIN ENOMEM ENOSYS", "vfork": "EAGAIN ENOMEM",
	"fork": "EAGAIN ENOMEM", "rt_sigaction": "EINVAL", "rt_sigprocmask": "EINVAL",
	"sigaltstack": "ENOMEM", "rt_sigreturn": "", "sched_getaffinity": "ESRCH",
	"sched_yield": "", "epoll_create1": "EMFILE ENFILE ENOMEM", "epoll_ctl": "ENOMEM ENOSPC",
	"epoll_pwait": "EINTR", "eventfd2": "EMFILE ENFILE ENOMEM", "nanosleep": "EINTR",
	"clock_nanosleep": "EINTR", "prlimit64": "EPERM", "getrandom": "EAGAIN EINTR ENOSYS",
	"tgkill": "", "set_robust_list": "EINVAL", "set_tid_address": "",
	"arch_prctl": "EINVAL", "rseq": "ENOSYS", "restart_syscall": "", "exit": "",
	"exit_group": "", "timer_create": "EAGAIN", "timer_settime": "EINVAL",
	"timer_delete": "EINVAL", "getitimer": "EINVAL", "setitimer": "EINVAL",
}

// ofRuntime are the calls of which a message is not asked: a runtime, a loader or a libc that
// cannot have memory or threads ends the process as it can.
var ofRuntime = map[string]bool{}

func init() {
	for call := range strings.FieldsSeq(`mmap munmap mprotect madvise mincore mremap brk futex clone3
		rt_sigaction rt_sigprocmask sigaltstack rt_sigreturn sched_getaffinity sched_yield epoll_create1 epoll_ctl
		epoll_pwait eventfd2 nanosleep clock_nanosleep prlimit64 getrandom tgkill gettid set_robust_list
		set_tid_address arch_prctl rseq restart_syscall exit exit_group timer_create timer_settime timer_delete
		getitimer setitimer`) {
		ofRuntime[call] = true
	}
}

// runtimeCalls is how many of a thread's calls of the same kind are injected, if they are the
// runtime's: there are hundreds, of which no two runs have the same number.
const runtimeCalls = 8

// A thread that a Go runtime without libc makes.
var newThread = regexp.MustCompile(`clone\(.*CLONE_THREAD.*INJECTED`)

// excuse is why a case may fall.
type excuse struct {
	call, action string         // "" is any
	says         string         // on standard error
	trace        *regexp.Regexp // what was injected; nil is anything
	why          string
}

var excuses = []excuse{
	{call: "fcntl", trace: regexp.MustCompile(`F_[GS]ET(FD|FL).*INJECTED`),
		why: "fcntl(2) of flags fails by EBADF alone; Go ends a process that cannot look at 0, 1 or 2"},
	{call: "read", action: "EIO", trace: regexp.MustCompile(`read\(\d+<pipe:\[\d+\]>, 0x\w+, 8\) += -1 EIO.*INJECTED`),
		why: "read(2) of a pipe has no EIO; Go reads its new process's errno from one, then waits for its end"},
	{call: "pidfd_send_signal", action: "ESRCH",
		why: "the kernel says of a pidfd that its process has ended: there is nobody else to ask"},
	{call: "write", action: "EPIPE", trace: regexp.MustCompile(`(?s)write\(1<.*= -1 EPIPE .*INJECTED.*killed by SIGPIPE`),
		why: "nobody reads standard output: Go ends a process with SIGPIPE that writes to it then, as Unix does"},
	{call: "write", trace: regexp.MustCompile(`write\(2<.*INJECTED`),
		why: "it is the message itself that could not be written"},
	{call: "write", says: "runtime: netpollBreak write failed",
		why: "the Go runtime ends a process that cannot write to its own eventfd"},
	{says: "AllThreadsSyscall6 results differ between threads",
		why: "the Go runtime ends a process in which a call that is made in all threads failed in one"},
	{says: "runtime: panic before malloc heap initialized",
		why: "the Go runtime ends before any Go code: it cannot read /proc/self/auxv"},
}
