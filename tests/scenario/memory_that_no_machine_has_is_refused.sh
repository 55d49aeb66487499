#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
for size in 0 1P 17E 99999999999999999999 -1 12Q 1.5 '' M; do
	refuse 2 "memory" --kernel "$kernels/hello.elf" --memory "$size" --cpus 1
done
for words in 1G,min=2G 1G,max=512M 1G,max=2T 1G,min=0 1G,buffer=2001 1G,buffer=x 1G,weight=10001 1G,max= 1G,more=2G 1G,; do
	refuse 2 "memory" --kernel "$kernels/hello.elf" --memory "$words" --cpus 1
done
