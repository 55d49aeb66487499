#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
# Linux reports a panic by Hyper-V's crash registers once hv_vmbus is there, with the tail of its log.
. "$HERE/tests/tools/case.sh"
truncate -s 1M a.img
cat >script <<'EOF2'
echo 'nothing is lost' >/dev/kmsg
echo c >/proc/sysrq-trigger
EOF2
"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img"
run --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1" --memory 512M \
	--cpus 1 --disk a.img </dev/null
expect "the guest reported a crash" errors
expect "guest crash:" errors
expect "nothing is lost" errors
expect "Kernel panic - not syncing: sysrq triggered crash" errors
expect_status 12
