//go:build unix && cgo && !daemonizego

package daemonize

// goMarker: this build has the C alone.
func goMarker(string) (string, bool) { return "", false }
