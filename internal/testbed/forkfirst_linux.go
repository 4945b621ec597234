//go:build linux && !daemonizeother && cgo && !daemonizego

package testbed

import _ "github.com/madhadron/daemonize/forkfirst"

const canForkFirst = true
