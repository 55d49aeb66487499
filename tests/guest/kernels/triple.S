/* SPDX-License-Identifier: Apache-2.0 */
/* A breakpoint without a descriptor table: double fault, triple fault. */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
	lidt empty
	int3
	mov $0, %al
	jmp leave
	.section .rodata
text:	.asciz "about to fault\n"
empty:	.word 0
	.long 0
