#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
refuse 2 "not yet" --kernel "$kernels/hello.elf" --floppy disk.img
