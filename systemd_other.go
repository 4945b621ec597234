// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && (!linux || daemonizeother)

package daemonize

// What systemd_linux.go has, on other systems.

// monotonic: only systemd asks for it.
func monotonic() []string { return nil }
