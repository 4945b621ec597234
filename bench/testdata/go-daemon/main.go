// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// The program of github.com/sevlyar/go-daemon in the benchmarks, with a
// pidfile, as its manual shows. When it is up it writes its pid to the
// FIFO that $BENCH_READY names.
package main

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/sevlyar/go-daemon"
)

func main() {
	context := &daemon.Context{
		PidFileName: filepath.Join(os.Getenv("BENCH_DIR"), "go-daemon.pid"),
		PidFilePerm: 0o644,
		WorkDir:     "/",
		Umask:       0o22,
	}
	switch os.Args[1] {
	case "nothing":
		return
	case "status": // its manual's way: is there a process of this pid?
		d, err := context.Search()
		if err != nil || d.Signal(syscall.Signal(0)) != nil {
			os.Exit(1)
		}
		return
	case "stop": // its manual's way: the signal, and no waiting
		d, err := context.Search()
		if err != nil || d.Signal(syscall.SIGTERM) != nil {
			os.Exit(1)
		}
		return
	}
	child, err := context.Reborn()
	if err != nil {
		os.Exit(1)
	}
	if child != nil {
		return
	}
	defer context.Release()
	f, err := os.OpenFile(os.Getenv("BENCH_READY"), os.O_WRONLY, 0)
	if err != nil {
		os.Exit(1)
	}
	f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	f.Close()
	daemon.SetSigHandler(func(os.Signal) error { return daemon.ErrStop }, syscall.SIGTERM)
	daemon.ServeSignals()
}
