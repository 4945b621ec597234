// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

/* The C program in the benchmarks: daemon(3), and nothing else; with the
 * argument run not even that. When it is up it writes its pid to the FIFO that
 * $BENCH_READY names. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd;

	if (argc == 2 && strcmp(argv[1], "nothing") == 0)
		return 0;
	if (!(argc == 2 && strcmp(argv[1], "run") == 0) && daemon(0, 0) != 0)
		return 1;
	fd = open(getenv("BENCH_READY"), O_WRONLY);
	dprintf(fd, "%d\n", (int)getpid());
	close(fd);
	for (;;)
		pause();
}
