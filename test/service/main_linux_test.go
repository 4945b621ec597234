// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// The tests' beginning.

import (
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
