// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Package forkfirst makes a start cost one boot of the Go runtime, not two.
// Import it for its effect, in the program's main package:
//
//	import (
//		"github.com/madhadron/daemonize"
//		_ "github.com/madhadron/daemonize/forkfirst" // start and restart, alone, mean the daemon
//	)
//
// By this import the program declares that start or restart, as its only argument,
// starts the daemon. Such a start forks before the Go runtime has threads. The parent is
// the launcher, and stays C. The child calls daemon(3), becomes the Go program and runs
// main, once, up to daemonize.Serviced, Service.Start, Detach or the like. These find
// that the process is a daemon already. The promises are the same: ready or the reason,
// the exit codes, no daemon where the launcher was interrupted.
//
// # When not to use it
//
//   - The program's command start makes no daemon, but stays in the foreground.
//   - The program prompts on the terminal or reads standard input before the daemon is
//     ready: it already runs in a session of its own, without a controlling
//     terminal, and Ctrl-C reaches the launcher alone.
//   - Code after Service.Start must run once the daemon is ready: here the launcher is
//     no Go program, and ends with status 0.
//   - The program is built as a shared library.
//
// # What is different
//
//   - main runs once. Up to the call it has the terminal's standard input, output
//     and error; at the call, the first two become /dev/null, and standard error
//     when the daemon is ready.
//   - What main opens before the call, a listening socket or a locked file, say, stays
//     open in the daemon. Without this package the launcher still has it open when main
//     runs again, and the second listen(2) or lock fails.
//   - Config.StartTimeout counts from the call. The daemon ends itself then; no launcher
//     kills it.
//   - If the start is refused, by a *RunningError say, Service.Start returns the error in
//     the process that would have become the daemon. The launcher ends with that
//     process's exit status.
//   - If the program ends before the call, the launcher says so, and ends with the
//     program's exit status, or with 1 if that was 0.
//   - Until the daemon is ready it is a child of the launcher, not of PID 1.
//
// A start goes the ordinary way, in two runs of the program, with other arguments, as PID
// 1, in set-user-ID programs, where a library has started threads, where one of the
// standard descriptors is closed, without /proc, where fork(2) fails, in builds without
// cgo or with the tag daemonizego, and on systems other than Linux.
package forkfirst
