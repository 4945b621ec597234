// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

/*
 * harness.c: cdaemon.c in a plain C program, where valgrind and the
 * sanitizers can look. Without an argument it goes through every early return
 * of the constructor and a whole start; with "marker" it tells of each line
 * of its input whether it is a marker, and its numbers.
 */
#define _GNU_SOURCE
#include <sys/types.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

/* What the constructor calls, with failures to order. */
static int fail_daemon, fail_fork, fail_fcntl, secure, leader, more_threads;

static int faked_stat(const char *path, struct stat *st)
{
	int result = stat(path, st);

	st->st_nlink += more_threads;
	return result;
}

static int faked_daemon(int nochdir, int noclose)
{
	if (fail_daemon != 0) {
		errno = fail_daemon;
		return -1;
	}
	return daemon(nochdir, noclose);
}
static pid_t faked_fork(void)
{
	if (fail_fork != 0) {
		errno = fail_fork;
		return -1;
	}
	return fork();
}
static pid_t faked_getsid(pid_t pid) { return leader ? getpid() : getsid(pid); }
static int faked_fcntl(int fd, int what, int value) { return fail_fcntl ? -1 : fcntl(fd, what, value); }
static unsigned long faked_getauxval(unsigned long type) { return type == AT_SECURE && secure ? 1 : getauxval(type); }

#undef _GNU_SOURCE /* cdaemon.c defines it as well */
#define daemon faked_daemon
#define fork faked_fork
#define getsid faked_getsid
#define fcntl faked_fcntl
#define getauxval faked_getauxval
#define stat(path, st) faked_stat(path, st)
#include "../cdaemon_peer.c"
#include "../cdaemon_stay.c"
#undef _GNU_SOURCE
#include "../cdaemon_process.c"
#undef _GNU_SOURCE
#include "../cdaemon_exec.c"
#undef _GNU_SOURCE
#include "../cdaemon.c"
#undef stat
#undef daemon
#undef fork
#undef getsid
#undef fcntl
#undef getauxval

static int failures;

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "line %d: %s\n", __LINE__, #what); failures++; } } while (0)

/* Runs the constructor anew with that marker. */
static int boots(const char *marker)
{
	int fd;

	boot_state = CD_NOT_RUN;
	boot_fd = -1;
	if (marker == NULL)
		unsetenv(CD_MARKER);
	else
		setenv(CD_MARKER, marker, 1);
	boot(0, NULL);
	CHECK(getenv(CD_MARKER) == NULL);
	CHECK(cd_boot_result(&fd) != CD_REFUSED || fd == -1);
	return boot_state;
}

/* Runs the constructor in a child, as a launcher would, and reads the report. */
static ssize_t start(struct cd_frame *f, int *state)
{
	int s[2], status = 0, gone[2];
	const pid_t session = getsid(0);
	char marker[64];
	ssize_t n;

	if (pipe(gone) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, s) != 0) /* what is behind the socket is closed */
		abort();
	pid_t child = fork();
	if (child == 0) {
		close(s[0]);
		close(gone[0]);
		snprintf(marker, sizeof marker, "%d:%d", (int)getppid(), s[1]);
		signal(SIGHUP, SIG_IGN);
		const int inherited = fcntl(s[1], F_DUPFD, s[1]);
		int became = boots(marker);
		if (became == CD_DAEMON) {
			struct sigaction sa;
			CHECK(boot_fd == s[1]);
			CHECK(fcntl(boot_fd, F_GETFD) == FD_CLOEXEC);
			CHECK(fcntl(inherited, F_GETFD) == -1 && errno == EBADF);
			CHECK(sigaction(SIGHUP, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
			CHECK(leader || getsid(0) != getpid());
			CHECK(getsid(0) != session);
		}
		close(s[1]);
		became += 100 * (failures != 0);
		if (write(gone[1], &became, sizeof became) != sizeof became)
			abort();
		_exit(0);
	}
	close(s[1]);
	close(gone[1]);
	*state = -1;
	if (read(gone[0], state, sizeof *state) < 0)
		abort();
	close(gone[0]);
	waitpid(child, &status, 0);
	n = read(s[0], f, sizeof *f);
	close(s[0]);
	return n;
}

static void check_all(void)
{
	static const char *const refused[] = { "", ":", "1:3", "-1:3", "+2:3", " 2:3", "2:", ":3", "2:3:", "2:3:4", "x",
		"99999999999:3", "2:99999999999", "2147483648:3", "21474836470:3", "2147483647:2147483647", "2147483647:3" };
	char marker[64];
	struct cd_frame f = { 0 };
	int fd, other, state;
	size_t i;

	CHECK(cd_boot_result(&fd) == CD_NONE && fd == -1); /* as it ran by itself */
	CHECK(boots(NULL) == CD_NONE);
	for (i = 0; i < sizeof refused / sizeof *refused; i++)
		CHECK(boots(refused[i]) == CD_REFUSED);
	/* Our parent's pid, and: a descriptor that is none, and no socket. Another process's
	 * socket is for TestMarkerWithHalfTheTruthIsRefused; our own, gVisor says, is any. */
	snprintf(marker, sizeof marker, "%d:999", (int)getppid());
	CHECK(boots(marker) == CD_REFUSED);
	if ((fd = open("/dev/null", O_RDONLY)) < 0)
		abort();
	snprintf(marker, sizeof marker, "%d:%d", (int)getppid(), fd);
	CHECK(boots(marker) == CD_REFUSED);
	close(fd);

	CHECK(start(&f, &state) == sizeof f && f.kind == 'b' && f.num > 1 && state == CD_DAEMON);
	secure = 1;
	CHECK(start(&f, &state) == 0 && state == CD_REFUSED);
	secure = 0;
	fail_fcntl = 1;
	CHECK(start(&f, &state) == 0 && state == CD_REFUSED);
	fail_fcntl = 0;
	more_threads = 1;
	__libc_single_threaded = 0; /* both must say so */
	CHECK(start(&f, &state) == sizeof f && f.kind == 'f' && f.code == CD_WITH_THREADS && f.num == EBUSY && state == -1);
	more_threads = 0;
	CHECK(start(&f, &state) == sizeof f && f.kind == 'b' && state == CD_DAEMON);
	__libc_single_threaded = 1;
	fail_daemon = EAGAIN;
	CHECK(start(&f, &state) == sizeof f && f.kind == 'f' && f.code == CD_IN_DAEMON && f.num == EAGAIN && state == -1);
	fail_daemon = 0;
	leader = 1;
	CHECK(start(&f, &state) == sizeof f && f.kind == 'b' && state == CD_DAEMON);
	fail_fork = ENOMEM;
	CHECK(start(&f, &state) == sizeof f && f.kind == 'f' && f.code == CD_IN_FORK && f.num == ENOMEM && state == -1);
	fail_fork = leader = 0;

	CHECK(cd_close_in_forks(0, -1) == 0 && cd_close_in_forks(1, -1) == 0);
	if ((fd = open("/dev/null", O_RDONLY)) < 0 || (other = dup(fd)) < 0)
		abort();
	CHECK(cd_close_in_forks(0, fd) == 0 && cd_close_in_forks(0, fd) == 0 && cd_close_in_forks(1, other) == 0);
	pid_t child = fork();
	if (child == 0)
		_exit(fcntl(fd, F_GETFD) == -1 && errno == EBADF && fcntl(other, F_GETFD) == -1 && errno == EBADF ? 0 : 1);
	CHECK(waitpid(child, &state, 0) == child && state == 0);
	CHECK(fcntl(fd, F_GETFD) != -1 && fcntl(other, F_GETFD) != -1);
	CHECK(cd_close_in_forks(0, -1) == 0 && cd_close_in_forks(1, -1) == 0);
	close(fd);
	close(other);
}

/* What Go passes for an empty string. The sanitizers see what is wrong. */
static void check_empty(void)
{
	cd_openlog(NULL, 0, 0, LOG_USER);
	cd_syslog(LOG_DEBUG, NULL, 0);
	closelog();
}

static void check_accounts(void)
{
	struct passwd pw;
	struct group gr;
	gid_t groups[64];
	char buf[4096], *little = malloc(8);
	int n = 64;

	CHECK(cd_getpwnam("root", &pw, buf, sizeof buf) == 0 && pw.pw_name != NULL && pw.pw_uid == 0);
	CHECK(cd_getpwnam("no-such-account-here", &pw, buf, sizeof buf) >= 0 && pw.pw_name == NULL);
	CHECK(cd_getpwnam("root", &pw, little, 8) == ERANGE && pw.pw_name == NULL);
	CHECK(cd_getpwuid(0, &pw, buf, sizeof buf) == 0 && strcmp(pw.pw_name, "root") == 0);
	CHECK(cd_getpwuid(0, &pw, little, 8) == ERANGE && pw.pw_name == NULL);
	CHECK(cd_getgrnam("root", &gr, buf, sizeof buf) == 0 && gr.gr_gid == 0);
	CHECK(cd_getgrnam("root", &gr, little, 8) == ERANGE && gr.gr_name == NULL);
	CHECK(cd_getgrouplist("root", 0, groups, &n) == 0 && n >= 1);
	n = 0;
	CHECK(cd_getgrouplist("root", 0, groups, &n) == ERANGE);
	free(little);
}

/* "PID FD" or "no" for each NUL-terminated text on standard input. */
static void tell_markers(void)
{
	char *text = NULL;
	size_t size = 0;

	while (getdelim(&text, &size, '\0', stdin) > 0) {
		const char *s = text;
		int pid = number(&s, ':');
		int fd = pid < 0 ? -1 : number(&s, '\0');

		if (pid < 2 || fd < 3)
			printf("no\n");
		else
			printf("%d %d\n", pid, fd);
		fflush(stdout);
	}
	free(text);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		tell_markers();
		return 0;
	}
	check_all();
	check_empty();
	check_accounts();
	return failures != 0;
}
