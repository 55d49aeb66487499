#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
times_out halted --kernel "$kernels/halt.elf" --memory 64M --cpus 1
