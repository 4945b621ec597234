// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Httpd binds port 80 as root and serves as an unprivileged user.
//
//	go build && sudo ./httpd start && curl http://localhost/ && sudo ./httpd stop
//
// Started by anyone else it stays who it is, serves on port 8080 and keeps
// its pidfile in XDG_RUNTIME_DIR or the temporary directory.
//
// Under systemd it serves on the socket that systemd listens on for it:
//
//	go build && sudo cp httpd /usr/local/sbin/ && sudo cp httpd.socket httpd.service /etc/systemd/system/
//	sudo systemctl daemon-reload && sudo systemctl start httpd.socket && curl http://localhost/
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/madhadron/daemonize"
)

func main() {
	daemonize.Serviced(serve, &daemonize.Config[net.Listener]{
		PrivilegedAction: listen,
		Name:             "httpd",
		SyslogOptions:    daemonize.LOG_PID,
		PidfileDirectory: runtimeDirectory(),
	})
}

// listen runs as root, if root started us: ports below 1024 need it.
func listen() (net.Listener, error) {
	if files := daemonize.ListenFiles(); len(files) > 0 {
		return net.FileListener(files[0])
	}
	if os.Geteuid() == 0 {
		return net.Listen("tcp", ":80")
	}
	return net.Listen("tcp", ":8080")
}

// serve runs as the unprivileged user, with the listener that root made.
func serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "Hello from uid %d.\n", os.Getuid())
		}),
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done() // stop allows 4 seconds
		deadline, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		stopped <- server.Shutdown(deadline)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// runtimeDirectory is where a user without root may write a pidfile; "" is
// the default, /var/run.
func runtimeDirectory() string {
	if os.Geteuid() == 0 {
		return ""
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return os.TempDir()
}
