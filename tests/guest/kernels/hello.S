/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a line and ends with 42 on port 0xF4: exit status 85 under --debug-exit. */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
	mov $42, %al
	jmp leave
	.section .rodata
text:	.asciz "hello from a bare kernel\n"
