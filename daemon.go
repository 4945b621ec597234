//go:build unix

package daemonize

type bootResult struct{}
