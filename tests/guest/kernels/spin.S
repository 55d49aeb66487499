/* SPDX-License-Identifier: Apache-2.0 */
/* Says that it is there and spins for ever. */
#include "multiboot.inc"
main:
	mov $text, %esi
	call puts
1:	jmp 1b
	.section .rodata
text:	.asciz "spinning\n"
