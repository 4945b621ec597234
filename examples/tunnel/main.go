// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Tunnel forwards TCP connections, in the background once it is up: a
// program that detaches itself, but is no service and has no verbs.
//
//	go build && ./tunnel 127.0.0.1:8080 example.com:80 && curl -H 'Host: example.com' http://127.0.0.1:8080/
//	pkill tunnel
//
// It tries the target first. Whatever fails before it forwards is an exit
// code and a message at the terminal:
//
//	$ ./tunnel 127.0.0.1:8080 127.0.0.1:1 || echo "exit $?"
//	tunnel: dial tcp 127.0.0.1:1: connect: connection refused
//	exit 1
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/madhadron/daemonize"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "Usage: tunnel LISTEN TARGET")
		os.Exit(2)
	}
	// Below this line we are the daemon; who started us waits for ready.
	ready, err := daemonize.Detach(false, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tunnel:", err)
		os.Exit(1)
	}
	listener, err := open(os.Args[1], os.Args[2])
	ready(err)
	if err != nil {
		os.Exit(1) // our launcher has said why
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			daemonize.Openlog("tunnel", daemonize.LOG_PID, daemonize.LOG_DAEMON)
			daemonize.Syslog(daemonize.LOG_ERR, err.Error())
			os.Exit(1)
		}
		go forward(client, os.Args[2])
	}
}

func open(address, target string) (net.Listener, error) {
	probe, err := net.DialTimeout("tcp", target, 10*time.Second)
	if err != nil {
		return nil, err
	}
	probe.Close()
	return net.Listen("tcp", address)
}

func forward(client net.Conn, target string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", target, 10*time.Second)
	if err != nil {
		return // the client sees the connection close
	}
	defer server.Close()
	go pass(server, client)
	pass(client, server)
}

// pass copies one direction, and passes on its end.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.TCPConn).CloseWrite()
}
