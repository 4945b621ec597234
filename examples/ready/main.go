// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Shop is a server that needs some time, and a database, before it can serve. It
// opens that as the user that it becomes, not as root, and says itself when it is
// ready: start waits for that.
//
//	go build -o shop && ./shop start && curl http://localhost:8081/
//	./shop stop
//	SHOP_DATABASE=/nowhere ./shop start; echo "exit $?"
//
// The last one prints why it cannot open the database, and exit 1.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/madhadron/daemonize"
)

func main() {
	daemonize.Serviced(serve, &daemonize.Config[net.Listener]{
		Name:             "shop",
		PidfileDirectory: runtimeDirectory(),
		ReadyByAction:    true,
		StartTimeout:     time.Minute,
		PrivilegedAction: func() (net.Listener, error) { return net.Listen("tcp", "localhost:8081") },
	})
}

// serve runs as the unprivileged user.
func serve(ctx context.Context, listener net.Listener) error {
	daemonize.SetStatus("opening the database") // start shows it if it takes long
	goods, err := openDatabase()
	if err != nil {
		return err // the start fails with this
	}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "%d goods\n", len(goods))
		}),
	}
	context.AfterFunc(ctx, func() { server.Close() })
	daemonize.SetStatus("")
	daemonize.Ready() // start ends here, with status 0
	return server.Serve(listener)
}

// openDatabase stands for one: a directory.
func openDatabase() ([]os.DirEntry, error) {
	directory := os.Getenv("SHOP_DATABASE")
	if directory == "" {
		directory = filepath.Dir(os.DevNull)
	}
	return os.ReadDir(directory)
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
