// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

/*
 * setxid_musl.h: setgroups(2), setresgid(2) and setresuid(2) in every thread,
 * over musl before 1.2.4. See setxid_musl.c for when it can be deleted.
 */
#ifndef SETXID_MUSL_H
#define SETXID_MUSL_H

#include <sys/types.h>

/* cd_setgroups, cd_setresgid and cd_setresuid are setgroups(2) and its kin in
 * every thread of the process. ENOSYS: not here; package syscall's are safe
 * with this libc. Another error: no thread has changed, or some have and the
 * process must end. Called by Go in the daemon, not twice at a time. */
int cd_setgroups(size_t n, const gid_t *groups);
int cd_setresgid(gid_t r, gid_t e, gid_t s);
int cd_setresuid(uid_t r, uid_t e, uid_t s);

#endif
