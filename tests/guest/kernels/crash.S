/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says by Hyper-V's crash registers that it crashed, with the last words of a log, and goes on for a while,
 * as a kernel does that writes its dump; then it resets itself.
 */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
	/* P3, P4: where the log is */
	mov $0x40000103, %ecx
	mov $log, %eax
	xor %edx, %edx
	wrmsr
	mov $0x40000104, %ecx
	mov $log_end - log, %eax
	wrmsr
	mov $0x40000100, %ecx
	mov $0xdead, %eax
	wrmsr
	mov $0x40000105, %ecx
	rdmsr
	mov $0xc0000000, %edx
	xor %eax, %eax
	wrmsr
	mov $dump, %esi
	call puts
	mov $0xfe, %al
	out %al, $0x64
1:	hlt
	jmp 1b
	.section .rodata
text:	.asciz "about to crash\n"
dump:	.asciz "dump written\n"
log:	.ascii "Kernel panic: all is lost\n"
log_end:
