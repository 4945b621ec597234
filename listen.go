//go:build unix

package daemonize

// Socket activation: descriptors that a service manager has opened.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ListenFiles returns the descriptors that a service manager has opened for
// this process, in its order: socket activation, as sd_listen_fds(3) has it.
// A file's Name is the one that the socket unit gave it. Make listeners of
// them with net.FileListener, in PrivilegedAction, say. Every call returns the
// same files. There are none without socket activation, nor under the verb
// start, whose daemon inherits nothing: use run.
//
// The first call, which run makes before anything else, marks the descriptors
// close-on-exec and removes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from the
// environment: they are not for our children. It needs no privilege.
func ListenFiles() []*os.File { return listenFiles() }

var listenFiles = sync.OnceValue(func() []*os.File {
	const first = 3 // SD_LISTEN_FDS_START
	take := func(variable string) string {
		defer os.Unsetenv(variable)
		return os.Getenv(variable)
	}
	pid, err1 := strconv.Atoi(take("LISTEN_PID"))
	n, err2 := strconv.Atoi(take("LISTEN_FDS"))
	names := strings.Split(take("LISTEN_FDNAMES"), ":")
	if err1 != nil || err2 != nil || pid != os.Getpid() {
		return nil // for somebody else, who did not unset them
	}
	var files []*os.File
	for i := range n {
		fd := first + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			break // fewer than promised
		}
		name := fmt.Sprintf("LISTEN_FD_%d", fd)
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	return files
})
