//go:build unix && !linux

package testbed

import "testing"

const envStage, stageInit = "TESTBED_STAGE", "init"

func namespaceInit() { panic("testbed: namespaces are Linux's") }

// Isolate skips the test: only Linux has namespaces.
func Isolate(t *testing.T) bool {
	t.Helper()
	t.Skip("needs Linux namespaces: run it on Linux")
	return false
}
