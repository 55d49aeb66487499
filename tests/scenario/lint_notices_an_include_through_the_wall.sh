#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
mkdir -p src/boot src/hv/chips src/attic
cp "$HERE/src/LAYERS" src/
printf '#include "base/err.h"\n#include "hv/engine.h"\n' >src/boot/linux.c
printf '#include "boot/linux.h"\n#include "hv/vp.h"\n#include <stdio.h>\n' >src/hv/chips/uart.c
printf '#include "base/err.h"\n' >src/attic/old.c
awk -f "$HERE/tests/tools/layers.awk" src/LAYERS src/boot/linux.c src/hv/chips/uart.c src/attic/old.c >got
cat >want <<'EOF'
src/boot/linux.c:2: boot may not include hv/engine.h
src/hv/chips/uart.c:1: hv may not include boot/linux.h
src/attic/old.c: its folder has no line in src/LAYERS
EOF
diff want got || fail "lint sees other walls"
