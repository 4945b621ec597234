// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// The floor in the benchmarks: what no start of a Go program with cgo can
// undercut. Its constructor calls daemon(3), and forks once more where that
// leaves a session leader, before the Go runtime starts; nothing else. When
// main is reached it writes its pid to the FIFO that $BENCH_READY names, from
// C, so that no package but the runtime is linked in.
package main

/*
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void become_daemon(void)
{
	if (daemon(0, 0) != 0)
		_exit(1);
	if (getsid(0) == getpid()) {
		pid_t pid = fork();

		if (pid != 0)
			_exit(pid < 0);
	}
}

static void ready(void)
{
	int fd = open(getenv("BENCH_READY"), O_WRONLY);

	dprintf(fd, "%d\n", (int)getpid());
	close(fd);
}
*/
import "C"

func main() {
	C.ready()
	for {
		C.pause()
	}
}
