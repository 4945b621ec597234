package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programNames are the contenders' programs, in the tables' order.
var programNames = []string{"C", "cgo", "static", "pure Go", "forkfirst", "forkfirst static", "go-daemon", "godaemon"}

//go:embed testdata
var sources embed.FS

// buildAll builds the contenders' programs and returns their paths by their
// names. It says what is missing and leaves that out.
func buildAll(dir string) map[string]string {
	const ours = "github.com/madhadron/daemonize/bench/daemon"
	built := map[string]string{}
	build := func(name string, build func(program string) error) {
		program := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := build(program); err != nil {
			fmt.Fprintf(os.Stderr, "bench: left out: %s: %v\n", name, err)
			return
		}
		built[name] = program
	}
	build("C", func(program string) error {
		source, err := unpack(dir, "c")
		if err != nil {
			return err
		}
		return command(dir, nil, "gcc", "-O2", "-o", program, filepath.Join(source, "daemon.c"))
	})
	const static = "-ldflags=-linkmode external -extldflags -static"
	goBuild := func(name, cgo string, args ...string) {
		build(name, func(program string) error {
			return command("", []string{"CGO_ENABLED=" + cgo}, "go", append([]string{"build", "-o", program}, args...)...)
		})
	}
	if source, err := unpack(dir, "empty"); err == nil {
		goBuild("empty cgo", "1", filepath.Join(source, "main.go"))
		goBuild("empty static", "1", static, filepath.Join(source, "main.go"))
	}
	goBuild("cgo", "1", ours)
	goBuild("static", "1", static, ours)
	goBuild("pure Go", "0", ours)
	goBuild("forkfirst", "1", "-tags=forkfirst", ours)
	goBuild("forkfirst static", "1", "-tags=forkfirst", static, ours)
	build("go-daemon", func(program string) error {
		return buildPeer(dir, program, "go-daemon", "github.com/sevlyar/go-daemon", "golang-github-sevlyar-go-daemon-dev")
	})
	build("godaemon", func(program string) error {
		return buildPeer(dir, program, "godaemon", "github.com/VividCortex/godaemon", "golang-github-vividcortex-godaemon-dev")
	})
	return built
}

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
