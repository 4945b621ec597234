/*
 * cdaemon.h: all C of the library, seen from Go. Functions return 0 or a
 * positive errno; results come through pointers.
 */
#ifndef CDAEMON_H
#define CDAEMON_H

#include <sys/types.h>
#include <grp.h>
#include <pwd.h>

/* The variable by which a launcher tells the copy of itself that it starts
 * to become the daemon: "PID:FD", the launcher's pid and the descriptor of
 * the report socket. daemon.go has the same name. */
#define CD_MARKER "DAEMONIZE_BOOT"

/* What the constructor made of the marker, before the Go runtime started. */
enum {
	CD_NOT_RUN = 0, /* the constructor is not linked in (internal linking) */
	CD_NONE,        /* no marker: an ordinary run of the program */
	CD_REFUSED,     /* a marker that does not count: this process never launches */
	CD_DAEMON,      /* we are the daemon */
};

/* cd_boot_result tells the state above; *fd is the report socket in
 * CD_DAEMON, -1 otherwise. */
int cd_boot_result(int *fd);

/* --- syslog(3) --- */

/* --- accounts: getpwnam(3), getgrnam(3) --- */

/* cd_static_glibc tells whether glibc is linked in statically. */
int cd_static_glibc(void);

/* cd_getpwnam, cd_getpwuid and cd_getgrnam are getpwnam_r(3) and its kin:
 * they fill *pw or *gr with pointers into buf, or its name is NULL. ERANGE asks
 * for a larger buf. Not found may be 0 or another errno, see the manual. */
int cd_getpwnam(const char *name, struct passwd *pw, char *buf, size_t size);
int cd_getpwuid(uid_t uid, struct passwd *pw, char *buf, size_t size);
int cd_getgrnam(const char *name, struct group *gr, char *buf, size_t size);

/* cd_getgrouplist is getgrouplist(3): *n is the room in groups, then how many
 * there are. ERANGE: there was too little room, and *n may say how much it takes. */
int cd_getgrouplist(const char *user, gid_t gid, gid_t *groups, int *n);

#endif
