// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

/*
 * cdaemon.h: all C of the library, seen from Go. Functions return 0 or a
 * positive errno unless they say otherwise; results come through pointers.
 */
#ifndef CDAEMON_H
#define CDAEMON_H

#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <sys/types.h>

/* Tests compile on Linux what other systems get: with CD_OTHER (the tag
 * daemonizeother) all of it, with CD_EXEC_AGAIN (daemonizeexecagain) what
 * macOS does after daemon(3). */
#if defined(__linux__) && !defined(CD_OTHER)
#define CD_LINUX
#endif
#if defined(__APPLE__) || defined(CD_EXEC_AGAIN)
#define CD_EXECS_AGAIN 1
#else
#define CD_EXECS_AGAIN 0
#endif

/* The variable by which a launcher tells the copy of itself that it starts
 * to become the daemon: "PID:FD", the launcher's pid and the descriptor of
 * the report socket. With CD_EXECS_AGAIN there is a second one, of cd_exec_again:
 * "PID:FD:SID". daemon.go has the same name. */
#define CD_MARKER "DAEMONIZE_BOOT"

/* What the constructor made of the marker, before the Go runtime started. */
enum {
	CD_NOT_RUN = 0, /* the constructor is not linked in (internal linking) */
	CD_NONE,        /* no marker: an ordinary run of the program */
	CD_REFUSED,     /* a marker that does not count: this process never launches */
	CD_DAEMON,      /* we are the daemon */
	CD_FORKED       /* we are the daemon, by way of cd_forkfirst: no launcher in
	                 * Go has checked anything */
};

/* A message on the report socket; frame.go has the same layout. len bytes of
 * text follow it. Both ends are the same program: native byte order. */
struct cd_frame {
	uint8_t kind;  /* CD_BOOTED, … */
	uint8_t code;  /* CD_BOOTED: 1 if the launcher's child ends as the daemon does;
	                * CD_BOOT_ERROR: CD_IN_DAEMON, …; CD_STAGE: 1 if the launcher is to
	                * end with the daemon's exit status; CD_FAILED: the exit code */
	uint16_t len;
	int32_t num;   /* CD_BOOTED: the daemon's pid; CD_BOOT_ERROR: errno */
};
enum {
	CD_BOOTED = 'b',     /* the daemon is there */
	CD_BOOT_ERROR = 'f', /* a call failed before Go: there is no daemon */
	CD_STAGE = 's',      /* how far the start has come */
	CD_NOT_DAEMON = 'o', /* the process is no daemon, and prints its own errors */
	CD_READY = 'r',
	CD_FAILED = 'e'
};
enum { CD_IN_DAEMON = 1, CD_IN_FORK, CD_WITH_THREADS, CD_IN_EXEC = 5, CD_IN_CLOSE };

/* cd_boot_result tells the state above. *fd is the report socket, close on
 * exec, in states CD_DAEMON and CD_FORKED; else it is -1. Called by Go in any
 * process. */
int cd_boot_result(int *fd);

/* cd_is_secure is true in a set-user-ID program, whose caller must not choose
 * what becomes a daemon. Called by the constructor. */
int cd_is_secure(void);

/* cd_peer_is is true if fd is a socket whose other end the process pid has made,
 * as far as the system tells. While pid is our parent, it cannot be another
 * process's. Called by the constructor. */
int cd_peer_is(int fd, pid_t pid);

/* cd_exec_again runs this program once more, with the marker "PID:FD:SID" of the
 * launcher, the report socket and our session. It returns only if that failed,
 * and leaves errno. Called by the constructor, once daemon(3) has been. */
void cd_exec_again(int launcher, int fd, char **argv);

/* cd_forkfirst forks if the program's only argument is start or restart.
 * It returns the report socket in the child. The two descriptors behind that
 * are the ends of a pipe, which the launcher shows on its standard error;
 * the child has no others but 0 to 2. The parent is the launcher and does not return. -1: nothing has
 * happened, and nothing is left of it; the ordinary way is open. Called by the
 * constructor, in a process without a marker that is not PID 1 and not
 * set-user-ID, with cd_close_from. It is in forkfirst/forkfirst.c, and NULL without that
 * package. */
int cd_forkfirst(int (*close_from)(int));

/* cd_close_in_forks has fd closed in children that C code forks: exec closes
 * it by its close-on-exec flag, a bare fork(2) would share our lock, or the
 * launcher's socket. which is 0 or 1: there is room for two; fd -1 for none.
 * Called by Go in the daemon, not twice at a time. */
int cd_close_in_forks(int which, int fd);

/* cd_has_threads tells whether a library has started threads before the program.
 * cd_leave_session_keyring gives root's daemon a session keyring of its own.
 * cd_in_executable tells whether this code is part of the program itself, not of a
 * shared object. Called by the constructor. */
int cd_has_threads(void);
void cd_leave_session_keyring(void);
int cd_in_executable(void);

/* cd_close_from closes the descriptors from first on. 0 or -1 with errno. Called by the
 * constructor, in the process that becomes the daemon. */
int cd_close_from(int first);

/* cd_stay forks. The child becomes the daemon; the parent waits for the daemon's
 * end and ends as it did, unless the launcher kills it before, because the daemon
 * is ready. It returns in the child, and where this is not to be had: on other
 * systems than Linux. cd_tell_pid, in the daemon, tells the parent the daemon's
 * pid, and whether there is such a parent. Called by the constructor. */
void cd_stay(int fd);
int cd_tell_pid(void);

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
