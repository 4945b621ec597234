//go:build unix

// Package bench compares the library with what else does the same. Run it
// for either build:
//
//	go test -bench . -count 10 ./bench
//	CGO_ENABLED=0 go test -bench . -count 10 ./bench
package main

import (
	"os"
	"os/user"
	"testing"

	"github.com/madhadron/daemonize"
)

// lookedUp is an account of every system that is not ours: os/user remembers
// the current one.
func lookedUp(b *testing.B) string {
	const name = "nobody"
	if _, err := user.Lookup(name); err != nil || os.Getuid() == 65534 {
		b.Skip("needs an account called nobody, and not to be it")
	}
	return name
}

func BenchmarkGetpwnam(b *testing.B) {
	name := lookedUp(b)
	b.Run("daemonize", func(b *testing.B) {
		for b.Loop() {
			if _, err := daemonize.Getpwnam(name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("os/user", func(b *testing.B) {
		for b.Loop() {
			if _, err := user.Lookup(name); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGetgrnam(b *testing.B) {
	const name = "nogroup"
	if _, err := user.LookupGroup(name); err != nil {
		b.Skip("needs a group called nogroup")
	}
	b.Run("daemonize", func(b *testing.B) {
		for b.Loop() {
			if _, err := daemonize.Getgrnam(name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("os/user", func(b *testing.B) {
		for b.Loop() {
			if _, err := user.LookupGroup(name); err != nil {
				b.Fatal(err)
			}
		}
	})
}
