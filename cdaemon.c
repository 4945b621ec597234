// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

/*
 * cdaemon.c: the constructor that calls daemon(3) before the Go runtime
 * starts, when the process has one thread still, and shims over libc.
 */
#define _GNU_SOURCE /* program_invocation_short_name */

#include "cdaemon.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif
#ifndef MSG_NOSIGNAL /* an older macOS SDK: it has SO_NOSIGPIPE */
#define MSG_NOSIGNAL 0
#endif

static int boot_state = CD_NOT_RUN;
static int boot_fd = -1;

int cd_boot_result(int *fd)
{
	*fd = boot_fd;
	return boot_state;
}

/* Reads one decimal number, no sign and no space, up to the end character. */
static int number(const char **s, char end)
{
	int64_t n = 0; /* long may have 32 bits */
	const char *p = *s;

	if (*p < '0' || *p > '9')
		return -1;
	while (*p >= '0' && *p <= '9' && n <= INT32_MAX)
		n = n * 10 + (*p++ - '0');
	if (*p != end || n > INT32_MAX)
		return -1;
	*s = p + (end != '\0');
	return (int)n;
}

static void report(int fd, uint8_t kind, uint8_t code, int num)
{
	struct cd_frame f = { kind, code, 0, num };
#ifdef SO_NOSIGPIPE
	int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
	while (send(fd, &f, sizeof f, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void give_up(int fd, uint8_t code)
{
	report(fd, CD_BOOT_ERROR, code, errno);
	_exit(1);
}

/* Whoever started the launcher (nohup, cron, an old init) may have ignored
 * and blocked signals. Go would keep that, and so would the children. */
static void clean_signals(void)
{
	struct sigaction sa;
	sigset_t none;
	int s;

	for (s = 1; s < NSIG; s++)
		if (sigaction(s, NULL, &sa) == 0 && !(sa.sa_flags & SA_SIGINFO) && sa.sa_handler == SIG_IGN)
			(void)signal(s, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

#ifdef CD_LINUX
/* NULL without package forkfirst. (Not a weak definition: Go's internal
 * linking takes that for a second one.) */
extern int cd_forkfirst(int (*)(int)) __attribute__((weak));
#endif

static int fork_first(void)
{
#ifdef CD_LINUX
	/* cppcheck-suppress knownConditionTrueFalse ; not in every libc */
	if (cd_forkfirst != NULL && getpid() != 1 && !cd_is_secure() && !cd_has_threads())
		return cd_forkfirst(cd_close_from);
#endif
	return -1;
}

/* A marker's numbers; session is 0 in the launcher's own. */
struct mark {
	int launcher, fd, session;
};

/* True if the marker counts. The parent of a second one may be gone by now:
 * the session that it led stays ours. */
static int marked(const char *s, struct mark *m)
{
	int second;

	m->launcher = number(&s, ':');
	second = CD_EXECS_AGAIN && strchr(s, ':') != NULL;
	/* cppcheck-suppress knownConditionTrueFalse ; not where there is a second one */
	m->fd = number(&s, second ? ':' : '\0');
	/* cppcheck-suppress knownConditionTrueFalse ; as above */
	m->session = second ? number(&s, '\0') : 0;
	/* cppcheck-suppress knownConditionTrueFalse ; as above */
	if (m->launcher < 2 || m->fd < 3 || (second && m->session < 2) || cd_is_secure() || !cd_peer_is(m->fd, m->launcher))
		return 0;
	if (second ? getsid(0) != m->session || getpid() == m->session : getppid() != m->launcher)
		return 0;
	return fcntl(m->fd, F_SETFD, FD_CLOEXEC) == 0;
}

#ifdef __APPLE__ /* deprecated there: launchd(8) is to do it, which nobody's start waits for */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif
static int call_daemon(void) { return daemon(1, 1); }
#ifdef __APPLE__
#pragma clang diagnostic pop
#endif

/* Becomes a daemon in all but the directory and stdio, which stay as they
 * are until Go reaches the call. */
static void become(int fd)
{
	pid_t pid;

	clean_signals();
	cd_leave_session_keyring();
	if (call_daemon() != 0)
		give_up(fd, CD_IN_DAEMON);
	/* glibc's and FreeBSD's daemon(3) fork once and leave a session leader,
	 * which opening a terminal would give a controlling terminal. */
	if (getsid(0) == getpid()) {
		pid = fork();
		if (pid < 0)
			give_up(fd, CD_IN_FORK);
		if (pid > 0)
			_exit(0);
	}
}

/* macOS and glibc give it main's arguments; under no other libc they are used. */
__attribute__((constructor)) static void boot(int argc, char **argv)
{
	const char *s = getenv(CD_MARKER);
	struct mark m = { 0, -1, 0 };

	(void)argc;
	boot_state = CD_NONE;
	if (!cd_in_executable())
		return;
	if (s != NULL) {
		/* From here on, whatever the marker says, this process never launches. */
		boot_state = CD_REFUSED;
		if (!marked(s, &m))
			m.fd = -1;
		(void)unsetenv(CD_MARKER);
		/* cppcheck-suppress knownConditionTrueFalse ; as above */
		if (m.fd >= 0 && cd_has_threads()) {
			errno = EBUSY;
			give_up(m.fd, CD_WITH_THREADS);
		}
		if (m.fd >= 0 && m.session == 0) {
			/* What the launcher had open: its socket is behind 0 to 2. */
			if (cd_close_from(m.fd + 1) != 0)
				give_up(m.fd, CD_IN_CLOSE);
			cd_stay(m.fd);
		}
	} else {
		m.fd = fork_first();
	}
	if (m.fd < 0)
		return;
	if (m.session == 0)
		become(m.fd);
	/* cppcheck-suppress knownConditionTrueFalse ; on other systems */
	if (CD_EXECS_AGAIN && s != NULL && m.session == 0) {
		cd_exec_again(m.launcher, m.fd, argv);
		give_up(m.fd, CD_IN_EXEC);
	}
#ifdef CD_LINUX
	/* exec of /proc/self/exe named us "exe". */
	(void)prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
#endif
	report(m.fd, CD_BOOTED, (uint8_t)cd_tell_pid(), getpid());
	boot_fd = m.fd;
	boot_state = s != NULL ? CD_DAEMON : CD_FORKED;
}

#ifdef __GLIBC__
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
#endif

static int not_for_forks[2] = { -1, -1 };

static void close_in_fork(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (not_for_forks[i] >= 0)
			(void)close(not_for_forks[i]);
		not_for_forks[i] = -1; /* in the child's children the number is another file's */
	}
}

int cd_close_in_forks(int which, int fd)
{
	static int registered;
	int e = 0;

	not_for_forks[which] = fd;
	if (registered || fd < 0)
		return 0;
#ifdef __GLIBC__
	/* pthread_atfork(3) is in no shared object, only in libc_nonshared.a,
	 * which internal linking does not know; this is what it calls, and the
	 * LSB has it. */
	e = __register_atfork(NULL, NULL, close_in_fork, NULL);
#else
	e = pthread_atfork(NULL, NULL, close_in_fork);
#endif
	registered = e == 0;
	if (e != 0)
		not_for_forks[which] = -1;
	return e;
}

/* --- syslog(3) --- */

void cd_openlog(const char *ident, int length, int option, int facility)
{
	static char tags[2][CD_MAX_IDENT + 1];
	static int next;
	char *tag = tags[next];

	next = !next;
	if (length > 0) /* else Go's pointer may be NULL */
		memcpy(tag, ident, (size_t)length);
	tag[length] = '\0';
	openlog(tag, option, facility);
}

void cd_syslog(int priority, const char *message, int length)
{
	syslog(priority, "%.*s", length, length > 0 ? message : "");
}

/* --- accounts: getpwnam(3), getgrnam(3) --- */
int cd_static_glibc(void)
{
#ifdef __GLIBC__
	return getauxval(AT_BASE) == 0; /* no dynamic loader */
#else
	return 0;
#endif
}

int cd_getpwnam(const char *name, struct passwd *pw, char *buf, size_t size)
{
	struct passwd *found = NULL;
	int e = getpwnam_r(name, pw, buf, size, &found);

	if (found == NULL)
		pw->pw_name = NULL;
	return e;
}

int cd_getpwuid(uid_t uid, struct passwd *pw, char *buf, size_t size)
{
	struct passwd *found = NULL;
	int e = getpwuid_r(uid, pw, buf, size, &found);

	if (found == NULL)
		pw->pw_name = NULL;
	return e;
}

int cd_getgrnam(const char *name, struct group *gr, char *buf, size_t size)
{
	struct group *found = NULL;
	int e = getgrnam_r(name, gr, buf, size, &found);

	if (found == NULL)
		gr->gr_name = NULL;
	return e;
}

int cd_getgrouplist(const char *user, gid_t gid, gid_t *groups, int *n)
{
	/* gid_t here, int on macOS */
	return getgrouplist(user, gid, (void *)groups, n) < 0 ? ERANGE : 0;
}
