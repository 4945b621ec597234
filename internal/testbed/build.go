// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BuildSettings are those of this test binary: "-race=true", "-tags=…".
func BuildSettings() []string {
	var all []string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			all = append(all, s.Key+"="+s.Value)
		}
	}
	return all
}

// Build builds a program of this module with the test's tags and sanitizers, and returns its path.
// It skips where there is no go command. go run keeps what it has linked, go build does not.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	goTool := Package(t, "go", "golang-go")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	args := []string{"run", "-exec", "cp -t " + dir}
	for _, s := range BuildSettings() {
		if strings.HasPrefix(s, "-tags=") || strings.HasPrefix(s, "-race=") || strings.HasPrefix(s, "-asan=") {
			args = append(args, s)
		}
	}
	out, err := exec.Command(goTool, append(args, "github.com/madhadron/daemonize/"+pkg)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, filepath.Base(pkg))
}

// Example builds the program of examples/name. command returns it as a command; argv[0] is name.
func Example(t testing.TB, name string) (command func(args ...string) *exec.Cmd) {
	t.Helper()
	program := Build(t, "examples/"+name)
	return func(args ...string) *exec.Cmd {
		c := Program(program, args...)
		c.Args[0] = name
		c.Env = append(os.Environ(), raceEnv())
		return c
	}
}

// StatusTold is true where the launcher learns how a daemon that was never ready ended: C does
// that on Linux alone, and not with the tags that have it do what other systems do.
func StatusTold() bool {
	return !UsesLibc || !slices.ContainsFunc(BuildSettings(), func(s string) bool {
		return strings.HasPrefix(s, "-tags=") && (strings.Contains(s, "daemonizeother") || strings.Contains(s, "daemonizeexecagain"))
	})
}

// NeedStatusTold skips what needs StatusTold.
func NeedStatusTold(t testing.TB) {
	t.Helper()
	if !StatusTold() {
		t.Skip("needs the exit status of the daemon, which Linux alone has: run without the tag daemonizeother or daemonizeexecagain")
	}
}
