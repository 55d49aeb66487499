#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
# A terminal of its own, by script(1): raw while the guest runs, as before when it has ended.
command -v script >/dev/null || skip "no script(1)"
mkfifo input
cat >session <<EOF
stty -a >before
"$tabique" run --kernel "$kernels/echo.elf" --memory 64M --cpus 1 --debug-exit
echo "status \$?"
stty -a >after
EOF
script -qec "sh session" /dev/null <input >console 2>errors &
vm=$!
exec 8>input
wait_for ready
printf 'abc!' >&8
wait_for "status 15"
exec 8>&-
finish
cmp before after || fail "the terminal is not as it was"
