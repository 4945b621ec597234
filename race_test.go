//go:build unix && race

package daemonize

const raceEnabled = true
