//go:build unix

package daemonize

// The standard descriptors: /dev/null, and handing them on.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openNull opens /dev/null and, as daemon(3) does, refuses anything else of
// that name.
func openNull() (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || !isNull(int(f.Fd()), &st) {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: os.DevNull, Err: unix.ENODEV}
	}
	return f, nil
}

// toNull puts /dev/null on the descriptors.
func toNull(fds ...int) error {
	null, err := openNull()
	if err != nil {
		return err
	}
	defer null.Close()
	for _, fd := range fds {
		if err := dup2(int(null.Fd()), fd); err != nil {
			return os.NewSyscallError("dup2", err)
		}
	}
	return nil
}

// sendStdio leaves our standard descriptors in the socket, for noclose: the
// copy is started without, lest its early output show twice.
func sendStdio(report *os.File) error {
	conn, err := report.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(0, 1, 2), nil, 0)
		return true
	})
	return os.NewSyscallError("sendmsg", errors.Join(err, sent))
}

// receiveStdio puts them back in their places.
func receiveStdio(report *os.File) error {
	conn, err := report.SyscallConn()
	if err != nil {
		return err
	}
	oob := make([]byte, unix.CmsgSpace(3*4))
	var n int
	var failed error
	err = conn.Control(func(fd uintptr) {
		_, n, _, _, failed = unix.Recvmsg(int(fd), make([]byte, 1), oob, unix.MSG_DONTWAIT)
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("cannot get the standard descriptors back from the launcher (did it call with noclose, too?): %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("the launcher sent no standard descriptors: %w", errors.Join(err, unix.EPROTO))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 3 {
		return fmt.Errorf("the launcher sent %d standard descriptors: %w", len(fds), errors.Join(err, unix.EPROTO))
	}
	for i, fd := range fds {
		if err := dup2(fd, i); err != nil {
			return os.NewSyscallError("dup2", err)
		}
		unix.Close(fd)
	}
	return nil
}
