//go:build unix && !linux

package testbed

// Only Linux has namespaces to isolate a test in.
const (
	envStage  = "TESTBED_STAGE"
	stageInit = "init"
)

func namespaceInit() { panic("testbed: no namespaces here") }
