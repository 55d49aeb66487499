#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
truncate -s 300M large
refuse 1 "'large'" --kernel "$vmlinuz" --initrd large --append console=ttyS0 --memory 256M --cpus 1
