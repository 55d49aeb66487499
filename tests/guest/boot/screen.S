/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot sector that uses the BIOS's screen and keyboard: it asks for keys and shows them until Enter;
 * then it fills mode 13h with three bands of blue, green and red, waits for a key, and resets the machine
 * by its keyboard controller.
 */
	.code16
	.globl _start
_start:
	ljmp $0, $1f
1:	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x7c00, %sp
	cld
	mov $0x0003, %ax /* text, 80 by 25 */
	int $0x10
	mov $ask, %si
	call print
2:	xor %ax, %ax
	int $0x16
	cmp $13, %al
	je 3f
	call put
	jmp 2b
3:	mov $0x0013, %ax /* 320 by 200, 256 colours */
	int $0x10
	mov $0xa000, %ax
	mov %ax, %es
	xor %di, %di
	mov $1, %al
	mov $320*70, %cx
	rep stosb
	mov $2, %al
	mov $320*70, %cx
	rep stosb
	mov $4, %al
	mov $320*60, %cx
	rep stosb
	xor %ax, %ax
	int $0x16
	mov $0xfe, %al
	out %al, $0x64
4:	hlt
	jmp 4b

print:	lodsb
	test %al, %al
	jz 5f
	call put
	jmp print
put:	mov $0x0e, %ah
	mov $7, %bx
	int $0x10
5:	ret

ask:	.asciz "Which keys? "

	.org 510
	.word 0xaa55
