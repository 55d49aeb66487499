#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 200
. "$HERE/tests/tools/case.sh"
start --kernel "$vmlinuz" --initrd "$demo" --append "console=ttyS0 panic=-1 ${append:-}" --memory 256M \
	--cpus 2 --timeout $vm_limit
wait_for "guest#"
echo 'echo $((6 * 7)) processors: $(nproc)' >&8
wait_for "42 processors: 2"
echo 'poweroff -f' >&8
finish
expect_status 0
