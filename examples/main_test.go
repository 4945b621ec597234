// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

// Package examples_test runs the example programs, init scripts and units, each as its user would.
// It is one package because each test binary is linked anew at every go test.
package examples_test

import (
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
