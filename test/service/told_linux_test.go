// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// What an administrator is told of a stop, and of how the program was started.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/madhadron/daemonize/internal/testdaemon"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestDeafActionIsKilledAndNamed(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	log := testbed.Hear(t)
	env := []string{"DO=ignores TERM", "AS=root", "STOP_TIMEOUT_MS=300"}
	testbed.Run(t, 0, testdaemon.Command("start", env...))
	for _, verb := range []string{"restart", "stop"} {
		pid := testbed.PIDIn(t, "/run/svc.pid")
		_, stderr := testbed.Run(t, 0, testdaemon.Command(verb, env...))
		said := fmt.Sprintf("the daemon (pid %d) did not end within 300ms of SIGTERM and was killed: its action must return when its context ends", pid)
		assert.Equal(t, "svc: "+said+"\n", stderr, verb)
		log.WaitFor(t, said)
	}
	testdaemon.NothingLeft(t)
}

// Verbs do their work although nobody reads their messages, as in restart 2>&1 | head -1. status, whose
// work is its message, fails.
func TestNobodyReadsTheMessages(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Run(t, 0, testdaemon.Command("start", "DO=ignores TERM", "AS=root"))
	old := testbed.PIDIn(t, "/run/svc.pid")
	nobody, stderr, err := os.Pipe()
	require.NoError(t, err)
	defer stderr.Close()
	nobody.Close()
	c := testdaemon.Command("restart", "DO=warns", "STOP_TIMEOUT_MS=300") // says that it kills, and what the new daemon says
	c.Stderr = stderr
	require.NoError(t, c.Run())
	pid := testbed.PIDIn(t, "/run/svc.pid")
	assert.NotEqual(t, old, pid)
	assert.True(t, testbed.Alive(pid))

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	c = testdaemon.Command("status")
	var said strings.Builder
	c.Stdout, c.Stderr = full, &said
	_ = c.Run()
	assert.Equal(t, 4, c.ProcessState.ExitCode())
	assert.Equal(t, "svc: status: cannot print it: write /dev/stdout: no space left on device\n", said.String())
	testbed.Run(t, 0, testdaemon.Command("stop"))
	testdaemon.NothingLeft(t)
}

// server is the usual server of net/http, and one that fails while it stops.
var _ = testbed.Helper("server", func() {
	daemonize.Serviced(func(ctx context.Context, l net.Listener) error {
		s := &http.Server{}
		late := make(chan error, 1)
		context.AfterFunc(ctx, func() {
			done, cancel := context.WithCancel(context.Background())
			defer cancel()
			if os.Getenv("DO") == "late" {
				done, cancel = context.WithTimeout(context.Background(), 1)
				defer cancel()
				<-done.Done()
				late <- fmt.Errorf("shutdown: %w", done.Err())
			}
			if os.Getenv("DO") == "closed" { // without Shutdown, of which Serve may hear first
				l.Close()
				return
			}
			s.Shutdown(done)
		})
		daemonize.Syslog(daemonize.LOG_INFO, "serving")
		err := s.Serve(l)
		switch os.Getenv("DO") {
		case "wrapped":
			err = fmt.Errorf("serve: %w", err)
		case "late":
			err = <-late
		case "full":
			err = errors.Join(err, &os.PathError{Op: "write", Path: "/state", Err: unix.ENOSPC})
		}
		return err
	}, &daemonize.Config[net.Listener]{
		Name:             "svc",
		User:             "root",
		PrivilegedAction: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	})
})

func TestCleanStopOfAServerIsNoFailure(t *testing.T) {
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	log := testbed.Hear(t)
	for do, want := range map[string]struct {
		code int
		said string
	}{
		"shutdown": {0, "Stopped: http: Server closed"},
		"wrapped":  {0, "Stopped: serve: http: Server closed"},
		"closed":   {0, "use of closed network connection"},
		"late":     {1, "shutdown: context deadline exceeded"},
		"full":     {1, "no space left on device"},
	} {
		log.Forget()
		c := testbed.Command("server", "run")
		c.Env = append(c.Env, "DO="+do)
		r := testbed.RunInForeground(t, c)
		log.WaitFor(t, "serving")
		r.Kill(unix.SIGTERM)
		assert.Equal(t, want.code, r.Exits(), do)
		log.WaitFor(t, want.said)
		if want.code == 1 {
			assert.NotContains(t, log.Text(), "Stopped:", do)
		}
	}
}

func TestFatalErrorIsKeptWithoutTraceback(t *testing.T) {
	if testbed.Race {
		t.Skip("the race detector sees the map first")
	}
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	log := testbed.Hear(t)
	becomesDead(t, log, "DO=map", "GOTRACEBACK=none")
	_, said := testdaemon.Do(t, "status")
	assert.Contains(t, said, "It crashed: probably concurrent use of a map: internal/runtime/maps.fatal")
}

func TestStartThroughTheLoaderSaysSo(t *testing.T) {
	testbed.NeedLinuxBuild(t, "/proc/self/exe")
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	if !testbed.UsesLibc {
		t.Skip("needs cgo: a program without it has no dynamic loader")
	}
	interp := testbed.Must(exec.Command("sh", "-c", "readelf -l "+testbed.Must(os.Executable())+" | sed -n 's/.*interpreter: \\(.*\\)]/\\1/p'").Output())
	loader := string(regexp.MustCompile(`\S+`).Find(interp))
	if loader == "" {
		t.Skip("needs a dynamic loader, and readelf(1): apt-get install binutils")
	}
	c := testdaemon.Command("start")
	c.Args = append([]string{loader, "--argv0", c.Args[0], c.Path}, c.Args[1:]...)
	c.Path = loader
	_, stderr := testbed.Run(t, 1, c)
	resolved := testbed.Must(filepath.EvalSymlinks(loader))
	assert.Contains(t, stderr, "svc: start runs "+resolved+" again, which /proc/self/exe names, but this code is in ")
	assert.Contains(t, stderr, "start the program by its own path, not through the dynamic loader ld.so(8)")
	testdaemon.NothingLeft(t)
}

// host loads the library of testdata/cshared and runs its verb.
const host = `#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	void *l = dlopen(argv[1], RTLD_NOW);
	int (*verb)(char *) = l ? (int (*)(char *))dlsym(l, "Verb") : 0;
	if (!verb) { puts(dlerror()); return 99; }
	return verb(argv[2]);
}`

func TestSharedObjectCannotStartAndSaysWhatCan(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a shared object: run without -short")
	}
	if !testbed.UsesLibc {
		t.Skip("needs cgo: buildmode c-shared")
	}
	if !testbed.IsolateRootOneWay(t) {
		return
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "host.c"), []byte(host), 0o600))
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", filepath.Join(dir, "lib.so"), "./testdata/cshared")
	if said, err := build.CombinedOutput(); err != nil {
		t.Skipf("needs what builds a shared object: %s", said)
	}
	said, err := exec.Command("gcc", "-o", filepath.Join(dir, "host"), filepath.Join(dir, "host.c"), "-ldl").CombinedOutput()
	require.NoError(t, err, "%s", said)
	verb := func(verb string) *exec.Cmd {
		c := exec.Command(filepath.Join(dir, "host"), filepath.Join(dir, "lib.so"), verb)
		c.Env = append(os.Environ(), "DAEMONIZE_BOOT=") // the constructor leaves it alone there
		return c
	}
	_, stderr := testbed.Run(t, 3, verb("status"))
	assert.Empty(t, stderr)
	plain := verb("start")
	plain.Env = nil
	_, stderr = testbed.Run(t, 1, plain)
	assert.Equal(t, "svc: start runs the program again, which code built with -buildmode=c-shared cannot: "+
		"use the verb run under a supervisor, or build a program of its own with -buildmode=exe or pie\n", stderr)
	run := verb("run")
	run.Env = nil
	testbed.Run(t, 0, run)
}
