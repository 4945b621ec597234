//go:build unix && cgo && !daemonizego

package daemonize

// The marker's parser in this half.

// goMarker: this build has the C alone.
func goMarker(string) (string, bool) { return "", false }
