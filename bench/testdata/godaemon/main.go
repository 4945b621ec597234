// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// The program of github.com/VividCortex/godaemon in the benchmarks; it knows
// no pidfile and no stop. When it is up it writes its pid to the FIFO that
// $BENCH_READY names.
package main

import (
	"os"
	"strconv"
	"time"

	"github.com/VividCortex/godaemon"
)

func main() {
	if os.Args[1] == "nothing" {
		return
	}
	if _, _, err := godaemon.MakeDaemon(&godaemon.DaemonAttr{}); err != nil {
		os.Exit(1)
	}
	f, err := os.OpenFile(os.Getenv("BENCH_READY"), os.O_WRONLY, 0)
	if err != nil {
		os.Exit(1)
	}
	f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	f.Close()
	time.Sleep(time.Hour)
}
