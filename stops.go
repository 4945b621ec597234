//go:build unix && !daemonizestops

package daemonize

// stopAt does nothing but in tests that are built with the tag
// daemonizestops: they kill a daemon at a stage of its start.
func stopAt(string) {}
