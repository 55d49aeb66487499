#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/daemon.sh"
wrong 3 "no daemon (tabiqued) listens" vm list
start_daemon
launcher=$daemon
trap end_host EXIT
"$tabique" vm create good kernel="$kernels/spin.elf" memory=32M || fail "vm create"
wrong 1 "the launcher (tabique-launcher) does not run" vm start good
start_launcher
"$tabique" vm create none || fail "vm create without a kernel"
echo x >file
# STATUS|CAUSE|WORDS
while IFS='|' read -r status cause words; do
	# shellcheck disable=SC2086
	wrong "$status" "$cause" $words
	grep -q '^fix: .' complaints || fail "no cure: $words"
done <<END
2|is no name of a VM|vm create we/b
2|is no name of a VM|vm create self
2|is no name of a VM|vm create -- -x
2|a VM has no 'memry'|vm create a memry=1G
2|memory cannot be '1X'|vm create a memory=1X
2|memory can be from 1M to 1T|vm create a memory=4K
2|cpus can be from 1 to 64, not 65|vm create a cpus=65
2|cpus cannot be '-1'|vm create a cpus=-1
2|cpus cannot be '1e3'|vm create a cpus=1e3
2|engine cannot be 'fast'|vm create a engine=fast
2|cpu.weight can be from 1 to 10000, not 0|vm create a cpu.weight=0
2|'word' is not key=value|vm create a word
2|there is no network 'lan'|vm create a nic=lan
3|no such file or directory|vm create a kernel=/nonexistent
3|no such file or directory|vm create a disk=nonexistent.vhdx,ro
4|there is a VM 'good' already|vm create good
2|which VM?|vm start
3|there is no VM 'god'|vm start god
2|one word too many|vm start good good
2|there is nothing to boot|vm start none
4|VM 'good' is off|vm stop good
4|VM 'good' is off|vm pause good
4|VM 'good' is off|vm inspect good
4|VM 'good' is off|vm show good --isolation
4|VM 'good' is off|disk attach good /dev/null
2|what is to be set?|vm set good
2|a VM has no 'kernle'|vm set good kernle=x
2|unknown option '--fast'|vm list --fast
2|'-o xml' is not known|vm list -o xml
2|which console?|vm console good
3|there is no operation '99'|op cancel 99
END
grep -q "did you mean 'kernel'" complaints || :
"$tabique" vm set good kernel="$DIR/file" || fail "vm set"
wrong 1 "'file' is not a kernel" vm start good
ln -s "$kernels/spin.elf" link
"$tabique" vm set none kernel=/etc/passwd || fail "vm set"
wrong 1 "permission denied" vm start none
grep -q "^fix: list its folder in" complaints || fail "no cure for a folder that is not listed"
