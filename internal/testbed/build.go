//go:build unix

package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
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

// Build builds a program of this module with the test's tags and returns its path.
// It skips where there is no go command.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	goTool := Package(t, "go", "golang-go")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	program := filepath.Join(dir, filepath.Base(pkg))
	args := []string{"build", "-o", program}
	for _, s := range BuildSettings() {
		if strings.HasPrefix(s, "-tags=") {
			args = append(args, s)
		}
	}
	out, err := exec.Command(goTool, append(args, "github.com/madhadron/daemonize/"+pkg)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}
