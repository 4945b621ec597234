// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// What bench/ compares with libbsd's pidfile(3): go run ./bench pidfile.

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkPidfile is all that a daemon does with its pidfile.
func BenchmarkPidfile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.pid")
	for b.Loop() {
		p, err := acquire(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.write(fmt.Sprint(os.Getpid())); err != nil {
			b.Fatal(err)
		}
		p.remove()
	}
}

func BenchmarkStatusRunning(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.pid")
	p, err := acquire(path)
	if err != nil {
		b.Fatal(err)
	}
	defer p.remove()
	if err := p.write(fmt.Sprint(os.Getpid())); err != nil {
		b.Fatal(err)
	}
	benchmarkStatus(b, path, Running)
}

func BenchmarkStatusStopped(b *testing.B) {
	benchmarkStatus(b, filepath.Join(b.TempDir(), "bench.pid"), Stopped)
}

func benchmarkStatus(b *testing.B, path string, want State) {
	b.Helper()
	for b.Loop() {
		if status, err := probe(path); err != nil || status.State != want {
			b.Fatal(status, err)
		}
	}
}
