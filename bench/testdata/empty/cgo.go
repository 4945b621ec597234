// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "C"
