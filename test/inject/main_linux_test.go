// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Package inject_test has every system call of every verb fail once, by strace(1): see
// calls_linux_test.go for what is injected, and judge_linux_test.go for what must hold then.
package inject_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// envDir is the variable that names a case's directory. All processes of the case have it.
const envDir = "INJECT_DIR"

const (
	daemonUser  = "nobody"
	stopTimeout = 4 * time.Second
)

// The service of all cases: root starts it, and it drops its privileges.
var _ = testbed.Helper("injected", func() {
	dir := os.Getenv(envDir)
	daemonize.Serviced(func(ctx context.Context, _ struct{}) error {
		fmt.Println(acts) // of run alone it is seen
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{
		Name:             "svc",
		User:             daemonUser,
		PidfileDirectory: dir,
		StopTimeout:      stopTimeout,
		Reload: func(context.Context) error {
			return os.WriteFile(filepath.Join(dir, reloaded), []byte("yes"), 0)
		},
	})
})

// acts is what the action says when it begins.
const acts = "acts"

// reloaded is the file that Reload fills. The daemon's user may write it, not make it.
const reloaded = "reloaded"
