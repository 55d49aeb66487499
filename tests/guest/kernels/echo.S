/* SPDX-License-Identifier: Apache-2.0 */
/* Sends back what it reads on COM1; '!' ends it with 7 on port 0xF4. */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
again:
	mov $(COM1 + 5), %edx
1:	in %dx, %al
	test $1, %al
	jz 1b
	mov $COM1, %edx
	in %dx, %al
	call putc
	cmp $'!', %al
	jne again
	mov $7, %al
	jmp leave
	.section .rodata
text:	.asciz "ready\n"
