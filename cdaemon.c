//go:build unix && cgo && !daemonizego

/*
 * cdaemon.c: the constructor that calls daemon(3) before the Go runtime
 * starts, when the process has one thread still, and shims over libc.
 */
#define _GNU_SOURCE /* program_invocation_short_name, struct ucred */

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
#if defined(__GLIBC__) && defined(__linux__)
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
#define CD_KNOWS_THREADS
#endif
#endif
#ifdef __linux__
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
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

/* A set-user-ID program's caller must not choose what becomes a daemon. */
static int is_secure(void)
{
#ifdef __linux__
	return getauxval(AT_SECURE) != 0;
#else
	return issetugid();
#endif
}

/* The socket is ours if the launcher, whose pid cannot be borrowed while it
 * is our parent, made the other end. */
static int peer_is(int fd, int pid)
{
#ifdef __linux__
	struct ucred peer;
	socklen_t n = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.pid == pid;
#else
	struct stat st;

	(void)pid;
	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
#endif
}

static void report(int fd, uint8_t kind, uint8_t code, int num)
{
	struct cd_frame f = { kind, code, 0, num };

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

/* fork(2) would end the threads that a library has started before us, and
 * leave what they had locked. libc knows of its own; the directory, which has
 * a link for each, tells whether they are still there. (By the directory
 * alone, an emulator's own threads would count: with a libc that does not know,
 * there is no telling.) */
static int has_threads(void)
{
#ifdef CD_KNOWS_THREADS
	struct stat st;

	return !__libc_single_threaded && stat("/proc/self/task", &st) == 0 && st.st_nlink > 3;
#else
	return 0;
#endif
}

#ifdef __linux__
/* NULL without package forkfirst. (Not a weak definition: Go's internal
 * linking takes that for a second one.) */
extern int cd_forkfirst(void) __attribute__((weak));
#endif

static int fork_first(void)
{
#ifdef __linux__
	/* cppcheck-suppress knownConditionTrueFalse ; not in every libc */
	if (cd_forkfirst != NULL && getpid() != 1 && !is_secure() && !has_threads())
		return cd_forkfirst();
#endif
	return -1;
}

/* The marker's report socket, -1 if the marker does not count. */
static int marked(const char *s)
{
	int pid = number(&s, ':');
	int fd = pid < 0 ? -1 : number(&s, '\0');

	if (pid < 2 || fd < 3 || pid != getppid() || is_secure() || !peer_is(fd, pid))
		return -1;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

/* Where the daemon tells the process that stays its pid, -1 if none does. */
static int tell_fd = -1;

#ifdef __linux__
/* Ends as that process did. A signal's core is its own, not ours. */
static void end_like(const siginfo_t *how)
{
	const struct rlimit none = { 0, 0 };

	if (how->si_code != CLD_EXITED) {
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(how->si_status, SIG_DFL);
		(void)raise(how->si_status);
	}
	_exit(how->si_code == CLD_EXITED ? how->si_status : 128 + how->si_status);
}

/* The process that the launcher started stays until the daemon ends, to end as
 * it did, or until the launcher, which knows that it is ready, kills us. (The
 * launcher cannot wait for the daemon itself: it may live on, with children of
 * its own, and the daemon, with all orphans of it, would stay its child.) Returns in the
 * child, which becomes the daemon, and where that is not to be had. */
static void stay(int fd)
{
	int ends[2], i;
	pid_t child, pid;
	siginfo_t how = { 0 };

	if (pipe2(ends, O_CLOEXEC) != 0)
		return;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) {
		child = fork();
		if (child == 0) {
			(void)close(ends[0]);
			tell_fd = ends[1];
			return;
		}
		if (child > 0) {
			(void)close(ends[1]);
			(void)close(fd); /* the launcher waits for the end of these */
			for (i = 0; i < 3; i++)
				(void)close(i);
			(void)setsid(); /* the terminal's signals are for the launcher */
			if (read(ends[0], &pid, sizeof pid) != sizeof pid)
				pid = child;
			/* WNOWAIT: until we end, nobody else gets the daemon's pid. It becomes our
			 * child when what daemon(3) and the second fork left has ended. */
			while (waitid(P_PID, (id_t)pid, &how, WEXITED | WNOWAIT) != 0) {
				if (errno == EINTR)
					continue;
				if (errno != ECHILD || (waitid(P_ALL, 0, &how, WEXITED) != 0 && errno != EINTR))
					_exit(1);
				if (how.si_pid == pid)
					break;
			}
			end_like(&how);
		}
		(void)prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	}
	(void)close(ends[0]);
	(void)close(ends[1]);
}
#else
static void stay(int fd) { (void)fd; }
#endif

/* Becomes a daemon in all but the directory and stdio, which stay as they
 * are until Go reaches the call. */
static void become(int fd)
{
	pid_t pid;

	clean_signals();
#ifdef __linux__
	/* exec of /proc/self/exe named us "exe". */
	(void)prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
#endif
	if (daemon(1, 1) != 0)
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
	pid = getpid();
	if (tell_fd >= 0) {
		(void)!write(tell_fd, &pid, sizeof pid);
		(void)close(tell_fd);
	}
	report(fd, CD_BOOTED, tell_fd >= 0, pid);
}

__attribute__((constructor)) static void boot(void)
{
	const char *s = getenv(CD_MARKER);
	int fd;

	boot_state = CD_NONE;
	if (s != NULL) {
		/* From here on, whatever the marker says, this process never launches. */
		boot_state = CD_REFUSED;
		fd = marked(s);
		(void)unsetenv(CD_MARKER);
		/* cppcheck-suppress knownConditionTrueFalse ; as above */
		if (fd >= 0 && has_threads()) {
			errno = EBUSY;
			give_up(fd, CD_WITH_THREADS);
		}
		if (fd >= 0)
			stay(fd);
	} else {
		fd = fork_first();
	}
	if (fd < 0)
		return;
	become(fd);
	boot_fd = fd;
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
