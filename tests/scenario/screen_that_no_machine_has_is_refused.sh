#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
for size in 1M 12M 128M -8M lots 0x8M ''; do
	refuse 2 "--video-memory: a screen can have 4M, 8M, 16M, 32M or 64M, not '$size'" \
		--kernel /dev/null --video-memory "$size"
done
