#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
for size in 0 1P 17E 99999999999999999999 -1 12Q 1.5 '' M; do
	refuse 2 "memory" --kernel "$kernels/hello.elf" --memory "$size" --cpus 1
done
