#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
refuse 3 "kernel 'no-such-kernel'" --kernel no-such-kernel --memory 64M --cpus 1
