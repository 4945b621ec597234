// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// With -against DIR the programs of this library are built a second time, from
// the checkout in DIR, and measured in the same rounds: what a change costs.

var againstDir = flag.String("against", "", "compare with the library in another checkout, in `directory`: start, forkfirst, verbs, idle, pidfile")

const (
	againstSuffix = ", -against"

	// The most that this library may take, times what the other checkout takes.
	// The same commit on both sides stays below it.
	mostAgainst = 1.05
)

// against is the other checkout's row as a rival.
func against(other *row) rival { return rival{name: "-against", most: mostAgainst, row: other} }

// program is the path of a program, or of the same one of the other checkout.
func (h *harness) program(name string, ofAgainst bool) string {
	if ofAgainst {
		return h.against[name]
	}
	return h.programs[name]
}

//go:embed daemon/*.go
var daemonSources embed.FS

// overlay writes a file for go build -overlay that puts this command's daemon
// program into the checkout: both sides run the same main.
func overlay(dir, checkout string) (string, error) {
	replace := map[string]string{}
	copied := filepath.Join(dir, "daemon-source")
	if err := os.MkdirAll(copied, 0o755); err != nil {
		return "", err
	}
	err := fs.WalkDir(daemonSources, "daemon", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := daemonSources.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(copied, entry.Name())
		replace[filepath.Join(checkout, "bench", path)] = to
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o644)
}

// buildAgainst builds this library's programs with the other checkout; nil
// without -against.
func buildAgainst(dir string) (map[string]string, error) {
	if *againstDir == "" {
		return nil, nil
	}
	checkout, err := filepath.Abs(*againstDir)
	if err != nil {
		return nil, err
	}
	replaced, err := overlay(dir, checkout)
	if err != nil {
		return nil, err
	}
	to := filepath.Join(dir, "against")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return nil, err
	}
	built := map[string]string{}
	for _, b := range ourBuilds {
		program := filepath.Join(to, fileName(b.name))
		args := append([]string{"build", "-overlay", replaced, "-o", program}, b.flags...)
		if err := command(checkout, []string{"CGO_ENABLED=" + b.cgo}, "go", append(args, ourProgram)...); err != nil {
			return nil, fmt.Errorf("-against %s: %s: %w", checkout, b.name, err)
		}
		built[b.name] = program
	}
	return built, nil
}
