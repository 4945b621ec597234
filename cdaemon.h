/*
 * cdaemon.h: all C of the library, seen from Go. Functions return 0 or a
 * positive errno; results come through pointers.
 */
#ifndef CDAEMON_H
#define CDAEMON_H

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

/* The longest ident, in bytes. */
#define CD_MAX_IDENT 255

/* The longest message, in bytes, of which no part is lost: see Syslog. */
#ifdef __GLIBC__
#define CD_MAX_MESSAGE 7680
#else
#define CD_MAX_MESSAGE 900
#endif

/* cd_openlog is openlog(3) with the first length bytes of ident, at most
 * CD_MAX_IDENT. libc keeps the pointer, so it gets a copy: one of two static
 * ones in turn, since another thread of the program may be logging with the
 * one before until openlog returns. Calls must not overlap. */
void cd_openlog(const char *ident, int length, int option, int facility);

/* cd_syslog is syslog(3) with the first length bytes of message, which needs
 * no NUL and is not kept. It copies and allocates nothing of its own. It may
 * block; see Syslog. */
void cd_syslog(int priority, const char *message, int length);

/* --- accounts: getpwnam(3), getgrnam(3) --- */

#endif
