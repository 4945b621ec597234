// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

/*
 * cdaemon_stay.c: the process that the launcher started stays until the daemon
 * is ready, so that the launcher learns how a daemon ended that never was.
 */
#define _GNU_SOURCE /* pipe2 */

#include "cdaemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#ifdef CD_LINUX
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#endif

#if defined(CD_LINUX) && !CD_EXECS_AGAIN
/* Where the daemon tells the process that stays its pid, -1 if none does. */
static int tell_fd = -1;

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
void cd_stay(int fd)
{
	int ends[2];
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
			(void)close(0);
			(void)close(1);
			(void)close(2);
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

int cd_tell_pid(void)
{
	const pid_t pid = getpid();

	if (tell_fd < 0)
		return 0;
	(void)!write(tell_fd, &pid, sizeof pid);
	(void)close(tell_fd);
	return 1;
}
#else
void cd_stay(int fd) { (void)fd; }
int cd_tell_pid(void) { return 0; }
#endif
