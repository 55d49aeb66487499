#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
. "$HERE/tests/tools/case.sh"
for cpus in 1 2; do
	boot_script --cpus $cpus <<'EOF'
set -e
nproc
yes tabique | head -c 400000 | sha256sum
sleep 1
# Every CPU takes its timer's interrupts.
awk '/^ *LOC:/ { n = 0; for (k = 2; $k ~ /^[0-9]+$/; k++) n += $k > 0; print n }' /proc/interrupts
EOF
	cat >want <<EOF
$cpus
$(yes tabique | head -c 400000 | sha256sum)
$cpus
EOF
	diff want output || fail "the guest's commands gave something else"
	[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status"
	expect_status 0
done
