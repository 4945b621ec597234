// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(cgo && !daemonizego)

package testbed

// Fault does nothing in a build without C.
func Fault() {}
