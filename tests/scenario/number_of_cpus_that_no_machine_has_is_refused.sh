#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
for count in 0 65 1000 -1 99999999999999999999 one '' 1x; do
	refuse 2 "cpus" --kernel "$kernels/hello.elf" --memory 64M --cpus "$count"
done
