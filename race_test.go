//go:build unix && race

package daemonize

// This build has the race detector.

const raceEnabled = true
