// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && race

package testbed

// Race is true in a build with the race detector.
const Race = true
