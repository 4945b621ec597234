// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !linux

package testbed

import "testing"

const (
	envStage  = "TESTBED_STAGE"
	stageInit = "init"
)

// Isolate skips: namespaces are Linux's.
func Isolate(t *testing.T) bool {
	t.Helper()
	t.Skip("needs the namespaces of Linux")
	return false
}

func namespaceInit() {}
