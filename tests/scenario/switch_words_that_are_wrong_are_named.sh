#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
wrong 2 "where are VMs to connect?" switch run
wrong 2 "unknown word '--fast'" switch run lan.sock --fast
wrong 2 "unknown word 'two'" switch run one two
wrong 2 "--capture needs a value" switch run lan.sock --capture
wrong 2 "'switch create' is not part of this version" switch create lan
wrong 3 "switch socket 'none/lan.sock' cannot be made" switch run none/lan.sock
wrong 3 "cannot be written" switch run lan.sock --capture none/lan.pcap
echo a file >file
wrong 4 "switch socket 'file': a file of that name is there" switch run file

"$tabique" switch run lan.sock --capture lan.pcap >heard 2>errors &
switch=$!
vm=$switch
wait_for "switch on 'lan.sock'" heard
[ "$(stat -c %a lan.sock)" = 600 ] || fail "others may connect"
wrong 4 "switch socket 'lan.sock' is in use" switch run lan.sock
wrong 2 "'lan.sock' is not the socket of a VM" vm show --control lan.sock
kill -TERM "$switch"
wait "$switch" || fail "the switch did not end well"
[ ! -e lan.sock ] || fail "the socket is still there"
[ "$(wc -c <lan.pcap)" -eq 24 ] || fail "the capture has frames in it"

: >heard
"$tabique" switch run lan.sock >heard 2>errors &
vm=$!
wait_for "switch on 'lan.sock'" heard
kill -KILL "$(child tabique-switch)"
status=0
wait "$vm" || status=$?
expect_status 1
expect "the switch (tabique-switch) was killed by signal 9" errors
[ ! -e lan.sock ] || fail "the socket is still there"
