// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

// Package docs_test holds the pages to their word.
package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pages are all pages of the project but the benchmarks' own.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../*.md", "*.md", "../examples/*.md"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			texts[name] = string(text)
		}
	}
	require.Greater(t, len(texts), 8)
	return texts
}

var codeBlock = regexp.MustCompile("(?s)(<!-- not built[^\n]*\n)?```([a-z]*)\n(.*?)```")

// TestProgramsOnThePagesBuild, each as somebody would who copies it.
func TestProgramsOnThePagesBuild(t *testing.T) {
	goTool := testbed.Package(t, "go", "golang-go")
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	mod := "module programs\n\ngo 1.25.0\n\nrequire (\n\tgithub.com/madhadron/daemonize v0.0.0\n" +
		"\tgolang.org/x/sys v0.38.0\n)\n\nreplace github.com/madhadron/daemonize => " + root + "\n"
	sum, err := os.ReadFile("../go.sum")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/go.mod", []byte(mod), 0o644))
	require.NoError(t, os.WriteFile(dir+"/go.sum", sum, 0o644))
	programs := 0
	for name, text := range pages(t) {
		for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
			if block[1] != "" || block[2] != "go" || !strings.HasPrefix(block[3], "package main\n") {
				continue
			}
			programs++
			to := fmt.Sprintf("%s/%s%d", dir, strings.TrimSuffix(filepath.Base(name), ".md"), programs)
			require.NoError(t, os.Mkdir(to, 0o755))
			require.NoError(t, os.WriteFile(to+"/main.go", []byte(block[3]), 0o644))
		}
	}
	require.Greater(t, programs, 3)
	vet := exec.Command(goTool, "vet", "-mod=mod", "./...")
	vet.Dir, vet.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	out, err := vet.CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

// TestPagesShowTheExamplesAsTheyAre: code that a page has from an example is that
// example's.
func TestPagesShowTheExamplesAsTheyAre(t *testing.T) {
	var source strings.Builder
	names, err := filepath.Glob("../examples/loggers/*.go")
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		source.Write(text)
	}
	page, err := os.ReadFile("from-log-syslog.md")
	require.NoError(t, err)
	blocks := codeBlock.FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		assert.True(t, strings.Contains(source.String(), block[3]), "%s", block[3])
	}
}

// TestLinksLeadSomewhere: to a file of the project, and to a heading of it.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	links := 0
	for name, text := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
			file, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(file, "://") || strings.HasPrefix(file, "mailto:") {
				continue
			}
			links++
			to := filepath.Join(filepath.Dir(name), file)
			if file == "" {
				to = name
			}
			if _, err := os.Stat(to); !assert.NoError(t, err, "%s: %s", name, match[1]) || anchor == "" {
				continue
			}
			target, err := os.ReadFile(to)
			require.NoError(t, err)
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(string(target), -1) {
				anchors = append(anchors, strings.ReplaceAll(strings.ToLower(strings.Map(func(r rune) rune {
					if strings.ContainsRune("`.,:?()/'\"", r) {
						return -1
					}
					return r
				}, h[1])), " ", "-"))
			}
			assert.Contains(t, anchors, anchor, "%s: %s", name, match[1])
		}
	}
	assert.Greater(t, links, 20)
}

// TestPicturesFitATerminal of 80 columns.
func TestPicturesFitATerminal(t *testing.T) {
	for name, text := range pages(t) {
		for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
			if block[2] != "" {
				continue
			}
			for line := range strings.Lines(block[3]) {
				assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 80, "%s: %s", name, line)
			}
		}
	}
}
