// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && cgo && !daemonizego

/*
 * setxid_musl.c: changes the ids of every thread, over musl before 1.2.4.
 *
 * It can be deleted once no musl before 1.2.4 must be supported. Alpine has
 * 1.2.4 from 3.18 on, Debian 1.2.5 from 13 (trixie) on; Debian 12 has 1.2.3.
 * Then privs_nocgo.go serves both builds. If it is deleted too early, about one
 * start in ten of a service that root starts dies of SIGSEGV while it drops its
 * privileges: the legs "musl" of .ci/run see that.
 */
#define _GNU_SOURCE /* syscall */

#include "setxid_musl.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__) && !defined(__GLIBC__)
/* The kernel changes one thread's ids. musl before 1.2.4 has the other threads
 * do it in a signal handler without SA_ONSTACK: where Go code sleeps in a
 * system call, the frame lands on a goroutine's stack of 2 KiB and beyond
 * (golang.org/issue/39857). So here is the same with SA_ONSTACK. */

/* What every thread is to call. Its turn number is for the thread to know
 * that it has, and the handler's answer: 0 to ask, then an errno or one of
 * these. One thread at a time is asked, by a signal of its own. */
static struct {
	long number, arg[3];
	int turn, thread, answer;
} request;
enum { CHANGED = -1, HAD_CHANGED = -2 };
static __thread int last_turn;

static int apply(void)
{
	if (last_turn == request.turn)
		return HAD_CHANGED;
	if (syscall(request.number, request.arg[0], request.arg[1], request.arg[2]) != 0)
		return errno;
	last_turn = request.turn;
	return CHANGED;
}

static void on_request(int sig)
{
	int saved = errno;

	(void)sig;
	if (__atomic_load_n(&request.thread, __ATOMIC_ACQUIRE) == (int)syscall(SYS_gettid)) {
		request.thread = 0;
		__atomic_store_n(&request.answer, apply(), __ATOMIC_RELEASE);
	}
	errno = saved;
}

/* musl keeps 32 to 34 for itself: sigaction(3) refuses them, and no thread can block
 * them, which is why Go leaves them open as well. */
#define REQUEST_SIGNAL 34

/* struct sigaction as the kernel has it, in which order and with which
 * restorer is musl's to know: we only carry it. */
/* cppcheck-suppress unusedStructMember */
struct raw_action { unsigned char bytes[128]; /* the largest has 32 */ };

static int raw_sigaction(int sig, const struct raw_action *new, struct raw_action *old)
{
	return syscall(SYS_rt_sigaction, sig, new, old, _NSIG / 8) == 0 ? 0 : errno;
}

/* Has musl build the kernel's struct for another signal, and moves it. */
static int catch_requests(struct raw_action *before)
{
	struct sigaction sa = { 0 };
	struct raw_action ours, other;
	int e;

	sa.sa_handler = on_request;
	sa.sa_flags = SA_ONSTACK | SA_RESTART;
	sigfillset(&sa.sa_mask);
	if ((e = raw_sigaction(SIGRTMAX, NULL, &other)) != 0)
		return e;
	if (sigaction(SIGRTMAX, &sa, NULL) != 0)
		return errno;
	e = raw_sigaction(SIGRTMAX, NULL, &ours);
	if (e == 0)
		e = raw_sigaction(SIGRTMAX, &other, NULL);
	return e != 0 ? e : raw_sigaction(REQUEST_SIGNAL, &ours, before);
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Has one other thread apply the request. A thread that has ended has changed enough. */
static int ask_thread(int thread, long long deadline)
{
	const struct timespec moment = { 0, 20000 };
	int answer;

	request.answer = 0;
	__atomic_store_n(&request.thread, thread, __ATOMIC_RELEASE);
	if (syscall(SYS_tgkill, getpid(), thread, REQUEST_SIGNAL) != 0)
		return errno == ESRCH ? HAD_CHANGED : errno;
	while ((answer = __atomic_load_n(&request.answer, __ATOMIC_ACQUIRE)) == 0) {
		if (syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH)
			return HAD_CHANGED;
		if (now_ms() > deadline)
			return ETIMEDOUT;
		nanosleep(&moment, NULL);
	}
	return answer;
}

/* Has all other threads apply the request that are listed: 0 if all had before, CHANGED, or
 * an errno. ENOENT if we are not listed: that /proc is another PID namespace's. */
static int ask_listed(DIR *threads, long long deadline)
{
	const int self = (int)syscall(SYS_gettid);
	const struct dirent *d;
	int result = 0, listed = 0;

	while ((d = readdir(threads)) != NULL) {
		int answer, thread = (int)strtol(d->d_name, NULL, 10);

		listed |= thread == self;
		if (thread <= 0 || thread == self)
			continue;
		answer = ask_thread(thread, deadline);
		if (answer > 0)
			return answer;
		if (answer == CHANGED)
			result = CHANGED;
	}
	return listed ? result : ENOENT;
}

/* Goes through the threads until it finds none that had not changed before:
 * one that had may start others, but they begin as it is. */
static int ask_all(long long deadline)
{
	int result;

	do {
		DIR *threads = opendir("/proc/self/task");

		if (threads == NULL)
			return errno;
		result = ask_listed(threads, deadline);
		(void)closedir(threads);
	} while (result == CHANGED);
	return result;
}

static int on_every_thread(long number, long a, long b, long c)
{
	struct raw_action before;
	DIR *threads;
	int e, answer;

	/* What can fail without having changed anything comes first. */
	if ((threads = opendir("/proc/self/task")) == NULL)
		return errno;
	(void)closedir(threads);
	if ((e = catch_requests(&before)) != 0)
		return e;
	request.number = number;
	request.arg[0] = a;
	request.arg[1] = b;
	request.arg[2] = c;
	request.turn++;
	answer = apply();
	e = answer > 0 ? answer : ask_all(now_ms() + 10000);
	/* A signal that is late must still find a handler. */
	if (e != ETIMEDOUT)
		(void)raw_sigaction(REQUEST_SIGNAL, &before, NULL);
	return e;
}

/* Some 32-bit machines have calls for ids of 16 bits under the plain names. */
#ifndef SYS_setgroups32
#define SYS_setgroups32 SYS_setgroups
#define SYS_setresgid32 SYS_setresgid
#define SYS_setresuid32 SYS_setresuid
#endif
#define EVERY_THREAD(call, a, b, c) on_every_thread(SYS_##call##32, (long)(a), (long)(b), (long)(c))
#else
#define EVERY_THREAD(call, a, b, c) ((void)(a), (void)(b), (void)(c), ENOSYS)
#endif

int cd_setgroups(size_t n, const gid_t *groups) { return EVERY_THREAD(setgroups, n, groups, 0); }
int cd_setresgid(gid_t r, gid_t e, gid_t s) { return EVERY_THREAD(setresgid, r, e, s); }
int cd_setresuid(uid_t r, uid_t e, uid_t s) { return EVERY_THREAD(setresuid, r, e, s); }
