// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(cgo && !daemonizego)

package testbed

// UsesLibc is true in a build whose library calls libc.
const UsesLibc = false

// Musl is true where that libc is musl.
const Musl = false
