// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(cgo && !daemonizego)

package main

// usesLibc tells which build of daemonize is measured.
const usesLibc = false
