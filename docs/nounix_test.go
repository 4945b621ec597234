// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package docs_test

// Programs that import the library compile where it makes no daemons.

import (
	"bytes"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exported are the exported functions, methods and names of a system's build, with
// their types.
func exported(t *testing.T, goos string) map[string]string {
	t.Helper()
	context := build.Default
	context.GOOS, context.CgoEnabled = goos, false
	names, err := filepath.Glob("../*.go")
	require.NoError(t, err)
	all := map[string]string{}
	for _, name := range names {
		if in, err := context.MatchFile("..", filepath.Base(name)); err != nil || !in || strings.HasSuffix(name, "_test.go") {
			require.NoError(t, err)
			continue
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		text := func(node any) string {
			var b bytes.Buffer
			require.NoError(t, printer.Fprint(&b, files, node))
			return b.String()
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				d.Body, d.Doc = nil, nil
				of := ""
				if d.Recv != nil {
					of = strings.TrimLeft(text(d.Recv.List[0].Type), "*")
				}
				if d.Name.IsExported() && (of == "" || ast.IsExported(of)) {
					all[of+"."+d.Name.Name] = text(d)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.IsExported() {
							all[spec.Name.Name] = text(spec.Type)
						}
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							if n.IsExported() {
								all[n.Name] = d.Tok.String()
							}
						}
					}
				}
			}
		}
	}
	return all
}

func TestWindowsAndAIXHaveTheSameNames(t *testing.T) {
	linux := exported(t, "linux")
	require.Greater(t, len(linux), 60)
	for _, system := range []string{"windows", "aix"} {
		other := exported(t, system)
		assert.Len(t, other, len(linux), system)
		for name, is := range linux {
			assert.Equal(t, is, other[name], "%s: %s", system, name)
		}
	}
}

func TestProgramsCompileForWindows(t *testing.T) {
	goTool := testbed.Package(t, "go", "golang-go")
	c := exec.Command(goTool, "build", "-o", os.DevNull, "../examples/stillalive")
	c.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := c.CombinedOutput()
	assert.NoError(t, err, "%s", out)
}
