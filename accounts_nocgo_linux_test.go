//go:build !(cgo && !daemonizego)

package daemonize

// What the tests of accounts must know of a build without libc.

// isMusl: without cgo no libc finds accounts.
func isMusl() bool { return false }

func findsByLibc() bool { return false }
