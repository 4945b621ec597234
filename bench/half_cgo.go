//go:build unix && cgo && !daemonizego

package main

// usesLibc tells which half of daemonize is measured.
const usesLibc = true
