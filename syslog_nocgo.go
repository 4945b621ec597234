//go:build unix && !(cgo && !daemonizego)

package daemonize

import (
	"fmt"
	"net"
	"os"
	"time"
)

var logIdent = "x"

func sysOpenlog(ident string, options Option, facility Priority) { logIdent = ident }

func sysSyslog(priority Priority, message string) {
	c, err := net.Dial("unixgram", "/dev/log")
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "<%d>%s %s[%d]: %s", priority|LOG_DAEMON, time.Now().Format(time.Stamp), logIdent, os.Getpid(), message)
}

func sysSetlogmask(mask int) int { return 255 }

func sysCloselog() {}
