#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ./run without a terminal; it ended with 1 whatever the guest did, once.
. "$HERE/tests/tools/case.sh"
status=0
echo 'echo $((6 * 7)) is it' | "$HERE/run" demo --engine "$engine" >console 2>errors || status=$?
expect_status 0
expect "42 is it"
expect "reboot: Power down"
status=0
"$HERE/run" demo --engine "$engine" --no-reboot >console 2>errors <<'EOS' || status=$?
reboot -f
EOS
expect_status 10
