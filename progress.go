// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// A line at the terminal while a command waits.

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// progress is a line at the terminal that says what a command waits for. It
// comes after a second and goes away again. A nil one, which is what
// newProgress returns where standard error is no terminal, shows nothing.
type progress struct {
	name  string
	width int
	once  sync.Once // guards ended: it is closed once
	ended chan struct{}
	gone  chan struct{}

	mu   sync.Mutex
	text string
}

// progressDelay is how long people wait without wondering.
const progressDelay = time.Second

func newProgress(name string) *progress {
	size, err := unix.IoctlGetWinsize(2, unix.TIOCGWINSZ)
	if err != nil {
		return nil
	}
	p := &progress{name: name, width: int(size.Col), ended: make(chan struct{}), gone: make(chan struct{})}
	if p.width == 0 {
		p.width = 80 // a serial line
	}
	go p.show()
	return p
}

// say changes what the line says.
func (p *progress) say(text string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = oneLine(text)
}

// lastSeen is say for how far the daemon has come.
func (p *progress) lastSeen(stage string) { p.say("waiting for the daemon, last seen " + stage) }

// end takes the line away. It may be called again.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.ended) })
	<-p.gone
}

func (p *progress) show() {
	defer close(p.gone)
	tick := time.NewTicker(progressDelay)
	defer tick.Stop()
	// No escape sequences: blanks work on every terminal.
	blank := ""
	for n := 1; ; n++ {
		select {
		case <-p.ended:
			fmt.Fprint(os.Stderr, blank)
			return
		case <-tick.C:
		}
		p.mu.Lock()
		line := []rune(fmt.Sprintf("%s: %s: %d s", p.name, p.text, n))
		p.mu.Unlock()
		line = line[:min(len(line), p.width-1)] // one that wraps would stay
		fmt.Fprintf(os.Stderr, "%s%s", blank, string(line))
		blank = "\r" + strings.Repeat(" ", len(line)) + "\r"
	}
}
