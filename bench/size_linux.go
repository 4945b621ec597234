// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// The table size: what using a library adds to a program that says hello.

func init() { benches["size"] = sizes }

// sized is a program. Its call is never made, but the linker cannot know.
type sized struct {
	name, imports, call string
	library, debian     string // of a peer
	builds              []string
}

var (
	everyBuild = []string{"cgo", "static", "pure Go"}
	pureOnly   = []string{"pure Go"} // the same with cgo: these don't use it
)

var sizedPrograms = []sized{
	{name: "hello", builds: everyBuild},
	{name: "this library: Daemon", imports: `"github.com/madhadron/daemonize"`, call: `daemonize.Daemon(false, false)`, builds: everyBuild},
	{
		name: "this library: Serviced", imports: `"context"; "github.com/madhadron/daemonize"`,
		call: `daemonize.Serviced[int](func(context.Context, int) error { return nil }, nil)`, builds: everyBuild,
	},
	{name: "log/syslog, os/user", imports: `"log/syslog"; "os/user"`, call: `syslog.New(syslog.LOG_INFO, ""); user.Lookup("")`, builds: everyBuild},
	{
		name: "go-daemon", imports: `"github.com/sevlyar/go-daemon"`, call: `(&daemon.Context{}).Reborn()`,
		library: "github.com/sevlyar/go-daemon", debian: "golang-github-sevlyar-go-daemon-dev", builds: pureOnly,
	},
	{
		name: "godaemon", imports: `"github.com/VividCortex/godaemon"`, call: `godaemon.MakeDaemon(&godaemon.DaemonAttr{})`,
		library: "github.com/VividCortex/godaemon", debian: "golang-github-vividcortex-godaemon-dev", builds: pureOnly,
	},
}

func sizes() (bool, error) {
	dir, err := os.MkdirTemp("", "bench")
	must(err)
	defer os.RemoveAll(dir)
	fmt.Println("\nsize: of a program that says hello, and what it takes more with a library; kB (1000 bytes)")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "size\tadded\tstripped\tadded\t  build\t  program")
	plain := map[string][2]int64{}
	for i, p := range sizedPrograms {
		for _, build := range p.builds {
			var size [2]int64
			for j, strip := range []string{"", "-s -w"} {
				size[j], err = p.build(filepath.Join(dir, fmt.Sprint(i, build, j)), build, strip)
				if err != nil {
					break
				}
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench: left out: %s, %s: %v\n", p.name, build, err)
				continue
			}
			if i == 0 {
				plain[build] = size
			}
			than := plain[build]
			fmt.Fprintf(w, "%d\t%+d\t%d\t%+d\t  %s\t  %s\n", size[0]/1000, (size[0]-than[0])/1000, size[1]/1000, (size[1]-than[1])/1000, build, p.name)
		}
	}
	return true, w.Flush()
}

func (p sized) build(dir, build, strip string) (size int64, err error) {
	dir = strings.ReplaceAll(dir, " ", "-")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	source := fmt.Sprintf("package main\n\nimport (\"fmt\"; \"os\"; %s)\n\nfunc main() {\n\tfmt.Println(\"hello\")\n\tif len(os.Args) > 9 {\n%s\n}\n}\n", p.imports, p.call)
	if p.imports == "" {
		source = strings.ReplaceAll(source, "; )", ")")
	}
	main := filepath.Join(dir, "main.go")
	if err := os.WriteFile(main, []byte(source), 0o644); err != nil {
		return 0, err
	}
	program, env, link := filepath.Join(dir, "program"), "CGO_ENABLED=1", strip
	switch build {
	case "static":
		link += " -linkmode external -extldflags -static"
	case "pure Go":
		env = "CGO_ENABLED=0"
	}
	if p.library != "" {
		err = buildWith(dir, program, p.library, p.debian, "-ldflags="+link)
	} else {
		err = command("", []string{env}, "go", "build", "-ldflags="+link, "-o", program, main)
	}
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(program)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
