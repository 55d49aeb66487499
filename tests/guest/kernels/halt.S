/* SPDX-License-Identifier: Apache-2.0 */
/* Says that it is there and halts for ever, with interrupts off. */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
	cli
1:	hlt
	jmp 1b
	.section .rodata
text:	.asciz "halted\n"
