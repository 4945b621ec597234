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

/* --- accounts: getpwnam(3), getgrnam(3) --- */

#endif
