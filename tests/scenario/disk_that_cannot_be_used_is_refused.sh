#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
truncate -s 1M disk.img
mkdir folder
refuse 3 "disk 'none.img' cannot be opened" --kernel "$kernels/hello.elf" --disk none.img
refuse 1 "disk 'folder'" --kernel "$kernels/hello.elf" --disk folder
refuse 2 "--disk: '' is not a file name" --kernel "$kernels/hello.elf" --disk ,ro
refuse 2 "--disk: 'cache=none' is not known" --kernel "$kernels/hello.elf" --disk disk.img,cache=none
refuse 2 "without a BIOS has no IDE" --kernel "$kernels/hello.elf" --disk disk.img,bus=ide
refuse 1 "disk 'disk.img' is in use" --kernel "$kernels/hello.elf" --disk disk.img --disk disk.img
# Two that only read may.
run --kernel "$kernels/hello.elf" --disk disk.img,ro --cdrom disk.img --debug-exit --timeout 60 </dev/null
grep -q "in use" errors && fail "readers keep each other out"
# Another VM has it: locked before its processes were started.
"$tabique" run --kernel "$kernels/spin.elf" --disk disk.img --timeout 60 >other 2>&1 </dev/null &
vm=$!
trap 'kill -TERM "$vm"; wait "$vm"' EXIT
until [ -n "$(child tabique-worker)" ]; do
	sleep 0.05
done
refuse 1 "disk 'disk.img' is in use" --kernel "$kernels/hello.elf" --disk disk.img
