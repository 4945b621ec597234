//go:build unix && !linux

package daemonize

// monotonic: only systemd asks for it.
func monotonic() []string { return nil }
