//go:build unix && cgo && !daemonizego

package testbed

/*
static void fault(void)
{
	*(volatile int *)8 = 1;
}
*/
import "C"

// Fault has C code write where nothing is.
func Fault() { C.fault() }
