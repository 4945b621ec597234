// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package forkfirst_test

import (
	"context"

	"github.com/madhadron/daemonize"
	_ "github.com/madhadron/daemonize/forkfirst" // start and restart, alone, mean the daemon
)

func Example() {
	daemonize.Serviced(func(ctx context.Context, _ struct{}) error {
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{Name: "agent"})
}
