#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 200
# Either was a way of its own through the host for each request.
. "$HERE/tests/tools/case.sh"
head -c 2097152 /dev/urandom >a.img
start --kernel "$vmlinuz" --initrd "$demo" --append "console=ttyS0 panic=-1 ${append:-}" --memory 256M \
	--cpus 2 --disk a.img --control ctl --timeout 180
wait_for "guest#"
echo 'dmesg | grep -o "Using enlightened .*"; md5sum </dev/sda' >&8
wait_for "$(md5sum <a.img | cut -d ' ' -f 1)"
expect "Using enlightened APIC"
"$tabique" vm inspect --control ctl hv >inspected || fail "vm inspect failed"
[ "$(grep -c 'event flags: set by the worker' inspected)" -eq 2 ] || fail "flags are not the worker's"
[ "$(sed -n 's/.*synic counts: .* events \([0-9]*\) .*/\1/p' inspected | tr '\n' ' ')" = "0 0 " ] ||
	fail "events went by the hypervisor: $(grep 'synic counts' inspected)"
echo 'poweroff -f' >&8
finish
expect_status 0
