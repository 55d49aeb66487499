#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
times_out spinning --kernel "$kernels/spin.elf" --memory 64M --cpus 1
