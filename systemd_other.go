//go:build unix && (!linux || daemonizeother)

package daemonize

// What systemd_linux.go has, on other systems.

// monotonic: only systemd asks for it.
func monotonic() []string { return nil }
