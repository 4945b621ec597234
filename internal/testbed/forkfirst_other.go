//go:build unix && !(linux && cgo && !daemonizego)

package testbed

const canForkFirst = false
