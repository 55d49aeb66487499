/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts its lives in CMOS byte 0x50, says which one it is, and resets through the keyboard
 * controller; in its third life it ends with 3 on port 0xF4.
 */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
	mov $0x50, %al
	out %al, $0x70
	in $0x71, %al
	inc %al
	mov %al, %bl
	mov $0x50, %al
	out %al, $0x70
	mov %bl, %al
	out %al, $0x71
	movzbl %bl, %eax
	call putx
	mov $10, %al
	call putc
	mov %bl, %al
	cmp $3, %al
	jae leave
	mov $0xfe, %al
	out %al, $0x64
1:	hlt
	jmp 1b
	.section .rodata
text:	.asciz "life "
