/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says a word and then writes to COM1 without end, looking at no status register: what a terminal would take
 * for orders, and a web page for a program.
 */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
	mov $0x3f8, %dx
again:	mov $noise, %esi
	mov $(noise_end - noise), %ecx
	rep outsb
	jmp again
	.section .rodata
text:	.asciz "flood begins\n"
noise:	.ascii "\033[2J\033]0;title\007\033[6n<script>alert(1)</script>\0\377 nobody reads this\n"
noise_end:
