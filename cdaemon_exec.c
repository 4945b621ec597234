// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

/*
 * cdaemon_exec.c: the exec after daemon(3), on macOS. A child of fork(2) that
 * has not called exec crashes or spins there in its first getaddrinfo(3) of a
 * name with IPv4 addresses alone, since what the system's frameworks have set
 * up before fork does not work in the child. Go's net.Dial makes that call. The
 * move to the root bootstrap namespace, which daemon(3) does, survives exec.
 *
 * With CD_EXEC_AGAIN it is the same on Linux: there the tests run it.
 */
#include "cdaemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

void cd_exec_again(int launcher, int fd, char **argv)
{
	char marker[64];
	extern char **environ;
#ifdef __APPLE__
	char path[4096];
	uint32_t size = sizeof path;

	if (_NSGetExecutablePath(path, &size) != 0) {
		errno = ENAMETOOLONG;
		return;
	}
#else
	/* cppcheck-suppress variableScope ; as on macOS */
	const char *path = "/proc/self/exe";
#endif
	(void)snprintf(marker, sizeof marker, "%d:%d:%d", launcher, fd, (int)getsid(0));
	if (setenv(CD_MARKER, marker, 1) == 0 && fcntl(fd, F_SETFD, 0) == 0)
		(void)execve(path, argv, environ);
}
