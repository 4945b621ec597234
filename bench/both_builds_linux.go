// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const envBuild = "BENCH_BUILD" // set in the copy that was built with the other setting of cgo

// buildName names the build of daemonize that is measured.
func buildName() string {
	if usesLibc {
		return "cgo"
	}
	return "pure Go"
}

// inBothBuilds measures a table here and in a copy of this command that is built with the
// other build of daemonize, without cgo or with it.
func inBothBuilds(table string, measure func() (bool, error)) func() (bool, error) {
	return func() (bool, error) {
		if os.Getenv(envBuild) != "" || os.Getenv(envStage) != "" {
			return measure()
		}
		within, err := measure()
		if err != nil {
			return false, err
		}
		dir, err := os.MkdirTemp("", "bench")
		must(err)
		defer os.RemoveAll(dir)
		other, cgo := filepath.Join(dir, "bench"), "CGO_ENABLED=1"
		if usesLibc {
			cgo = "CGO_ENABLED=0"
		}
		if err := command("", []string{cgo}, "go", "build", "-o", other, "github.com/madhadron/daemonize/bench"); err != nil {
			fmt.Fprintf(os.Stderr, "bench: left out: %s with %s: %v\n", table, cgo, err)
			return within, nil
		}
		c := exec.Command(other, table)
		c.Env = append(os.Environ(), envBuild+"=other")
		too, err := verdict(c)
		return within && too, err
	}
}
