//go:build unix && cgo && !daemonizego

#include <string.h>
#include <syslog.h>

#include "cdaemon.h"

/* --- syslog(3) --- */

void cd_openlog(const char *ident, int length, int option, int facility)
{
	static char tags[2][CD_MAX_IDENT + 1];
	static int next;
	char *tag = tags[next];

	next = !next;
	memcpy(tag, ident, (size_t)length);
	tag[length] = '\0';
	openlog(tag, option, facility);
}

void cd_syslog(int priority, const char *message, int length)
{
	syslog(priority, "%.*s", length, message);
}
