#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 240
. "$HERE/tests/tools/case.sh"
programs=smp
boot_script --cpus 4 <<'EOF'
set -e
nproc
/smp
# The same bytes through four pipes at once.
for cpu in 0 1 2 3; do
	(yes tabique | head -c 1000000 | taskset $((1 << cpu)) sha256sum >/tmp/sum$cpu) &
done
wait
cat /tmp/sum? | sort | uniq -c | awk '{ print $1, $2 }'
# A storm of forks.
for cpu in 0 1 2 3; do
	(n=0; while [ $n -lt 40 ]; do (true); n=$((n + 1)); done; echo done >>/tmp/storm) &
done
wait
wc -l </tmp/storm
# Every CPU takes its own timer's interrupts.
awk '/^ *(LOC|HVS):/ { for (n = 2; n <= 5; n++) taken[n] += $n }
	END { print (taken[2] > 0) + (taken[3] > 0) + (taken[4] > 0) + (taken[5] > 0) }' /proc/interrupts
EOF
cat >want <<'EOF'
4
adds 80000 swaps 240000 guarded 8000 bits lost 0
wide 8000
out of order 0 both early 0
4 bf59154ef5f48c6083b1f3490c084f6200f4d97e8d42c506ec2b443ea0007398
4
4
EOF
diff want output || fail "the guest's commands gave something else"
[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status"
expect_status 0
