// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The table pidfile: all that a daemon does with its pidfile, and a look at
// one whose daemon runs. It needs libbsd-dev; without, the C rows are left out.

func init() { benches["pidfile"] = benchPidfile }

// pidfileC is what a C daemon does, or with a second argument, what one does
// that finds another running: libbsd's pidfile(3) knows no status.
const pidfileC = `
#include <bsd/libutil.h>
#include <errno.h>
#include <stdlib.h>
static void prepare(char **args)
{
	if (args[1] != NULL)
		pidfile_write(pidfile_open(args[0], 0600, NULL));
}
static void once(char **args)
{
	pid_t pid = 0;
	struct pidfh *file = pidfile_open(args[0], 0600, &pid);
	if (args[1] != NULL ? file != NULL || errno != EEXIST || pid == 0 : file == NULL || pidfile_write(file) != 0 || pidfile_remove(file) != 0)
		abort();
}
`

// The most that Status of a running daemon may take, times libbsd's EEXIST.
const mostStatus = 5

func benchPidfile() (bool, error) {
	dir, err := os.MkdirTemp("/dev/shm", "bench") // a tmpfs, as /run is
	if err != nil {
		dir, err = os.MkdirTemp("", "bench")
		must(err)
	}
	defer os.RemoveAll(dir)
	tests := filepath.Join(dir, "daemonize.test")
	must(command("", nil, "go", "test", "-c", "-o", tests, "github.com/madhadron/daemonize"))
	var before string // the same of -against
	if *againstDir != "" {
		before = filepath.Join(dir, "against.test")
		must(command(*againstDir, nil, "go", "test", "-c", "-o", before, "github.com/madhadron/daemonize"))
	}

	held := filepath.Join(dir, "held.pid")
	lock, err := unix.Open(held, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	must(err)
	must(unix.Flock(lock, unix.LOCK_EX))
	_, err = unix.Write(lock, []byte(strconv.Itoa(os.Getpid())))
	must(err)

	const (
		life, lifeC, lifeGo       = "lock, write, remove", "the same, libbsd's pidfile(3)", "the same, bare flock(2)"
		status, statusC, statusGo = "Status, running", "the same, libbsd's pidfile(3)'s EEXIST", "the same, bare flock(2)"
	)
	one := []contender{
		{name: life, measure: benchmark(tests, dir, "Pidfile"), rivals: []rival{{name: lifeC}, {name: lifeGo}}},
		{name: lifeGo, measure: loop(func() { bareLife(filepath.Join(dir, "bare.pid")) })},
	}
	two := []contender{
		{name: status, measure: benchmark(tests, dir, "StatusRunning"), rivals: []rival{{name: statusC, most: mostStatus}, {name: statusGo}}},
		{name: statusGo, measure: loop(func() { bareStatus(held) })},
		{name: "Status, stopped", measure: benchmark(tests, dir, "StatusStopped")},
	}
	if before != "" {
		// Each benchmark has a directory of its own below TMPDIR: their files do not meet.
		for _, c := range []struct {
			table *[]contender
			ours  int
			name  string
		}{{&one, 0, "Pidfile"}, {&two, 0, "StatusRunning"}, {&two, 2, "StatusStopped"}} {
			ours := &(*c.table)[c.ours]
			ours.rivals = append(ours.rivals, rival{name: ours.name + againstSuffix, most: mostAgainst})
			*c.table = append(*c.table, contender{name: ours.name + againstSuffix, measure: benchmark(before, dir, c.name)})
		}
	}
	if c := timedC(pidfileC, []string{filepath.Join(dir, "c.pid")}, "-lbsd"); c != nil {
		one = append(one, contender{name: lifeC, measure: c})
	}
	if c := timedC(pidfileC, []string{filepath.Join(dir, "c-held.pid"), "status"}, "-lbsd"); c != nil {
		two = append(two, contender{name: statusC, measure: c})
	}
	within := printTable("pidfile", one, 101, 200)
	return printTable("status", two, 101, 200) && within, nil
}

var nsPerOp = regexp.MustCompile(`([0-9.]+) ns/op`)

// benchmark measures by a benchmark of the library's own: what it calls is not exported.
func benchmark(tests, dir, name string) func(n int) time.Duration {
	return func(n int) time.Duration {
		c := exec.Command(tests, "-test.run=^$", "-test.bench=^Benchmark"+name+"$", fmt.Sprintf("-test.benchtime=%dx", n))
		c.Env = append(os.Environ(), "TMPDIR="+dir)
		c.Dir = dir
		out, err := c.CombinedOutput()
		found := nsPerOp.FindSubmatch(out)
		if err == nil && found == nil {
			err = fmt.Errorf("no benchmark %s: %s", name, out)
		}
		must(err)
		ns, err := strconv.ParseFloat(string(found[1]), 64)
		must(err)
		return time.Duration(ns * float64(n))
	}
}

// bareLife is what most programs do.
func bareLife(path string) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	must(err)
	must(unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB))
	must(unix.Ftruncate(fd, 0))
	_, err = unix.Write(fd, []byte(strconv.Itoa(os.Getpid())))
	must(err)
	must(unix.Unlink(path))
	must(unix.Close(fd))
}

func bareStatus(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(err)
	if unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) != unix.EWOULDBLOCK {
		must(fmt.Errorf("%s is free", path))
	}
	b := make([]byte, 16)
	n, err := unix.Read(fd, b)
	must(err)
	_, err = strconv.Atoi(string(b[:n]))
	must(err)
	must(unix.Close(fd))
}
