//go:build linux && cgo && !daemonizego

package forkfirst

// #cgo CFLAGS: -Wall
import "C"
