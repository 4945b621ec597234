//go:build unix && !linux

package testbed

func systemdStage() {}
