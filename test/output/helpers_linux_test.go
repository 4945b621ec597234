// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

package output_test

// Children that were started before the daemon was ready, and what was written until then.

import (
	"os"
	"os/exec"
	"testing"

	"github.com/madhadron/daemonize"
	"github.com/madhadron/daemonize/internal/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// detaches starts a helper between Detach and ready.
var _ = testbed.Launcher("detaches", func() {
	ready, err := daemonize.Detach(false, false)
	if err != nil {
		panic(err)
	}
	c := exec.Command("sh", "-c", ordered)
	c.Stderr = os.Stderr
	ready(c.Start())
	testbed.UntilTerm()
})

// TestHelperOfAStartLivesOn: it neither dies of SIGPIPE nor blocks, nor does it keep the caller's
// standard error: Run waits for the end of that.
func TestHelperOfAStartLivesOn(t *testing.T) {
	for _, how := range []string{"service", "Detach"} {
		t.Run(how, func(t *testing.T) {
			if !testbed.IsolateRoot(t) {
				return
			}
			syslogd := testbed.StartSyslogd(t, "busybox")
			order := orders(t)
			daemon := "detaches"
			if how == "service" {
				daemon = "speaker"
				testbed.Run(t, 0, speaker("start", "EARLY=& "+ordered, "DO=true"))
			} else {
				testbed.Run(t, 0, testbed.Command("detaches"))
			}
			pid := testbed.One(t, daemon)
			order("echo heard >&2")
			if how == "service" {
				syslogd.Has(t, "daemon.warn speaker: heard")
			}
			const much = "head -c 300000 /dev/zero >&2"
			order(much)
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
			testbed.None(t, daemon)
			order("echo alone >&2")
			order(much + "; true")
			order("echo still there >&2")
		})
	}
}

// TestPipeOfAStartGoesAway: where there is no helper, nothing is left of it; nor once the last has
// ended.
func TestPipeOfAStartGoesAway(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	testbed.StartSyslogd(t, "busybox")
	order := orders(t)
	pipes := func() (n int) {
		for _, to := range testbed.Look(t, testbed.One(t, "speaker")).FDs {
			if len(to) > 4 && to[:5] == "pipe:" {
				n++
			}
		}
		return n
	}
	testbed.Run(t, 0, speaker("start", "DO=true"))
	testbed.Eventually(t, func() bool { return pipes() == 0 }, "no pipe")
	testbed.Run(t, 0, speaker("restart", "DO=true", "EARLY=& "+ordered))
	testbed.Eventually(t, func() bool { return pipes() == 1 }, "its read end")
	order("exec 2>&-")
	testbed.Eventually(t, func() bool { return pipes() == 0 }, "the daemon to close the pipe")
}

func TestWarningOfAGoodStartIsShownOnce(t *testing.T) {
	if !testbed.IsolateRoot(t) {
		return
	}
	syslogd := testbed.StartSyslogd(t, "busybox")
	stdout, stderr := testbed.Run(t, 0, speaker("start", "DO=true", "EARLY=echo it expires >&2; printf soon >&2"))
	assert.Equal(t, "it expires\nsoon", stderr)
	assert.Empty(t, stdout)
	syslogd.Has(t, "waiting")
	assert.NotContains(t, syslogd.Text(t), "expires")
}

// TestStandardErrorOfTheProgramsOwnStays: and standard output, before the call and after it.
func TestStandardErrorOfTheProgramsOwnStays(t *testing.T) {
	for _, early := range []string{"redirect", "main redirects"} {
		for _, out := range []string{"", "syslog", "/run/file"} {
			t.Run(early+map[string]string{"": "", "syslog": ", LogOutput", "/run/file": ", OutputFile"}[out], func(t *testing.T) {
				if !testbed.IsolateRoot(t) {
					return
				}
				syslogd := testbed.StartSyslogd(t, "busybox")
				testbed.Run(t, 0, speaker("start", "AS=root", "EARLY="+early, "DO=writes", "OUT="+out))
				syslogd.Has(t, "waiting")
				fds := testbed.Look(t, testbed.One(t, "speaker")).FDs
				assert.Equal(t, []string{"/dev/null", "/run/own", "/run/own"}, []string{fds[0], fds[1], fds[2]})
				own, err := os.ReadFile("/run/own")
				require.NoError(t, err)
				assert.Equal(t, "out 1\nerr 1\n", string(own))
			})
		}
	}
}
