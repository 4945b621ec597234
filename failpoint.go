// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !daemonizefailpoint

package daemonize

// failpoint does nothing but in tests that are built with the tag
// daemonizefailpoint: they kill a daemon at a stage of its start.
func failpoint(string) {}
