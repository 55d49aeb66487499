#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
truncate -s 100M large
refuse 1 "initrd 'large'" --kernel "$vmlinuz" --initrd large --append console=ttyS0 --memory 64M --cpus 1
