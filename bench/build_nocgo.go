//go:build unix && !(cgo && !daemonizego)

package main

// usesLibc tells which build of daemonize is measured.
const usesLibc = false
