//go:build unix && cgo && !daemonizego

/* --- accounts: getpwnam(3), getgrnam(3) --- */

#include <errno.h>
#include <stddef.h>
#include "cdaemon.h"
#ifdef __GLIBC__
#include <sys/auxv.h>
#endif

int cd_static_glibc(void)
{
#ifdef __GLIBC__
	return getauxval(AT_BASE) == 0; /* no dynamic loader */
#else
	return 0;
#endif
}

int cd_getpwnam(const char *name, struct passwd *pw, char *buf, size_t size)
{
	struct passwd *found = NULL;
	int e = getpwnam_r(name, pw, buf, size, &found);

	if (found == NULL)
		pw->pw_name = NULL;
	return e;
}

int cd_getpwuid(uid_t uid, struct passwd *pw, char *buf, size_t size)
{
	struct passwd *found = NULL;
	int e = getpwuid_r(uid, pw, buf, size, &found);

	if (found == NULL)
		pw->pw_name = NULL;
	return e;
}

int cd_getgrnam(const char *name, struct group *gr, char *buf, size_t size)
{
	struct group *found = NULL;
	int e = getgrnam_r(name, gr, buf, size, &found);

	if (found == NULL)
		gr->gr_name = NULL;
	return e;
}

int cd_getgrouplist(const char *user, gid_t gid, gid_t *groups, int *n)
{
	/* gid_t here, int on macOS */
	return getgrouplist(user, gid, (void *)groups, n) < 0 ? ERANGE : 0;
}
