/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what the multiboot loader handed over: flags that must be there, memory, command line,
 * each module's text and words, and the memory map; then ends with 0 on port 0xF4.
 */
#include "multiboot.inc"
main:
	cmp $0x2badb002, %eax
	jne bad
	mov (%ebx), %eax
	and $0x4d, %eax /* memory, command line, modules, memory map */
	cmp $0x4d, %eax
	jne bad
	mov $upper, %esi
	call puts
	mov 8(%ebx), %eax
	call putx
	call newline

	mov $line, %esi
	call puts
	mov 16(%ebx), %esi
	call puts
	call newline

	mov 20(%ebx), %ecx /* modules: count, array of start, end, text, 0 */
	mov 24(%ebx), %edi
modules:
	jecxz map
	mov $module, %esi
	call puts
	mov 8(%edi), %esi
	call puts
	mov $contents, %esi
	call puts
	mov (%edi), %esi
	push %ecx
	mov 4(%edi), %ecx
	sub %esi, %ecx
1:	jecxz 2f
	lodsb
	call putc
	dec %ecx
	jmp 1b
2:	pop %ecx
	call newline
	add $16, %edi
	dec %ecx
	jmp modules

map:
	mov 44(%ebx), %ecx /* bytes of the map; each entry: size, base, length, type */
	mov 48(%ebx), %edi
	add %edi, %ecx
1:	cmp %ecx, %edi
	jae 2f
	mov $range, %esi
	call puts
	mov 8(%edi), %eax
	call putx
	mov 4(%edi), %eax
	call putx
	mov $' ', %al
	call putc
	mov 16(%edi), %eax
	call putx
	mov 12(%edi), %eax
	call putx
	mov $' ', %al
	call putc
	mov 20(%edi), %eax
	call putx
	call newline
	add (%edi), %edi
	add $4, %edi
	jmp 1b
2:	mov $0, %al
	jmp leave
bad:
	call putx
	mov $wrong, %esi
	call puts
	mov $1, %al
	jmp leave

newline:
	mov $10, %al
	jmp putc

	.section .rodata
upper:	.asciz "upper "
line:	.asciz "line "
module:	.asciz "module "
contents: .asciz " = "
range:	.asciz "range "
wrong:	.asciz " is not what a multiboot loader gives\n"
