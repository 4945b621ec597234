// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package main

import (
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
)

var _ = testbed.Helper("subcommands", main)

func TestMain(m *testing.M) { testbed.Main(m) }
