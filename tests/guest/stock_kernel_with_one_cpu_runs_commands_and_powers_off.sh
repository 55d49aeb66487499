#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
. "$HERE/tests/tools/case.sh"
boot_script --cpus 1 <<'EOF'
set -e
nproc
uname -sm
yes tabique | head -c 4000000 | sha256sum
# The same by way of the page cache, a block size that fits nothing.
yes tabique | head -c 4000000 >/tmp/data
dd if=/tmp/data bs=7001 2>/dev/null | sha256sum
seq 1 20000 | gzip -c | gunzip -c | md5sum
i=0
while [ $i -lt 100 ]; do
	(exit $((i & 1))) || true
	i=$((i + 1))
done
echo $i forks
before=$(cut -d. -f1 /proc/uptime)
sleep 2
after=$(cut -d. -f1 /proc/uptime)
[ $((after - before)) -ge 2 ] && echo slept
cat /proc/interrupts >/dev/null
EOF
cat >want <<'EOF'
1
Linux x86_64
43a03445c874b9787446a719ef922a45863a80d828abee27a4eca7e3786f3e45  -
43a03445c874b9787446a719ef922a45863a80d828abee27a4eca7e3786f3e45  -
e071f707df7bbeee2a6a1eb48011ddd0  -
100 forks
slept
EOF
diff want output || fail "the guest's commands gave something else"
[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status"
expect_status 0
