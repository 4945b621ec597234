#!/bin/sh
# Copyright the daemonize authors.
# SPDX-License-Identifier: GPL-3.0-or-later
#
### BEGIN INIT INFO
# Provides:          stillalive
# Required-Start:    $remote_fs $syslog
# Required-Stop:     $remote_fs $syslog
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Says in syslog that it is alive
### END INIT INFO

# /etc/init.d/stillalive: the daemon has the verbs and the LSB's exit codes
# itself. For the LSB, starting what runs is done, and force-reload is a verb.
daemon=/usr/local/sbin/stillalive
[ -x "$daemon" ] || exit 5 # not installed

case "$1" in
start) "$daemon" status >/dev/null || exec "$daemon" start ;;
force-reload) exec "$daemon" reload ;;
*) exec "$daemon" "$@" ;;
esac
