// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && cgo && !daemonizego

/*
 * forkfirst.c: the fork before the Go runtime, and the launcher, which stays
 * C. The constructor in ../cdaemon.c calls it, and does the rest in the child.
 */
#define _GNU_SOURCE /* program_invocation_short_name */

#include "../cdaemon.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's only descriptors but 0 to 2: the report socket, and both ends of the pipe
 * for its standard error. ../forkfirst.go counts on it. */
enum { REPORT = 3, READ_END, WRITE_END };

/* True if there is one argument, and it is start or restart. (glibc gives
 * constructors the arguments, musl does not.) */
static int is_asked(void)
{
	char line[4096];
	ssize_t n = -1, verb;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, line, sizeof line);
		(void)close(fd);
	}
	if (n <= 0 || n == sizeof line)
		return 0;
	verb = (ssize_t)strnlen(line, (size_t)n) + 1;
	return (n - verb == 6 && memcmp(line + verb, "start", 6) == 0) ||
	       (n - verb == 8 && memcmp(line + verb, "restart", 8) == 0);
}

/* Puts them in their places. */
static int keep_three(int report, const int ends[2], int (*close_from)(int))
{
	int from[3] = { report, ends[0], ends[1] }, i;

	for (i = 0; i < 3; i++) /* out of each other's way */
		if ((from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, WRITE_END + 1)) < 0)
			return -1;
	for (i = 0; i < 3; i++)
		if (dup3(from[i], REPORT + i, O_CLOEXEC) < 0)
			return -1;
	return close_from(WRITE_END + 1);
}

/* -1 at the end, with errno 0, and where read(2) fails. */
static int receive(int fd, void *to, size_t size)
{
	char *p = to;

	while (size > 0) {
		ssize_t n = read(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = 0;
		if (n <= 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

/* The wait(2) status of pid, -1 if it is not ours to wait for. The daemon
 * becomes our child when what daemon(3) and the second fork left has ended:
 * it is waited for first. */
static int status_of(pid_t pid)
{
	int status;
	pid_t got;

	do
		got = waitpid(-1, &status, 0);
	while (got != pid && (got > 0 || errno == EINTR));
	return got == pid ? status : -1;
}

/* The exit code of a launcher that ends as the program did. */
static int same_code(int status)
{
	if (status == -1)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Kills a daemon whose report cannot be read: perhaps it is ready, but nobody can
 * say so. While it is our child, its pid is its own. */
static void kill_unheard(pid_t pid)
{
	siginfo_t how;

	if (waitid(P_PID, (id_t)pid, &how, WEXITED | WNOHANG | WNOWAIT) == 0)
		(void)kill(pid, SIGKILL);
}

/* Says of a daemon that left without a verdict how it ended: ": exit status
 * 3", ": signal: killed", the words of Go's os.ProcessState. */
static void say(const char *text, size_t size, int status)
{
	char how[80] = "\n";
	struct iovec line[2] = { { (void *)text, size }, { how, 0 } };

	if (status != -1 && WIFEXITED(status)) {
		(void)snprintf(how, sizeof how, ": exit status %d\n", WEXITSTATUS(status));
	} else if (status != -1) {
		(void)snprintf(how, sizeof how, ": signal: %.50s%s\n", strsignal(WTERMSIG(status)),
			       WCOREDUMP(status) ? " (core dumped)" : "");
		how[10] = (char)tolower((unsigned char)how[10]);
	}
	line[1].iov_len = strlen(how);
	(void)!writev(STDERR_FILENO, line, 2);
}

/* Shows what the daemon writes to standard error. 0 at the end. */
static int show(int fd)
{
	char b[4096];
	ssize_t n = read(fd, b, sizeof b), done = 0;

	while (done < n) {
		ssize_t w = write(STDERR_FILENO, b + done, (size_t)(n - done));

		if (w < 0 && errno != EINTR)
			break; /* a terminal that is gone takes nothing; the pipe must not fill up */
		done += w > 0 ? w : 0;
	}
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

/* Shows what is in the pipe, which holds 64 KiB: a child of the daemon may
 * write all the time. */
static void show_rest(int fd)
{
	struct pollfd on = { fd, POLLIN, 0 };
	int i;

	for (i = 0; i < 64 && poll(&on, 1, 0) > 0 && show(fd); i++)
		;
}

/* Shows the pipe until there is a frame to read. */
static void wait_for_frame(int fd, int *said)
{
	struct pollfd on[2] = { { fd, POLLIN, 0 }, { *said, POLLIN, 0 } };

	do {
		on[0].revents = on[1].revents = 0;
		if (poll(on, 2, -1) > 0 && on[1].revents != 0 && !show(*said))
			on[1].fd = *said = -1; /* nobody has the other end: poll(2) takes -1 for none */
	} while (on[0].revents == 0);
}

/* The launcher. It returns only if there never was a daemon. What it has
 * not reaped is for init, above all a daemon that has ended by now: who
 * supervises it wants to know how. */
static void launch(int fd, int said)
{
	static char words[UINT16_MAX + 1]; /* what to say if it dies now */
	struct cd_frame f;
	size_t size = 0;
	pid_t pid = 0;
	int status, own = 0, own_status = 0;

	for (;;) {
		wait_for_frame(fd, &said);
		if (receive(fd, &f, sizeof f) != 0 || receive(fd, words, f.len) != 0)
			break;
		switch (f.kind) {
		case CD_BOOTED: /* it is there */
			pid = f.num;
			break;
		case CD_STAGE: /* how far it has come */
			size = f.len;
			own_status = f.code;
			break;
		case CD_NOT_DAEMON: /* not a daemon: it speaks for itself */
			own = 1;
			break;
		case CD_READY: /* ready; once our descriptors are closed it reads the pipe */
			show_rest(said);
			_exit(0);
		case CD_FAILED: /* it has said why not */
			show_rest(said);
			_exit(f.code);
		}
	}
	if (pid == 0)
		return;
	if (errno != 0)
		kill_unheard(pid);
	show_rest(said);
	status = status_of(pid);
	if (own)
		_exit(same_code(status));
	if (size != 0 && own_status && status != -1 && WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status)); /* the program chose it, and its words */
	if (size != 0) {
		say(words, size, status);
		_exit(1);
	}
	/* The words of launcher.go. */
	(void)snprintf(words, sizeof words,
		       "%s: the daemon (pid %d) ended before it reached the call that makes it one: main returned, exited or panicked first",
		       program_invocation_short_name, (int)pid);
	say(words, strlen(words), status);
	_exit(status != -1 && WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

int cd_forkfirst(int (*close_from)(int))
{
	int report[2], said[2], reaps = 0;
	void (*on_child)(int), (*on_pipe)(int);
	pid_t child;

	if (!is_asked() || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report) != 0)
		return -1;
	if (report[0] < REPORT || report[1] < REPORT /* one of 0 to 2 is closed */ || pipe2(said, O_CLOEXEC) != 0) {
		(void)close(report[0]);
		(void)close(report[1]);
		return -1;
	}
	/* The daemon is to be our child when it ends, that we can say how. */
	(void)prctl(PR_GET_CHILD_SUBREAPER, &reaps, 0, 0, 0);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	on_child = signal(SIGCHLD, SIG_DFL);
	child = fork();
	if (child == 0) {
		if (keep_three(report[1], said, close_from) != 0)
			_exit(1);
		return REPORT;
	}
	(void)close(report[1]);
	(void)close(said[1]);
	if (child > 0) {
		on_pipe = signal(SIGPIPE, SIG_IGN); /* nobody may read what we say; the daemon still needs us */
		launch(report[0], said[0]);
		(void)status_of(child);
		(void)signal(SIGPIPE, on_pipe);
	}
	(void)prctl(PR_SET_CHILD_SUBREAPER, reaps, 0, 0, 0);
	(void)signal(SIGCHLD, on_child);
	(void)close(report[0]);
	(void)close(said[0]);
	return -1;
}
