// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

package testbed

/*
static volatile int *volatile nowhere = (volatile int *)8;
static void fault(void)
{
	*nowhere = 1;
}
*/
import "C"

// Fault has C code write where nothing is.
func Fault() { C.fault() }
