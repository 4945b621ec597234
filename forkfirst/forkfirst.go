//go:build linux && !daemonizeother && cgo && !daemonizego

package forkfirst

// #cgo CFLAGS: -Wall
import "C"
