// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Vault opens a sealed file into memory, below a mount point: a mount helper that
// asks for a password, goes to the background once the file is there, and has an
// exit code for each kind of failure.
//
//	go build && echo 'user:secret' > keys && ./vault seal keys keys.sealed
//	sudo ./vault open keys.sealed /mnt; echo $?   # 0 once /mnt/keys is there
//	sudo cat /mnt/keys
//	sudo pkill -x vault                           # /mnt is empty again
//
// Exit codes: 1 failed, 2 usage, 10 the mount point cannot be used, 12 wrong password.
package main

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/madhadron/daemonize"
	"golang.org/x/sys/unix"
)

const saltSize = 16

func main() {
	switch {
	case len(os.Args) == 4 && os.Args[1] == "seal":
		seal(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "open":
		open(os.Args[2], os.Args[3])
	default:
		fail(2, errors.New("usage: vault {seal FILE SEALED | open SEALED DIRECTORY}"))
	}
}

// open makes this program a daemon first, and asks for the password then: main runs
// twice, but only the daemon comes past Detach. With noclose it has the terminal, until
// it is ready. What it exits with before that, its launcher exits with.
func open(sealed, directory string) {
	ready, err := daemonize.Detach(true, true) // true: the paths may be relative
	if err != nil {
		fail(1, err)
	}
	directory, err = filepath.Abs(directory) // it is unmounted from another directory
	if err != nil {
		fail(10, err)
	}
	if entries, err := os.ReadDir(directory); err != nil || len(entries) > 0 {
		fail(10, errors.Join(fmt.Errorf("%s is not an empty directory", directory), err))
	}
	text, err := os.ReadFile(sealed)
	if err != nil {
		fail(1, err)
	}
	if len(text) < saltSize {
		fail(1, fmt.Errorf("%s is not sealed", sealed))
	}
	plain, err := key(password(), text[:saltSize]).Open(nil, nil, text[saltSize:], nil)
	if err != nil {
		fail(12, errors.New("wrong password, or the file is damaged"))
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM, unix.SIGINT)
	if err := unix.Mount("vault", directory, "tmpfs", unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOSUID, "mode=700"); err != nil {
		fail(10, fmt.Errorf("mount on %s: %w", directory, err))
	}
	name := strings.TrimSuffix(filepath.Base(sealed), ".sealed")
	err = os.WriteFile(filepath.Join(directory, name), plain, 0o400)
	if err == nil {
		err = leaveTerminal()
	}
	ready(err) // prints err and exits 1 there, or exits 0
	if err == nil {
		<-told
	}
	if unix.Unmount(directory, unix.MNT_DETACH) != nil || err != nil {
		os.Exit(1)
	}
}

func seal(file, sealed string) {
	text, err := os.ReadFile(file)
	if err != nil {
		fail(1, err)
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // it never fails
	text = key(password(), salt).Seal(salt, nil, text, nil)
	if err := os.WriteFile(sealed, text, 0o600); err != nil {
		fail(1, err)
	}
}

// key is the cipher that goes with a password. Each salt makes another key.
func key(password string, salt []byte) cipher.AEAD {
	k, err := pbkdf2.Key(sha256.New, password, salt, 600_000, 32)
	if err != nil {
		fail(1, err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		fail(1, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		fail(1, err)
	}
	return aead
}

// password reads a line, unseen if it comes from a terminal.
func password() string {
	if before, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		silent := *before
		silent.Lflag &^= unix.ECHO
		_ = unix.IoctlSetTermios(0, unix.TCSETS, &silent)
		fmt.Fprint(os.Stderr, "Password: ")
		defer func() {
			_ = unix.IoctlSetTermios(0, unix.TCSETS, before)
			fmt.Fprintln(os.Stderr)
		}()
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		fail(1, fmt.Errorf("no password: %w", err))
	}
	return strings.TrimSuffix(line, "\n")
}

// leaveTerminal does what noclose has left undone.
func leaveTerminal() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	for fd := 0; fd <= 2 && err == nil; fd++ {
		err = unix.Dup3(int(null.Fd()), fd, 0)
	}
	return errors.Join(err, os.Chdir("/"))
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "vault:", err)
	os.Exit(code)
}
