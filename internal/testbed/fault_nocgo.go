//go:build unix && !(cgo && !daemonizego)

package testbed

// Fault does nothing in a build without C.
func Fault() {}
