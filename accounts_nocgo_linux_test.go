//go:build !(cgo && !daemonizego)

package daemonize

// isMusl: without cgo no libc finds accounts.
func isMusl() bool { return false }

func findsByLibc() bool { return false }
