#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
grep -qwE 'vmx|svm' /proc/cpuinfo && skip "this host has hardware virtualization"
refuse 1 "no hardware virtualization" --engine kvm --kernel "$kernels/hello.elf"
# The engine that is chosen here by itself is another one.
engine=auto
run --kernel "$kernels/hello.elf" --memory 64M --debug-exit </dev/null
expect "hello"
