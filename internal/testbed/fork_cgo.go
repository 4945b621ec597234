// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

package testbed

/*
#include <unistd.h>
static int fork_and_pause(void)
{
	int pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}
*/
import "C"

// Fork makes a child as C libraries do, by fork(2) without exec; it sleeps.
// It returns the child's pid, -1 in a build without C.
func Fork() int { return int(C.fork_and_pause()) }
