#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
yes "this is a letter" | head -c 100000 >letter
refuse 1 "'letter'" --kernel letter --memory 64M --cpus 1
: >empty
refuse 1 "'empty'" --kernel empty --memory 64M --cpus 1
head -c 3000000 /dev/urandom >noise
refuse 1 "'noise'" --kernel noise --memory 64M --cpus 1
