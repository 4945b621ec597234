//go:build unix && !(cgo && !daemonizego)

package daemonize

// usesLibc tells messages and tests which half they have.
const usesLibc = false

func sysBoot(marker string, seen bool) bootResult { return bootResult{} }
