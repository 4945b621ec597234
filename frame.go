// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix

package daemonize

// The messages of a start, from the daemon to its launcher.

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"golang.org/x/sys/unix"
)

// The report: what the daemon tells the launcher, over a socket pair, until
// the verdict. cdaemon.c writes the same frames before Go has started; the
// launcher in forkfirst/forkfirst.c reads them.
const (
	frameBooted    = 'b' // num: the daemon's pid; code: 1 if the launcher's child ends as the daemon does
	frameBootError = 'f' // code: the call, num: errno, text: the error, if not errno's own; there is no daemon
	frameStage     = 's' // text: how far the start has come; to the launcher in C, what it prints of a death, and code 1 if it is to end with the daemon's status
	frameNotDaemon = 'o' // to the launcher in C: the process is no daemon, and prints its own errors
	frameReady     = 'r' // verdict: ready
	frameFailed    = 'e' // verdict: text is why, code the exit code; to the launcher in C without text
	frameRunning   = 'x' // verdict: num holds the pidfile text already
)

// What frameBootError's code stands for; cdaemon.h has all but bootInSetsid.
const (
	bootInDaemon = 1 + iota
	bootInFork
	bootWithThreads
	bootInSetsid
	bootInExec
	bootInClose
)

// frame is one message: eight bytes as in struct cd_frame, then the text.
type frame struct {
	kind, code uint8
	num        int32
	text       string
}

const frameHeader = 8

// What a child that C code forks must not have: see sysCloseInForks.
const (
	forkLock   = iota // the pidfile, whose lock would outlive us
	forkReport        // the report, on whose end the launcher waits
)

func writeFrame(w io.Writer, f frame) error {
	if len(f.text) > 1<<16-1 {
		f.text = f.text[:1<<16-1]
	}
	b := make([]byte, frameHeader, frameHeader+len(f.text))
	b[0], b[1] = f.kind, f.code
	binary.NativeEndian.PutUint16(b[2:], uint16(len(f.text)))
	binary.NativeEndian.PutUint32(b[4:], uint32(f.num))
	_, err := w.Write(append(b, f.text...))
	return err
}

func readFrame(r io.Reader) (frame, error) {
	var b [frameHeader]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return frame{}, err
	}
	text := make([]byte, binary.NativeEndian.Uint16(b[2:]))
	if _, err := io.ReadFull(r, text); err != nil {
		return frame{}, err
	}
	return frame{b[0], b[1], int32(binary.NativeEndian.Uint32(b[4:])), string(text)}, nil
}

// isEnd is true if nobody has the other end any more. ECONNRESET is that where the daemon
// had not read what we sent.
func isEnd(err error) bool {
	return slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, unix.EPIPE, unix.ECONNRESET},
		func(end error) bool { return errors.Is(err, end) })
}
