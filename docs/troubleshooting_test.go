// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package docs_test

// troubleshooting.md quotes messages that the source has.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// literal is the value of a string constant, "" if it is none.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return literal(e.X) + literal(e.Y)
		}
	}
	return ""
}

func TestTroubleshootingQuotesMessagesOfTheSource(t *testing.T) {
	names, err := filepath.Glob("../*.go")
	require.NoError(t, err)
	var texts strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			text := ""
			if ok {
				text = literal(e)
			}
			if text != "" {
				texts.WriteString(text + "\n")
			}
			return text == ""
		})
	}
	page, err := os.ReadFile("troubleshooting.md")
	require.NoError(t, err)
	quoted := regexp.MustCompile("(?m)^### `(.*)`$").FindAllStringSubmatch(string(page), -1)
	assert.Greater(t, len(quoted), 20)
	assert.Len(t, quoted, strings.Count(string(page), "\n### "), "each heading is a message")
	for _, q := range quoted {
		for _, part := range strings.Split(q[1], "…") {
			part = strings.TrimRight(strings.TrimSpace(part), ".)")
			assert.True(t, strings.Contains(texts.String(), part), "no message has %q, of %s", part, q[1])
		}
	}
}
