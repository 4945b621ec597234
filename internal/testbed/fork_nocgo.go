// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(cgo && !daemonizego)

package testbed

// Fork needs C: it returns -1.
func Fork() int { return -1 }
