// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !aix && !(cgo && !daemonizego)

// The pure-Go way of becoming a daemon. The Go runtime cannot fork, so both
// forks of daemon(3) are re-executions: the launcher starts stage 1, which
// becomes a session leader and starts stage 2, which is the daemon.
// All of it happens in this package's init, before main.

package daemonize

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// usesLibc tells messages and tests which backend they have.
const usesLibc = false

// mark is the marker's value: "PID:FD" from the launcher, "PID:FD:SID" from
// stage 1, whose pid is the session's.
type mark struct{ launcher, report, session int }

func parseMark(value string) (mark, bool) {
	fields := strings.Split(value, ":")
	if len(fields) != 2 && len(fields) != 3 {
		return mark{}, false
	}
	var n [3]int
	for i, f := range fields {
		v, err := strconv.ParseUint(f, 10, 31)
		if err != nil {
			return mark{}, false
		}
		n[i] = int(v)
	}
	m := mark{n[0], n[1], n[2]}
	return m, m.launcher > 1 && m.report > 2 && (len(fields) == 2 || m.session > 1)
}

func sysBoot(value string, seen bool) bootResult {
	if !seen {
		return bootResult{state: bootNone}
	}
	refused := bootResult{state: bootRefused}
	m, ok := parseMark(value)
	if !ok || secureMode() || !peerIs(m.report, m.launcher) {
		return refused
	}
	if _, err := unix.FcntlInt(uintptr(m.report), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return refused
	}
	if m.session == 0 {
		if os.Getppid() != m.launcher {
			return refused
		}
		stageOne(m) // it does not return
	}
	// Stage 1 is perhaps gone already; its session stays ours.
	if sid, err := unix.Getsid(0); err != nil || sid != m.session || sid == os.Getpid() {
		return refused
	}
	nameProcess()
	if err := reportRaw(m.report, frame{kind: frameBooted, code: 1, num: int32(os.Getpid())}); err != nil {
		return refused // the launcher is gone
	}
	return bootResult{state: bootDaemon, report: m.report}
}

// stageOne leads a new session and starts stage 2 in it. It stays until the
// daemon ends, to end as it did, or until the launcher, which knows that it is
// ready, kills us.
func stageOne(m mark) {
	if _, err := unix.Setsid(); err != nil {
		stageOneFails(m, bootInSetsid, err)
	}
	exe, err := executable()
	if err != nil {
		stageOneFails(m, bootInFork, err)
	}
	release := cleanSignals() // this thread starts stage 2
	leaveSessionKeyring()
	closeInherited, err := inheritNothing()
	if err != nil {
		stageOneFails(m, bootInClose, err)
	}
	// Not os.StartProcess, which starts another process first, to try pidfds.
	child, _, err := syscall.StartProcess(exe, origin.args, &syscall.ProcAttr{
		Env:   append(origin.env, fmt.Sprintf("%s=%d:%d:%d", marker, m.launcher, 3, os.Getpid())),
		Files: []uintptr{0, 1, 2, uintptr(m.report)},
	})
	release()
	if err != nil {
		stageOneFails(m, bootInFork, err)
	}
	for _, fd := range []int{0, 1, 2, m.report} { // the launcher waits for the end of these
		unix.Close(fd)
	}
	closeInherited()
	code, signal, err := endOf(child)
	if err != nil {
		os.Exit(exitFailed)
	}
	if signal != 0 {
		_ = unix.Setrlimit(unix.RLIMIT_CORE, new(unix.Rlimit)) // the core is its own
		_ = unix.Kill(os.Getpid(), signal)
		code = 128 + int(signal)
	}
	os.Exit(code)
}

func stageOneFails(m mark, in uint8, err error) {
	errno := syscall.EINVAL
	errors.As(err, &errno)
	_ = reportRaw(m.report, frame{kind: frameBootError, code: in, num: int32(errno), text: err.Error()})
	os.Exit(exitFailed)
}

// reportRaw writes to a descriptor that is not an os.File yet.
func reportRaw(fd int, f frame) error { return writeFrame(rawWriter(fd), f) }

type rawWriter int

func (fd rawWriter) Write(b []byte) (int, error) { return unix.Write(int(fd), b) }

// sysCloseInForks: without C every fork is followed by exec, which closes fd.
func sysCloseInForks(int, int) error { return nil }
