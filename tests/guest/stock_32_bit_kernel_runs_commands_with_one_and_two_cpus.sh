#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
. "$HERE/tests/tools/case.sh"
"$HERE/guests/make-demo-32" 2>made || skip "$(grep -v '^make-demo-32: fix' made | tail -n 1)"
vmlinuz=$HERE/out/guests/32/vmlinuz
demo=$HERE/out/guests/32/demo.img
sum=$(yes tabique | head -c 4000000 | sha256sum)

for cpus in 1 2; do
	boot_script --cpus $cpus <<'EOS'
set -e
uname -m
nproc
# Both at once: the processes share what there is of processors.
yes tabique | head -c 4000000 | sha256sum >/tmp/first &
yes tabique | head -c 4000000 >/tmp/data
dd if=/tmp/data bs=7001 2>/dev/null | sha256sum
wait
cat /tmp/first
i=0
while [ $i -lt 50 ]; do
	(exit $((i & 1))) || true
	i=$((i + 1))
done
echo $i forks
EOS
	printf '%s\n' i686 $cpus "$sum" "$sum" '50 forks' >want
	diff want output || fail "with $cpus CPU the guest's commands gave something else"
	[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status"
	expect_status 0
done
