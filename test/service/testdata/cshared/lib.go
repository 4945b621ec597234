// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

// Command cshared is a library that a program in C loads.
package main

import "C"

import (
	"context"

	"github.com/madhadron/daemonize"
)

//export Verb
func Verb(verb *C.char) C.int {
	s, err := daemonize.New(func(context.Context, int) error { return nil }, &daemonize.Config[int]{Name: "svc", User: "root"})
	if err != nil {
		return 98
	}
	return C.int(s.Command([]string{C.GoString(verb)}))
}

func main() {}
