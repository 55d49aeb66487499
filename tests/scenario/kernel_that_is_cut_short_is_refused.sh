#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
for size in 100 512 700 20000 1000000; do
	head -c $size "$vmlinuz" >short
	refuse 1 "'short'" --kernel short --memory 512M --cpus 1
done
head -c 60 "$kernels/hello.elf" >short
refuse 1 "'short'" --kernel short --memory 64M --cpus 1
