// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package service_test

// The README and docs/ keep their word.

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// block is the n-th block of that kind in the README.
func block(t *testing.T, kind string, n int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testbed.Module(), "README.md"))
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(blocks), n)
	return blocks[n][1]
}

// TestREADMEsProgramDoesWhatItsSessionShows builds the program, in a module
// of its own that has the replace line, and types the session.
func TestREADMEsProgramDoesWhatItsSessionShows(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.Package(t, "ps", "procps")
	const dir = "/run/program" // always the same: then go run links it once
	require.NoError(t, os.Mkdir(dir, 0o755))
	mod := "module docs\n\ngo 1.25.0\n\nrequire (\n\tgithub.com/madhadron/daemonize v0.0.0\n\tgolang.org/x/sys v0.38.0\n)\n\nreplace github.com/madhadron/daemonize => " + testbed.Module() + "\n"
	sum, err := os.ReadFile(filepath.Join(testbed.Module(), "go.sum"))
	require.NoError(t, err)
	for name, text := range map[string]string{"main.go": block(t, "go", 0), "go.mod": mod, "go.sum": string(sum)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	build := testbed.Program("go", "run", "-mod=mod", "-exec", "cp -t "+dir, ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	session := block(t, "console", 0)
	var real strings.Builder
	for line := range strings.Lines(session) {
		if typed, ok := strings.CutPrefix(line, "# "); ok {
			c := testbed.Program("sh", "-c", typed)
			c.Dir = dir
			out, _ := c.CombinedOutput()
			real.WriteString(line + string(out))
		}
	}
	pids := regexp.MustCompile(`( *)\d+`)
	assert.Equal(t, pids.ReplaceAllString(session, " PID"), pids.ReplaceAllString(real.String(), " PID"))
}

func TestREADMEIsShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testbed.Module(), "README.md"))
	require.NoError(t, err)
	assert.Less(t, strings.Count(string(text), "\n"), 120)
}

// TestEveryTestThatIsPromisedIsThere: each promise and each fault names the tests
// behind it.
func TestEveryTestThatIsPromisedIsThere(t *testing.T) {
	inRoot, err := filepath.Glob(filepath.Join(testbed.Module(), "*_test.go"))
	require.NoError(t, err)
	inTest, err := filepath.Glob(filepath.Join(testbed.Module(), "test/*/*_test.go"))
	require.NoError(t, err)
	var all strings.Builder
	for _, name := range append(inRoot, inTest...) {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		all.Write(text)
	}
	for _, page := range []string{"docs/faults.md"} {
		text, err := os.ReadFile(filepath.Join(testbed.Module(), page))
		require.NoError(t, err)
		promised := regexp.MustCompile(`\b(Test|Fuzz)[A-Z][A-Za-z0-9]+`).FindAllString(string(text), -1)
		assert.NotEmpty(t, promised, page)
		for _, name := range promised {
			assert.True(t, strings.Contains(all.String(), "func "+name+"("), "%s: %s", page, name)
		}
	}
}
