#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
mkdir folder
refuse 1 "kernel 'folder'" --kernel folder --memory 64M --cpus 1
refuse 1 "initrd 'folder'" --kernel "$vmlinuz" --initrd folder --memory 512M --cpus 1
