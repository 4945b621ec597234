// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !daemonizeother && cgo && !daemonizego

package testbed

import _ "github.com/madhadron/daemonize/forkfirst"

const canForkFirst = true
