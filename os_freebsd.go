package daemonize

// What FreeBSD has of its own: close_range(2).

import "golang.org/x/sys/unix"

func init() {
	closeRange = func() error {
		const cloexec = 1 << 2 // CLOSE_RANGE_CLOEXEC, FreeBSD 14; EINVAL before
		_, _, e := unix.Syscall(unix.SYS_CLOSE_RANGE, 3, uintptr(^uint32(0)), cloexec)
		if e != 0 {
			return e
		}
		return nil
	}
}
