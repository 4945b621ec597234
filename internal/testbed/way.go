// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package testbed

import (
	"encoding/json"
	"os"
	"slices"
)

// The ways to a daemon, one of which the environment names. The test binary
// imports package forkfirst, so its helpers go by their arguments as any
// program's: start and restart alone fork first.
const (
	envWay    = "TESTBED_WAY"
	envArgs   = "TESTBED_ARGS" // the helper's own arguments, where argv says something else
	reexec    = "re-exec"
	byReexec  = "by re-exec" // an argument that keeps start and restart from forking first
	forkFirst = "fork first"
)

// ForksFirst is true where helper programs become daemons by package forkfirst.
func ForksFirst() bool { return os.Getenv(envWay) == forkFirst }

// launchers are the helpers whose every command is a start.
var launchers = map[string]bool{}

// Launcher is Helper for a program that becomes a daemon whatever its
// arguments are.
func Launcher(name string, program func()) bool {
	launchers[name] = true
	return Helper(name, program)
}

// argv is what the helper is to be started with, and the variable that tells
// it what it would have been started with.
func argv(helper string, args []string) (argv []string, env string) {
	isVerb := len(args) == 1 && (args[0] == "start" || args[0] == "restart")
	own, _ := json.Marshal(append([]string{}, args...))
	switch {
	case ForksFirst() && launchers[helper] && !isVerb:
		args = []string{"start"}
	case !ForksFirst() && isVerb:
		own, args = nil, []string{args[0], byReexec}
	default:
		own = nil
	}
	return append([]string{helper}, args...), envArgs + "=" + string(own)
}

// restoreArgs gives a helper its own arguments.
func restoreArgs() {
	if n := len(os.Args); os.Args[n-1] == byReexec {
		os.Args = os.Args[:n-1]
	}
	var args []string
	if json.Unmarshal([]byte(os.Getenv(envArgs)), &args) == nil {
		os.Args = slices.Concat(os.Args[:1], args)
	}
	os.Unsetenv(envArgs)
}
