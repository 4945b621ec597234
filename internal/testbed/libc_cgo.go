// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && cgo && !daemonizego

package testbed

/*
#include <limits.h>
#ifdef __GLIBC__
enum { glibc = 1 };
#else
enum { glibc = 0 };
#endif
*/
import "C"

// UsesLibc is true in a build whose library calls libc.
const UsesLibc = true

// Musl is true where that libc is musl.
const Musl = C.glibc == 0
