#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Discs for cases whose guests look what lies in their drive.

# disc FILE LABEL MIB: a file with the volume descriptor that says what it is called.
disc() {
	truncate -s "$3M" "$1"
	printf '\001CD001\001' | dd of="$1" bs=1 seek=32768 conv=notrunc 2>/dev/null
	printf '%-32s' "$2" | dd of="$1" bs=1 seek=32808 conv=notrunc 2>/dev/null
}
