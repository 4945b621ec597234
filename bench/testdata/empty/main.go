// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// The empty program in the benchmarks: what any Go program costs to exec and
// boot, without this library and without a daemon. cgo.go makes it one with cgo.
package main

func main() {}
