//go:build unix && !race

package testbed

// Race is true in a build with the race detector.
const Race = false
