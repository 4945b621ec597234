//go:build unix

package daemonize

// Kinds of errors, for the exit code and for what is done about them.

import (
	"errors"

	"golang.org/x/sys/unix"
)

// configError is an error of the configuration, not of this run: an account,
// a name, a directory or a pidfile that cannot be used.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// unwritable is true if a directory, a file system or a quota refuses files.
func unwritable(err error) bool {
	for _, errno := range []unix.Errno{unix.ENOENT, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
