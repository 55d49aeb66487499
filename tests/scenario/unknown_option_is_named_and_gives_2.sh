#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
refuse 2 "--kernal" --kernal x
refuse 2 "nothing to boot" --memory 64M
refuse 2 "--memory" --kernel x --memory
refuse 2 "warp" --kernel "$kernels/hello.elf" --engine warp
refuse 2 "--timeout" --kernel "$kernels/hello.elf" --timeout soon
