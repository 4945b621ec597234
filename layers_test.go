// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The layers of the library, and what keeps them apart: see docs/design.md, section "Layers".

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// layers are the files of the library, highest layer first. A file may use what is declared in
// its own group of files and in lower layers; groups of one layer do not use each other.
var layers = []map[string]string{
	{"service": "service config command lifecycle goroutine output run systemd crash"},
	{
		"daemon": "daemon launcher forkfirst",
		"privs":  "privs privs_linux privs_other",
	},
	{
		"boot":     "boot",
		"pidfile":  "pidfile companion trusted holder pidfile_linux pidfile_other",
		"accounts": "accounts",
		"syslog":   "syslog syslog_slog syslog_queue",
	},
	{
		"boot's backends":     "daemon_cgo daemon_nocgo daemon_nocgo_linux daemon_nocgo_other",
		"accounts's backends": "accounts_cgo accounts_nocgo accounts_files",
		"privs's backends":    "privs_cgo privs_nocgo",
		"syslog's backends":   "syslog_cgo syslog_nocgo",
	},
	{"base": "frame stdio ident errors os os_linux os_other failpoint failpoint_tagged"},
}

// serves says whose types and constants backends may use although they lie below: a backend takes
// and returns them. Functions and variables it may not.
var serves = map[string]string{
	"boot's backends": "boot", "accounts's backends": "accounts", "privs's backends": "privs", "syslog's backends": "syslog",
}

// outside are files without a layer: documentation, the comparison of the backends, and what
// stands for all layers on Windows and AIX.
const outside = "doc seam nounix"

// upward are uses of a higher layer that are known: "file.go: name".
var upward = []string{
	"daemon_nocgo.go: origin",
	"ident.go: maxIdent",
}

// place is where something is declared: its group, how deep its layer lies, and whether it is a
// type or a constant.
type place struct {
	group string
	depth int
	fixed bool
}

func placeOf(file string) (place, bool) {
	name := strings.TrimSuffix(file, ".go")
	for depth, groups := range layers {
		for group, files := range groups {
			if slices.Contains(strings.Fields(files), name) {
				return place{group: group, depth: depth}, true
			}
		}
	}
	return place{}, false
}

// sources are the library's own files.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		files[name] = f
	}
	require.Greater(t, len(files), 20)
	return files
}

// declared are the functions, types, constants and variables of a file, and whether they are
// types or constants.
func declared(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name != "init" {
				names[d.Name.Name] = false
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names[n.Name] = d.Tok == token.CONST
					}
				}
			}
		}
	}
	return names
}

func TestEachLayerUsesOnlyLowerOnes(t *testing.T) {
	files := sources(t)
	where := map[string][]place{} // several: each backend declares the same functions
	for name, f := range files {
		if slices.Contains(strings.Fields(outside), strings.TrimSuffix(name, ".go")) {
			continue
		}
		in, ok := placeOf(name)
		require.True(t, ok, `%s is in no layer: add it to the table in layers_test.go; docs/design.md, section "Layers", says which`, name)
		for n, fixed := range declared(f) {
			in.fixed = fixed
			where[n] = append(where[n], in)
		}
	}
	uses, known := 0, map[string]bool{}
	for name, f := range files {
		in, ok := placeOf(name)
		if !ok {
			continue
		}
		for _, use := range f.Unresolved { // what the file itself does not declare
			for _, to := range where[use.Name] {
				uses++
				if to.group == in.group || to.depth > in.depth || to.fixed && serves[in.group] == to.group {
					continue
				}
				which := fmt.Sprintf("%s: %s", name, use.Name)
				known[which] = true
				assert.Contains(t, upward, which, `%s, of layer %s, uses %s of layer %s: docs/design.md, section "Layers"`, name, in.group, use.Name, to.group)
			}
		}
	}
	assert.Greater(t, uses, 400, "it looks at something")
	for _, which := range upward {
		assert.True(t, known[which], "%s is no longer so: remove it from upward", which)
	}
}

func TestFewFilesPrintExitOrImportC(t *testing.T) {
	for name, f := range sources(t) {
		for _, i := range f.Imports {
			if i.Path.Value == `"C"` {
				assert.True(t, strings.Contains(name, "_cgo"), `%s imports "C"`, name)
			}
			// A start boots the program twice. Together these two cost a boot a tenth
			// more, and a program that has no use for them 0.6 MB.
			assert.NotContains(t, []string{`"net"`, `"regexp"`}, i.Path.Value, name)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			what := pkg.Name + "." + s.Sel.Name
			switch {
			case what == "os.Exit":
				assert.Contains(t, []string{"service.go", "command.go", "lifecycle.go", "run.go", "daemon.go", "daemon_nocgo.go"}, name, "%s exits", name)
			case what == "os.Stdout", what == "os.Stderr", pkg.Name == "fmt" && strings.HasPrefix(s.Sel.Name, "Print"):
				assert.Contains(t, []string{"service.go", "command.go", "daemon.go", "forkfirst.go", "output.go", "stdio.go", "daemon_nocgo.go", "nounix.go"}, name, "%s prints (%s)", name, what)
			}
			return true
		})
	}
}

// TestEveryFileSaysWhatItIsFor: before its first declaration, in words that are
// not that declaration's own, unless it has no other.
func TestEveryFileSaysWhatItIsFor(t *testing.T) {
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		if len(f.Decls) == 0 {
			continue // doc.go
		}
		first := f.Decls[0]
		says := slices.ContainsFunc(f.Comments, func(c *ast.CommentGroup) bool {
			own := false
			switch d := first.(type) {
			case *ast.GenDecl:
				own = c == d.Doc
			case *ast.FuncDecl:
				own = c == d.Doc
			}
			return c.Text() != "" && !strings.Contains(c.Text(), "SPDX-") && c.Pos() < first.Pos() && (!own || len(f.Decls) == 1)
		})
		assert.True(t, says, "%s opens without a word", name)
		assert.Contains(t, f.Comments[0].Text(), "SPDX-License-Identifier: GPL-3.0-or-later", name)
	}
}

// TestTestsNeedNothingOutsideTheModule: what tests need is in the project.
func TestTestsNeedNothingOutsideTheModule(t *testing.T) {
	for _, pattern := range []string{"*_test.go", "test/*/*.go", "internal/*/*.go", "examples/*_test.go"} {
		names, err := filepath.Glob(filepath.Join(testbed.Module(), pattern))
		require.NoError(t, err)
		require.NotEmpty(t, names, pattern)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			assert.NotContains(t, string(text), ".."+"/shared", "%s: the project passes its tests alone", name)
		}
	}
}

func TestMain(m *testing.M) { testbed.Main(m) }
