# Copyright the daemonize authors.
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program of python-daemon in the benchmarks, with a pidfile, as its
manual shows. When it is up it writes its pid to the FIFO that $BENCH_READY
names."""
import os
import signal
import sys

import daemon
import daemon.pidfile

if sys.argv[1] == "nothing":
    sys.exit()
pidfile = daemon.pidfile.TimeoutPIDLockFile(os.path.join(os.environ["BENCH_DIR"], "python-daemon.pid"), -1)
with daemon.DaemonContext(umask=0o22, pidfile=pidfile):
    with open(os.environ["BENCH_READY"], "w") as ready:
        ready.write("%d\n" % os.getpid())
    while True:
        signal.pause()
