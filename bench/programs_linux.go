// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ourProgram is this library's program; ourBuilds are its builds.
const ourProgram = "github.com/madhadron/daemonize/bench/daemon"

const linkStatic = "-ldflags=-linkmode external -extldflags -static"

var ourBuilds = []struct {
	name, cgo string
	flags     []string
}{
	{"cgo", "1", nil},
	{"static", "1", []string{linkStatic}},
	{"pure Go", "0", nil},
	{"forkfirst", "1", []string{"-tags=forkfirst"}},
	{"forkfirst static", "1", []string{"-tags=forkfirst", linkStatic}},
}

//go:embed testdata
var sources embed.FS

// buildAll builds the contenders' programs and returns their paths by their
// names. It says what is missing and leaves that out.
func buildAll(dir string) map[string]string {
	built := map[string]string{}
	build := func(name string, build func(program string) error) {
		program := filepath.Join(dir, fileName(name))
		if err := build(program); err != nil {
			fmt.Fprintf(os.Stderr, "bench: left out: %s: %v\n", name, err)
			return
		}
		built[name] = program
	}
	if source, err := unpack(dir, "c"); err == nil {
		for _, c := range []struct{ name, source string }{{"C", "daemon.c"}, {"crowd", "crowd.c"}, {"accounts", "accounts.c"}} {
			build(c.name, func(program string) error {
				return command(dir, nil, "gcc", "-O2", "-o", program, filepath.Join(source, c.source))
			})
		}
	}
	goBuild := func(name, cgo string, args ...string) {
		build(name, func(program string) error {
			return command("", []string{"CGO_ENABLED=" + cgo}, "go", append([]string{"build", "-o", program}, args...)...)
		})
	}
	if source, err := unpack(dir, "empty"); err == nil {
		with, without := filepath.Join(source, "cgo.go"), filepath.Join(source, "main.go")
		goBuild("empty cgo", "1", with, without)
		goBuild("empty static", "1", linkStatic, with, without)
		goBuild("empty pure Go", "0", without)
	}
	if source, err := unpack(dir, "floor"); err == nil {
		goBuild("floor", "1", filepath.Join(source, "main.go"))
		goBuild("floor static", "1", linkStatic, filepath.Join(source, "main.go"))
	}
	for _, b := range ourBuilds {
		goBuild(b.name, b.cgo, append(slices.Clone(b.flags), ourProgram)...)
	}
	build("go-daemon", func(program string) error {
		return buildPeer(dir, program, "go-daemon", "github.com/sevlyar/go-daemon", "golang-github-sevlyar-go-daemon-dev")
	})
	build("godaemon", func(program string) error {
		return buildPeer(dir, program, "godaemon", "github.com/VividCortex/godaemon", "golang-github-vividcortex-godaemon-dev")
	})
	return built
}

func fileName(program string) string { return strings.ReplaceAll(program, " ", "-") }

// buildPeer builds the program in testdata/name, in a module of its own, with the
// library's sources as Debian packages them.
func buildPeer(dir, program, name, library, debian string) error {
	source, err := unpack(dir, name)
	if err != nil {
		return err
	}
	return buildWith(source, program, library, debian)
}

// buildWith builds the program in source with a library of Debian's.
func buildWith(source, program, library, debian string, flags ...string) error {
	const gocode = "/usr/share/gocode/src"
	if _, err := os.Stat(filepath.Join(gocode, library)); err != nil {
		return fmt.Errorf("needs its sources: apt-get install %s", debian)
	}
	mod := "module peer\n\ngo 1.25\n"
	for _, dependency := range []string{library, "golang.org/x/sys"} {
		// A copy: the sources of some have no go.mod, which replace asks for.
		replaced := filepath.Join(source, "lib", dependency)
		if err := os.CopyFS(replaced, os.DirFS(filepath.Join(gocode, dependency))); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(replaced, "go.mod"), []byte("module "+dependency+"\n\ngo 1.17\n"), 0o644); err != nil {
			return err
		}
		mod += fmt.Sprintf("require %s v0.0.0\nreplace %s => %s\n", dependency, dependency, replaced)
	}
	if err := os.WriteFile(filepath.Join(source, "go.mod"), []byte(mod), 0o644); err != nil {
		return err
	}
	return command(source, []string{"CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off"}, "go", append([]string{"build", "-o", program}, append(flags, ".")...)...)
}

// unpack writes testdata/name to a directory below dir.
func unpack(dir, name string) (string, error) {
	sub, err := fs.Sub(sources, "testdata/"+name)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, "src", name)
	return to, os.CopyFS(to, sub)
}

// command runs one; its output is the error's.
func command(dir string, env []string, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
