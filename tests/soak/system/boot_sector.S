/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk's first sector, for machines that load no multiboot image: reads the kernel (flat, from
 * sector 2 on, SECTORS of them) to 0x10000, copies it to 1 MiB in protected mode and jumps there with a
 * multiboot information whose command line is sector 1.
 */
	.code16
	.section .text
	.globl _start
_start:	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x7c00, %sp
	sti
	cld
	mov %dl, drive
	movb $1, packet + 2
	movw $0x800, packet + 6 /* to 0x8000: the command line */
	call read
	movw $0x1000, packet + 6
	mov $SECTORS, %bp
1:	mov $64, %ax
	mov %al, packet + 2
	call read
	addw $0x800, packet + 6
	sub $64, %bp
	ja 1b
	cli
	lgdt gdt_pointer
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmp $8, $2f
	.code32
2:	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $0x10000, %esi
	mov $0x100000, %edi
	mov $(SECTORS * 128), %ecx
	rep movsl
	mov $information, %ebx
	mov $0x2badb002, %eax
	mov $0x100000, %ecx
	jmp *%ecx

	.code16
read:	mov $0x42, %ah
	mov drive, %dl
	mov $packet, %si
	int $0x13
	jc 3f
	movzbl packet + 2, %eax
	add %eax, packet + 8
	ret
3:	hlt
	jmp 3b

drive:	.byte 0
	.balign 4
packet:	.byte 16, 0
	.word 1, 0, 0
	.long 1, 0
information:
	.long 4, 0, 0, 0, 0x8000
	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word 23
	.long gdt
	.org 510
	.word 0xaa55
