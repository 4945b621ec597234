// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// timedMainC is the rest of a C loop: it reads how often to call once and writes
// how many nanoseconds that took.
const timedMainC = `
#include <stdio.h>
#include <time.h>
int main(int argc, char **argv)
{
	struct timespec a, b;
	long i, n;
	prepare(argv + 1);
	while (scanf("%ld", &n) == 1) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (i = 0; i < n; i++)
			once(argv + 1);
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("%ld\n", (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);
		fflush(stdout);
	}
	return 0;
}
`

// timedC starts a C program that calls once, which source has, next to
// prepare; nil, with a message, where it cannot be built.
func timedC(source string, args []string, libraries ...string) func(n int) time.Duration {
	dir, err := os.MkdirTemp("", "bench")
	must(err)
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "loop")
	cc := exec.Command("gcc", append([]string{"-O2", "-x", "c", "-o", program, "-"}, libraries...)...)
	cc.Stdin = strings.NewReader(source + timedMainC)
	if out, err := cc.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: left out: C: needs gcc and its libraries (apt-get install gcc libc6-dev libbsd-dev): %v %s\n", err, out)
		return nil
	}
	c := exec.Command(program, args...)
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := c.StdinPipe()
	must(err)
	out, err := c.StdoutPipe()
	must(err)
	must(c.Start())
	return func(n int) time.Duration {
		fmt.Fprintln(in, n)
		var ns int64
		_, err := fmt.Fscan(out, &ns)
		must(err)
		return time.Duration(ns)
	}
}
