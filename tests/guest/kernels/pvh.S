/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that is entered by its PVH note: 32-bit, paging off, ebx = struct hvm_start_info.
 * Prints what the loader handed over - command line, first module, memory map, where ACPI
 * begins - and ends with 0 on port 0xF4. It has no multiboot header.
 */
#define NO_MULTIBOOT
#include "multiboot.inc"

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.text
main:
	mov $magic, %esi
	call puts
	mov (%ebx), %eax
	call putx
	call newline

	mov $line, %esi
	call puts
	mov 24(%ebx), %esi
	call puts
	call newline

	mov $modules, %esi
	call puts
	mov 12(%ebx), %eax
	call putx
	mov 12(%ebx), %ecx
	jecxz 2f
	mov $contents, %esi
	call puts
	mov 16(%ebx), %edi /* first module: address, size, command line */
	mov (%edi), %esi
	mov 8(%edi), %ecx
1:	jecxz 2f
	lodsb
	call putc
	dec %ecx
	jmp 1b
2:	call newline

	mov $rsdp, %esi
	call puts
	mov 32(%ebx), %esi
	mov $8, %ecx
1:	lodsb
	call putc
	loop 1b
	call newline

	mov 40(%ebx), %edi /* the map: address, size, type, reserved */
	mov 48(%ebx), %ecx
1:	jecxz 2f
	mov $range, %esi
	call puts
	mov 4(%edi), %eax
	call putx
	mov (%edi), %eax
	call putx
	mov $' ', %al
	call putc
	mov 12(%edi), %eax
	call putx
	mov 8(%edi), %eax
	call putx
	mov $' ', %al
	call putc
	mov 16(%edi), %eax
	call putx
	call newline
	add $24, %edi
	dec %ecx
	jmp 1b
2:	mov $0, %al
	jmp leave

newline:
	mov $10, %al
	jmp putc

	.section .rodata
magic:	.asciz "magic "
line:	.asciz "line "
modules: .asciz "modules "
contents: .asciz " = "
rsdp:	.asciz "acpi "
range:	.asciz "range "
