/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the loader to main() in long mode; from there into a case and, by the stubs, back. See
 * system.h. The harness' own selectors: 0x08 64-bit code, 0x10 data, 0x18 32-bit code, 0x20 TSS.
 */
#define H_CODE 0x08
#define H_DATA 0x10
#define H_CODE32 0x18
#define H_TSS 0x20
#define GOOD_CR0 0x80010033
#define GOOD_CR4 0x40620 /* PAE OSFXSR OSXMMEXCPT OSXSAVE */
#define EFER 0xc0000080

	.section .multiboot, "ax"
	.code32
	jmp _start /* the loader in boot_sector.S begins here */
	.balign 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.text
	.globl _start
_start:
	cli
	cld
	mov %ebx, %ebp
	mov $__bss_start, %edi
	mov $_end, %ecx
	sub %edi, %ecx
	xor %eax, %eax
	rep stosb
	mov %ebp, boot_info
	xor %eax, %eax /* the loader's selectors */
	mov %eax, %fs
	mov %eax, %gs
	mov $stack_top, %esp
	movl $h_pdpt + 3, h_pml4
	movl $h_pd + 3, h_pdpt
	mov $0x83, %eax
	mov $h_pd, %edi
	mov $512, %ecx
1:	mov %eax, (%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	/* The TSS' base. */
	mov $h_tss, %eax
	mov %ax, h_gdt + H_TSS + 2
	shr $16, %eax
	mov %al, h_gdt + H_TSS + 4
	mov %ah, h_gdt + H_TSS + 7
	call to_long
	.code64
	mov $7, %eax
	xor %edx, %edx
	xor %ecx, %ecx
	xsetbv
	mov $H_TSS, %eax
	ltr %ax
	lidt h_idt_pointer
	call main
1:	hlt
	jmp 1b

	/* 32-bit, paging off; returns in 64-bit mode. */
	.code32
to_long:
	pop %esi
	mov $GOOD_CR4, %eax
	mov %eax, %cr4
	mov $h_pml4, %eax
	mov %eax, %cr3
	mov $EFER, %ecx
	mov $0xd01, %eax /* SCE LME (LMA) NXE */
	and $~0x400, %eax
	xor %edx, %edx
	wrmsr
	mov $GOOD_CR0, %eax
	mov %eax, %cr0
	lgdt h_gdt_pointer
	ljmp $H_CODE, $1f
	.code64
1:	mov $H_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %esi, %esi
	jmp *%rsi

/* ---- into a case ----------------------------------------------------------------------------- */

	.globl run_case
run_case:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, h_rsp
	mov $7, %eax
	xor %edx, %edx
	xrstor w_fpu
	mov w_xcr0, %eax
	xor %edx, %edx
	xor %ecx, %ecx
	xsetbv
	mov $w_msr, %esi
	mov $8, %edi
1:	mov (%rsi), %ecx
	mov 8(%rsi), %eax
	mov 12(%rsi), %edx
	wrmsr
	add $16, %rsi
	dec %edi
	jnz 1b
	xor %eax, %eax
	mov %rax, %cr2
	mov w_dr, %rax
	mov %rax, %dr0
	mov w_dr + 8, %rax
	mov %rax, %dr1
	mov w_dr + 16, %rax
	mov %rax, %dr2
	mov w_dr + 24, %rax
	mov %rax, %dr3
	mov w_dr + 48, %rax
	mov %rax, %dr6
	cmpl $0, w_legacy
	jne into_legacy

	lgdt w_gdt
	lidt w_idt
	mov $EFER, %ecx
	mov w_efer, %eax
	xor %edx, %edx
	wrmsr
	mov w_cr3, %rax
	mov %rax, %cr3
	mov w_cr4, %rax
	xor $0x80, %rax /* a change of PGE drops what is global */
	mov %rax, %cr4
	xor $0x80, %rax
	mov %rax, %cr4
	lldt w_ldt
	ltr w_tr
	mov w_ds, %ds
	mov w_es, %es
	mov w_fs, %fs
	mov w_gs, %gs
	mov $0xc0000100, %ecx
	mov w_fs_base, %eax
	mov w_fs_base + 4, %edx
	wrmsr
	inc %ecx
	mov w_gs_base, %eax
	mov w_gs_base + 4, %edx
	wrmsr
	mov w_dr + 56, %rax
	mov %rax, %dr7
	mov w_cr0, %rax
	mov %rax, %cr0
	mov w_gpr + 0x00, %rax
	mov w_gpr + 0x08, %rcx
	mov w_gpr + 0x10, %rdx
	mov w_gpr + 0x18, %rbx
	mov w_gpr + 0x28, %rbp
	mov w_gpr + 0x30, %rsi
	mov w_gpr + 0x38, %rdi
	mov w_gpr + 0x40, %r8
	mov w_gpr + 0x48, %r9
	mov w_gpr + 0x50, %r10
	mov w_gpr + 0x58, %r11
	mov w_gpr + 0x60, %r12
	mov w_gpr + 0x68, %r13
	mov w_gpr + 0x70, %r14
	mov w_gpr + 0x78, %r15
	mov $w_frame, %rsp
	iretq

into_legacy:
	xor %r8, %r8
	xor %r9, %r9
	xor %r10, %r10
	xor %r11, %r11
	xor %r12, %r12
	xor %r13, %r13
	xor %r14, %r14
	xor %r15, %r15
	push $H_CODE32
	push $1f
	lretq
	.code32
1:	lgdt w_gdt
	lidt w_idt
	mov $0x11, %eax
	mov %eax, %cr0
	mov $EFER, %ecx
	mov w_efer, %eax
	xor %edx, %edx
	wrmsr
	mov w_cr4, %eax
	mov %eax, %cr4
	mov w_cr3, %eax
	mov %eax, %cr3
	mov w_cr0, %eax
	and $~0xe, %eax /* TS EM MP: with the rest below */
	mov %eax, %cr0
	lldt w_ldt
	ltr w_tr
	mov w_dr + 56, %eax
	mov %eax, %dr7
	mov w_cr0, %eax
	mov %eax, %cr0
	mov $w_frame32, %esp
	cmpl $0, w_v86
	jne 2f
	mov w_es, %es
	mov w_fs, %fs
	mov w_gs, %gs
2:	mov w_gpr + 0x00, %eax
	mov w_gpr + 0x08, %ecx
	mov w_gpr + 0x10, %edx
	mov w_gpr + 0x18, %ebx
	mov w_gpr + 0x28, %ebp
	mov w_gpr + 0x30, %esi
	mov w_gpr + 0x38, %edi
	cmpl $0, w_inner
	jne 3f
	cmpl $0, w_v86
	jne 4f
	mov w_ds, %ds
4:	iret
	/* The start is in ring 0: no change of stack by IRET. */
3:	mov $w_flags32, %esp
	popf
	mov w_ds, %ds
	mov %cs:w_frame32 + 16, %ss
	mov %cs:w_frame32 + 12, %esp
	ljmp *%cs:w_far32

/* ---- and back -------------------------------------------------------------------------------- */

	.code64
	.balign 32
	.globl stub64
stub64:
	.set n, 0
	.rept 64
	.balign 32
	mov %rax, s_gpr
	mov $n, %al
	jmp common64
	.set n, n + 1
	.endr

common64:
	movzbl %al, %eax
	mov %rax, s_vector
	mov %rcx, s_gpr + 0x08
	mov %rdx, s_gpr + 0x10
	mov %rbx, s_gpr + 0x18
	mov %rsp, s_gpr + 0x20
	mov %rbp, s_gpr + 0x28
	mov %rsi, s_gpr + 0x30
	mov %rdi, s_gpr + 0x38
	mov %r8, s_gpr + 0x40
	mov %r9, s_gpr + 0x48
	mov %r10, s_gpr + 0x50
	mov %r11, s_gpr + 0x58
	mov %r12, s_gpr + 0x60
	mov %r13, s_gpr + 0x68
	mov %r14, s_gpr + 0x70
	mov %r15, s_gpr + 0x78
	mov h_rsp, %rsp
	pushfq
	pop s_flags
	mov %cr0, %rax
	mov %rax, s_cr0
	mov %cr2, %rax
	mov %rax, s_cr2
	mov %cr3, %rax
	mov %rax, s_cr3
	mov %cr4, %rax
	mov %rax, s_cr4
	mov %ds, s_ds
	mov %es, s_es
	mov %fs, s_fs
	mov %gs, s_gs
	mov %ss, s_ss
	str s_tr
	sldt s_ldt
	sgdt s_gdt
	sidt s_idt
	mov $EFER, %ecx
	rdmsr
	mov %eax, s_efer
	mov $0xd01, %eax
	xor %edx, %edx
	wrmsr
	mov $GOOD_CR4, %eax
	mov %rax, %cr4
	mov $h_pml4, %eax
	mov %rax, %cr3
	mov $GOOD_CR0, %eax
	mov %rax, %cr0
	lgdt h_gdt_pointer
	push $H_CODE
	push $tail
	lretq

	.code32
	.balign 32
	.globl stub32
stub32:
	.set n, 0
	.rept 64
	.balign 32
	mov %eax, %dr0
	mov %ds, %eax
	mov %eax, %dr1
	mov $0x10, %eax
	mov %eax, %ds
	movb $n, s_vector
	jmp common32
	.set n, n + 1
	.endr

common32:
	mov %dr0, %eax
	mov %eax, s_gpr
	mov %dr1, %eax
	mov %ax, s_ds
	mov %ecx, s_gpr + 0x08
	mov %edx, s_gpr + 0x10
	mov %ebx, s_gpr + 0x18
	mov %esp, s_gpr + 0x20
	mov %ebp, s_gpr + 0x28
	mov %esi, s_gpr + 0x30
	mov %edi, s_gpr + 0x38
	mov %ss, s_ss
	mov $0x10, %eax
	mov %eax, %ss
	mov h_rsp, %esp
	pushf
	pop s_flags
	mov %es, s_es
	mov %fs, s_fs
	mov %gs, s_gs
	str s_tr
	sldt s_ldt
	sgdt s_gdt
	sidt s_idt
	mov %cr0, %eax
	mov %eax, s_cr0
	mov %cr2, %eax
	mov %eax, s_cr2
	mov %cr3, %eax
	mov %eax, s_cr3
	mov %cr4, %eax
	mov %eax, s_cr4
	mov $0x11, %eax
	mov %eax, %cr0
	mov $EFER, %ecx
	rdmsr
	mov %eax, s_efer
	lgdt h_gdt_pointer
	ljmp $H_CODE32, $1f
	/* With a 16-bit TSS in force long mode cannot be entered. */
1:	movb $0x89, h_gdt + H_TSS + 5
	mov $H_TSS, %eax
	ltr %ax
	call to_long
	.code64

tail:	mov $H_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	movq $0, s_dr + 56
	mov %dr7, %rax
	mov %rax, s_dr + 56
	mov $0x400, %eax
	mov %rax, %dr7
	mov %dr6, %rax
	mov %rax, s_dr + 48
	mov %dr0, %rax
	mov %rax, s_dr
	mov %dr1, %rax
	mov %rax, s_dr + 8
	mov %dr2, %rax
	mov %rax, s_dr + 16
	mov %dr3, %rax
	mov %rax, s_dr + 24
	mov $0xc0000100, %ecx
	rdmsr
	mov %eax, s_fs_base
	mov %edx, s_fs_base + 4
	inc %ecx
	rdmsr
	mov %eax, s_gs_base
	mov %edx, s_gs_base + 4
	inc %ecx
	rdmsr
	mov %eax, s_kgs_base
	mov %edx, s_kgs_base + 4
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	lldt %ax
	lidt h_idt_pointer
	movb $0x89, h_gdt + H_TSS + 5 /* not busy */
	mov $H_TSS, %eax
	ltr %ax
	xor %ecx, %ecx
	xgetbv
	mov %eax, s_xcr0
	mov $7, %eax
	xor %edx, %edx
	xsetbv
	xsave s_fpu
	mov h_rsp, %rsp
	pushq $2
	popfq
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.section .rodata
	.balign 8
h_gdt_pointer:
	.word 0x2f
	.quad h_gdt
h_idt_pointer:
	.word 0
	.quad 0

	.data
	.balign 16
h_gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
	.quad 0x0000890000000067, 0
	.globl boot_info
	.balign 4096
	/* The kernel's 3 MiB and the arena's two, for supervisors, in long mode. What is below
	 * is the firmware's and no case's. */
	.globl safe_pd
safe_pd:
	.quad safe_pt + 0x63, 0x2000e3, 0x4000e3
	.skip 509 * 8
safe_pt:
	.skip 256 * 8
	.set n, 256
	.rept 256
	.quad n * 4096 + 0x63
	.set n, n + 1
	.endr

	.bss
	.balign 4096
h_pml4:	.skip 4096
h_pdpt:	.skip 4096
h_pd:	.skip 4096
h_tss:	.skip 104
	.globl df_tss
	.balign 16
df_tss:	.skip 104
h_rsp:	.skip 8
boot_info:
	.skip 8
	.balign 16
	.skip 32768
stack_top:
	.skip 4096
	.globl df_stack_top
df_stack_top:
	.skip 64
