// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package testbed

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudoterminal: programs get its File, the test reads what
// they write.
type Terminal struct {
	File     *os.File // the program's side
	Keyboard *os.File // what a person types

	mu   sync.Mutex
	text strings.Builder
}

// NewTerminal opens one, so many columns wide; it skips where there are none.
func NewTerminal(t testing.TB, columns int) *Terminal {
	t.Helper()
	us, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudoterminal (mount devpts on /dev/pts): %v", err)
	}
	fd := int(us.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)})
	}
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudoterminal (mount devpts on /dev/pts): %v", err)
	}
	term := &Terminal{File: theirs, Keyboard: us}
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := us.Read(b)
			term.mu.Lock()
			term.text.Write(b[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		theirs.Close()
		us.Close()
	})
	return term
}

// Text is all that was written so far.
func (term *Terminal) Text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.text.String()
}

// Screen is what of it is still to be seen, line by line, without trailing blanks.
func (term *Terminal) Screen() []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(term.Text(), "\r\n"), "\r\n") {
		var cells []rune
		column := 0
		for _, r := range line {
			if r == '\r' {
				column = 0
				continue
			}
			if column == len(cells) {
				cells = append(cells, ' ')
			}
			cells[column] = r
			column++
		}
		lines = append(lines, strings.TrimRight(string(cells), " "))
	}
	return lines
}
