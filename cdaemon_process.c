// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

/*
 * cdaemon_process.c: what the constructor asks and changes of the process that it
 * finds itself in.
 */
#define _GNU_SOURCE /* dl_iterate_phdr, syscall */

#include "cdaemon.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <link.h>
#include <sys/syscall.h>
#endif

#if defined(__GLIBC__) && defined(CD_LINUX)
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
#define CD_KNOWS_THREADS
#endif
#endif

/* fork(2) would end the threads that a library has started before us, and
 * leave what they had locked. libc knows of its own; the directory, which has
 * a link for each, tells whether they are still there. (By the directory
 * alone, an emulator's own threads would count: with a libc that does not know,
 * there is no telling.) */
int cd_has_threads(void)
{
#ifdef CD_KNOWS_THREADS
	struct stat st;

	return !__libc_single_threaded && stat("/proc/self/task", &st) == 0 && st.st_nlink > 3;
#else
	return 0;
#endif
}

/* The keys of the session that root logged in with are not the daemon's, which may
 * drop its privileges: see keyrings(7). All threads have the keyring of the first. An
 * error is none: where seccomp(2) refuses this, it refuses the use of keys as well.
 * A user's daemon keeps its keys (Kerberos, AFS): it drops nothing. */
void cd_leave_session_keyring(void)
{
#ifdef CD_LINUX
	if (geteuid() == 0)
		(void)syscall(SYS_keyctl, 1L /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
#endif
}

int cd_close_from(int first)
{
#if defined(__linux__) || defined(__APPLE__)
#ifdef __linux__
	static const char list[] = "/proc/self/fd";
#else
	static const char list[] = "/dev/fd";
#endif
	DIR *d;
	struct dirent *e;
	int fd, failed;

#if defined(CD_LINUX) && defined(SYS_close_range)
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return 0;
#endif
	d = opendir(list); /* Linux before 5.9, or a seccomp filter */
	if (d == NULL)
		return -1;
	for (errno = 0; (e = readdir(d)) != NULL; errno = 0) {
		fd = (int)strtol(e->d_name, NULL, 10);
		if (fd >= first && fd != dirfd(d))
			(void)close(fd);
	}
	failed = errno; /* 0: that was all */
	(void)closedir(d);
	errno = failed;
	return failed == 0 ? 0 : -1;
#else
	closefrom(first);
	return 0;
#endif
}

/* A shared object (buildmode c-shared or plugin) is loaded by a program that has not our
 * main, perhaps with threads: it leaves the marker to the executable, the first object. */
#ifdef __linux__
static int is_in(struct dl_phdr_info *info, size_t size, void *at)
{
	const ElfW(Phdr) *p = info->dlpi_phdr, *end = p + info->dlpi_phnum;

	(void)size;
	while (p < end && !(p->p_type == PT_LOAD && (uintptr_t)at - info->dlpi_addr - p->p_vaddr < p->p_memsz))
		p++;
	return p < end ? 1 : -1; /* look no further */
}

int cd_in_executable(void)
{
	static int here;

	return dl_iterate_phdr(is_in, &here) > 0;
}
#else
int cd_in_executable(void) { return 1; }
#endif
