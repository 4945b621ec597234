// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

/* What libc alone takes to look an account up and become it, in the table
 * scale: then daemon(3), as daemon.c. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
	struct passwd *user = getpwnam(getenv("BENCH_USER"));
	struct group *group = getgrnam(getenv("BENCH_GROUP"));
	int fd;

	if (user == NULL || group == NULL || daemon(0, 0) != 0 || initgroups(user->pw_name, group->gr_gid) != 0 ||
	    setgid(group->gr_gid) != 0 || setuid(user->pw_uid) != 0)
		return 1;
	fd = open(getenv("BENCH_READY"), O_WRONLY);
	dprintf(fd, "%d\n", (int)getpid());
	close(fd);
	for (;;)
		pause();
}
