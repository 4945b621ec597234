//go:build unix

package daemonize

// The rooms of the library, and what keeps them apart.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rooms are the files by what they are for, and floors the rooms' heights:
// calls go down only, and rooms of one floor do not call each other.
var rooms = map[string]string{
	"service":  "service config command lifecycle run crash systemd systemd_linux systemd_other progress",
	"daemon":   "daemon launcher forkfirst",
	"pidfile":  "pidfile companion holder pidfile_linux pidfile_other status",
	"privs":    "privs privs_linux privs_other",
	"syslog":   "syslog syslog_slog syslog_queue",
	"boot":     "boot",
	"accounts": "accounts",
	"ground":   "frame stdio ident errors os os_linux os_other failpoint failpoint_tagged",
	"halves": "daemon_cgo daemon_nocgo daemon_nocgo_linux daemon_nocgo_other accounts_cgo accounts_nocgo accounts_files " +
		"syslog_cgo syslog_nocgo privs_cgo privs_nocgo",
	"": "doc seam",
}

var floors = map[string]int{"service": 4, "daemon": 3, "pidfile": 2, "privs": 3, "accounts": 2, "syslog": 2, "boot": 2, "halves": 1, "ground": 0}

func room(file string) (string, bool) {
	for name, files := range rooms {
		if slices.Contains(strings.Fields(files), strings.TrimSuffix(file, ".go")) {
			return name, true
		}
	}
	return "", false
}

func TestCallsGoDownAndFewPrintOrExit(t *testing.T) {
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	files := map[string]*ast.File{}
	functions := map[string][]string{} // to the rooms that have one of that name: both halves do
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		files[name] = f
		in, ok := room(name)
		require.True(t, ok, "%s is in no room: see rooms above, and section 5 of the design", name)
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name != "init" {
				functions[d.Name.Name] = append(functions[d.Name.Name], in)
			}
		}
	}
	require.Greater(t, len(files), 20)

	var calls int
	for name, f := range files {
		in, _ := room(name)
		for _, i := range f.Imports {
			if i.Path.Value == `"C"` {
				assert.True(t, strings.Contains(name, "_cgo"), `%s imports "C"`, name)
			}
			// A start boots the program twice. Together these two cost a boot a tenth
			// more, and a program that has no use for them 0.6 MB.
			assert.NotContains(t, []string{`"net"`, `"regexp"`}, i.Path.Value, name)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				called, ok := n.Fun.(*ast.Ident)
				if !ok || in == "" || called.Obj != nil && called.Obj.Kind != ast.Fun { // a parameter, say
					break
				}
				for _, to := range functions[called.Name] {
					calls++
					assert.True(t, to == in || floors[to] < floors[in], "%s, of %s, calls %s of %s: calls go down only", name, in, called.Name, to)
				}
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if !ok {
					break
				}
				what := pkg.Name + "." + n.Sel.Name
				switch {
				case what == "os.Exit":
					assert.Contains(t, []string{"service.go", "command.go", "lifecycle.go", "run.go", "daemon.go", "daemon_nocgo.go"}, name, "%s exits", name)
				case what == "os.Stdout", what == "os.Stderr", pkg.Name == "fmt" && strings.HasPrefix(n.Sel.Name, "Print"):
					assert.Contains(t, []string{"service.go", "command.go", "daemon.go", "forkfirst.go", "progress.go", "daemon_nocgo.go"}, name, "%s prints (%s)", name, what)
				}
			}
			return true
		})
	}
	assert.Greater(t, calls, 100, "it looks at something")
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
			return c.Text() != "" && c.Pos() < first.Pos() && (!own || len(f.Decls) == 1)
		})
		assert.True(t, says, "%s opens without a word", name)
	}
}

// TestNothingNeedsTheWorkshop: what tests need is in the project.
func TestNothingNeedsTheWorkshop(t *testing.T) {
	names, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.NotContains(t, string(text), ".."+"/shared", "%s: the project passes its tests alone", name)
	}
}
