// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && cgo && !daemonizego

package forkfirst

// #cgo CFLAGS: -Wall
import "C"
