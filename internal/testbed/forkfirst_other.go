//go:build unix && !(linux && !daemonizeother && cgo && !daemonizego)

package testbed

const canForkFirst = false
