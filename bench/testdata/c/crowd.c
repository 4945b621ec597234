// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

/* What a big machine is full of, in the table scale: N processes, or the
 * flock(2) locks of N files in DIR. It writes a line when they are there, and
 * takes them away when its standard input ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	kill(0, SIGKILL); /* a process group of our own */
	return 1;
}

enum { STACK = 8192 };

/* A process that shares our memory: it is as cheap to start and to end as one
 * can be. */
static int sleeper(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int i, n = argc > 2 ? atoi(argv[2]) : 0;
	char name[4096], c;

	setpgid(0, 0);
	if (argc == 3 && strcmp(argv[1], "processes") == 0) {
		char *stacks = mmap(NULL, (size_t)(n + 1) * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (stacks == MAP_FAILED)
			return fail("mmap");
		for (i = 0; i < n; i++) {
			if (clone(sleeper, stacks + (size_t)(i + 1) * STACK, CLONE_VM | SIGCHLD, NULL) < 0)
				return fail("clone");
		}
	} else if (argc == 4 && strcmp(argv[1], "locks") == 0) {
		struct rlimit limit = { (rlim_t)n + 100, (rlim_t)n + 100 };

		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			return fail("setrlimit");
		for (i = 0; i < n; i++) {
			int fd;

			snprintf(name, sizeof name, "%s/%d", argv[3], i);
			fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
			if (fd < 0 || flock(fd, LOCK_EX) != 0)
				return fail(name);
		}
	} else {
		return 2;
	}
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return 0;
}
