//go:build unix && cgo && !daemonizego

package daemonize

/*
#include <stdlib.h>
#include <syslog.h>
static void cd_syslog(int p, const char *s) { syslog(p, "%s", s); }
*/
import "C"

import "unsafe"

func sysOpenlog(ident string, options Option, facility Priority) {
	C.openlog(C.CString(ident), C.int(options), C.int(facility))
}

func sysSyslog(priority Priority, message string) {
	c := C.CString(message)
	defer C.free(unsafe.Pointer(c))
	C.cd_syslog(C.int(priority), c)
}

func sysSetlogmask(mask int) int { return int(C.setlogmask(C.int(mask))) }

func sysCloselog() { C.closelog() }
