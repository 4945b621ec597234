// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

/*
 * cdaemon_peer.c: may this process trust its environment, and who made the
 * report socket. The constructor in cdaemon.c asks both before it believes a
 * marker.
 */
#define _GNU_SOURCE /* struct ucred */

#include "cdaemon.h"

#include <sys/param.h> /* __FreeBSD_version */
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif
#ifdef __APPLE__
#include <sys/un.h>
#endif
#ifdef __FreeBSD__
#include <sys/ucred.h>
#include <sys/un.h>
#endif
#ifdef __NetBSD__
#include <sys/un.h>
#endif
#ifdef __sun
#include <ucred.h>
#endif

int cd_is_secure(void)
{
#ifdef __linux__
	return getauxval(AT_SECURE) != 0;
#else
	return issetugid();
#endif
}

/* The pid of the process that made the other end, -1 if this system, or this
 * version of it, does not tell. */
static pid_t peer_pid(int fd)
{
#if defined(CD_LINUX)
	struct ucred peer;
	socklen_t n = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
		return 0;
	/* gVisor before 2023 tells of every socket that it is the caller's own. */
	return peer.pid == getpid() ? -1 : peer.pid;
#elif defined(LOCAL_PEERPID) /* macOS 10.8: the last one that used the other end */
	pid_t peer;
	socklen_t n = sizeof peer;

	return getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &peer, &n) == 0 ? peer : -1;
#elif defined(__FreeBSD__) && __FreeBSD_version >= 1300000 /* cr_pid */
	struct xucred peer;
	socklen_t n = sizeof peer;

	return getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &peer, &n) == 0 && peer.cr_pid > 0 ? peer.cr_pid : -1;
#elif defined(__OpenBSD__)
	struct sockpeercred peer;
	socklen_t n = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 ? peer.pid : -1;
#elif defined(__NetBSD__)
	struct unpcbid peer;
	socklen_t n = sizeof peer;

	return getsockopt(fd, 0, LOCAL_PEEREID, &peer, &n) == 0 ? peer.unp_pid : -1;
#elif defined(__sun)
	ucred_t *peer = NULL;
	pid_t pid = -1;

	if (getpeerucred(fd, &peer) == 0) {
		pid = ucred_getpid(peer);
		ucred_free(peer);
	}
	return pid;
#else /* DragonFly: LOCAL_PEERCRED has no pid */
	(void)fd;
	return -1;
#endif
}

int cd_peer_is(int fd, pid_t pid)
{
	struct stat st;
	pid_t peer;

	if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
		return 0;
	peer = peer_pid(fd);
	return peer == pid || peer == -1;
}
