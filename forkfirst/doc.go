// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Package forkfirst makes a start cost one boot of the Go runtime, not two.
// Import it for its effect, in the program's main package:
//
//	import _ "github.com/madhadron/daemonize/forkfirst"
//
// That declares: my only argument start, or restart, means the daemon. Such a
// start then forks before the Go runtime has threads. The parent is the launcher
// and stays C; the child calls daemon(3), becomes the Go program and runs main,
// once, up to daemonize.Serviced, Service.Start, Detach or their kin, which find
// the work done. The promises are the same: ready or the reason, the exit codes,
// no daemon where the launcher was interrupted.
//
// # When not to use it
//
//   - The program's command start is no daemon, but stays in the foreground.
//   - It prompts on the terminal or reads standard input before the daemon is
//     ready: it already runs in a session of its own, without a controlling
//     terminal, and Ctrl-C reaches the launcher alone.
//   - Code after Service.Start must run once the daemon is up: here the launcher
//     just ends, with status 0, and never was a Go program.
//   - A preloaded or linked C library opens descriptors before main that it
//     needs later: the daemon has none but 0, 1 and 2.
//   - It is built as a shared library.
//
// # What is different
//
//   - main runs once. Up to the call it has the terminal's standard input, output
//     and error; at the call, the first two become /dev/null, and standard error
//     when the daemon is ready.
//   - What main opens before the call, a listening socket or a locked file, say, stays
//     with the daemon. By the ordinary way the launcher still has it when main runs
//     again, and the second listen(2) or lock fails.
//   - Config.StartTimeout counts from the call, and the daemon alone sees to it.
//   - An error from before the start proper, such as *RunningError, is returned by
//     Service.Start in the process that would have become the daemon; the launcher
//     ends with that process's exit status.
//   - A program that ends before the call shows its own output; the launcher adds
//     that it ended there, and ends with its exit status, or with 1 if that was 0.
//   - Until it is ready the daemon is a child of the launcher, not of PID 1.
//
// With other arguments, and when in doubt, the ordinary way is taken: as PID 1, in
// set-user-ID programs, where a library has started threads, where one of the
// standard descriptors is closed, without /proc, where fork(2) fails, in builds
// without cgo or with the tag daemonizego, on other systems than Linux.
package forkfirst
