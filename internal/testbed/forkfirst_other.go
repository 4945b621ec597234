// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(linux && !daemonizeother && cgo && !daemonizego)

package testbed

const canForkFirst = false
