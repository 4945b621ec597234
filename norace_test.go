//go:build unix && !race

package daemonize

// This build has no race detector.

const raceEnabled = false
