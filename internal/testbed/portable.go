// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !daemonizeother

package testbed

// Portable is true with the tag daemonizeother, which has Linux compile what other
// systems get.
const Portable = false
