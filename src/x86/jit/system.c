/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions of the system and of strings that need not leave translated code: what the interpreter
 * would do with struct x86_cpu, written as host code. Whatever is not the usual case (CPL 1 and 2,
 * something pending, DF set, a page that misses) is left to it. See gen.h. Thread: the VP's.
 */
#include "x86/jit/gen.h"

#define CR4_TSD 4u
#define CR4_FSGSBASE BIT(16)
#define CR4_SMAP_BIT 21u

/* TEST $v, m; flags only. */
static void test_imm32(struct jit_code *k, const struct jit_mem *m, u32 v)
{
	jit_op_mem(k, 0xf7, false, 0, m);
	jit_u32(k, v);
}

/* AND (4) or OR (1) of 32 bits in memory. */
static void alu_mem32(struct jit_code *k, unsigned ext, const struct jit_mem *m, u32 v)
{
	jit_op_mem(k, 0x81, false, ext, m);
	jit_u32(k, v);
}

static void unless_cpl0(struct gen *g, unsigned n)
{
	const struct jit_mem cpl = JIT_FIELD(cpl);

	jit_test_mem8(&g->k, &cpl);
	gen_miss(g, jit_jump_forward(&g->k, 5), n);
}

static void rdtsc_emit(struct gen *g, unsigned n)
{
	static const u8 whole[] = {
		0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0
	}; /* rdtsc; shl; or %rdx, %rax */
	struct jit_code *k = &g->k;
	const struct jit_mem cr4 = JIT_FIELD(s.cr4);
	const struct jit_mem offset = JIT_FIELD(tsc_offset);

	if (g->p->head->mode & X86_MODE_USER) {
		test_imm32(k, &cr4, CR4_TSD);
		gen_miss(g, jit_jump_forward(k, 5), n);
	}
	jit_bytes(k, whole, sizeof(whole));
	jit_op_mem(k, 0x03, true, JIT_AX, &offset);
	jit_move(k, JIT_DX, JIT_AX);
	jit_shift(k, 5, true, JIT_DX, 32);
	jit_op_reg(k, 0x8b, false, JIT_AX, JIT_AX);
}

static void rdtscp_emit(struct gen *g, unsigned n)
{
	const struct jit_mem tsc_aux = JIT_FIELD(s.tsc_aux);

	rdtsc_emit(g, n);
	jit_op_mem(&g->k, 0x8b, false, JIT_CX, &tsc_aux);
}

static struct jit_mem plus(struct jit_mem m, size_t offset)
{
	m.disp += (s32)offset;
	return m;
}

/* RDFSBASE and the like; ModRM.reg says which (0 FS, 1 GS; writing 2, 3), ModRM.rm the register. */
static void base_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_code *k = &g->k;
	const unsigned seg = o->z.raw.modrm.reg & 1 ? SEG_GS : SEG_FS;
	const struct jit_mem cr4 = JIT_FIELD(s.cr4);
	const struct jit_mem base =
		plus(JIT_FIELD(s.seg[0].base), seg * sizeof(struct vp_segment));
	const struct jit_mem used = plus(JIT_FIELD(seg_base[0]), seg * sizeof(u64));
	const bool wide = o->z.operand_width == 64;

	test_imm32(k, &cr4, CR4_FSGSBASE);
	gen_miss(g, jit_jump_forward(k, 4), n);
	if (o->kind == JIT_READ_BASE) {
		jit_op_mem(k, 0x8b, wide, o->reg, &base);
		return;
	}
	jit_op_reg(k, 0x8b, wide, g->t0, o->reg);
	if (wide) {
		/* Canonical? */
		jit_move(k, g->t1, g->t0);
		jit_shift(k, 4, true, g->t1, 16);
		jit_shift(k, 7, true, g->t1, 16);
		jit_op_reg(k, 0x3b, true, g->t1, g->t0);
		gen_miss(g, jit_jump_forward(k, 5), n);
	}
	jit_store(k, &base, g->t0);
	jit_store(k, &used, g->t0);
}

static void sti_emit(struct gen *g, unsigned n)
{
	const struct jit_mem lines = JIT_FIELD(lines);
	const struct jit_mem eflags = JIT_FIELD(eflags);

	unless_cpl0(g, n);
	/* With something pending the shadow of the instruction matters. */
	jit_test_mem32(&g->k, &lines);
	gen_miss(g, jit_jump_forward(&g->k, 5), n);
	alu_mem32(&g->k, 1, &eflags, X86_IF);
}

static void swapgs_emit(struct gen *g, unsigned n)
{
	struct jit_code *k = &g->k;
	const struct jit_mem base = JIT_FIELD(s.seg[SEG_GS].base);
	const struct jit_mem kernel = JIT_FIELD(s.kernel_gs_base);
	const struct jit_mem used = JIT_FIELD(seg_base[SEG_GS]);

	unless_cpl0(g, n);
	jit_load(k, g->t0, &base);
	jit_load(k, g->t1, &kernel);
	jit_store(k, &kernel, g->t0);
	jit_store(k, &base, g->t1);
	jit_store(k, &used, g->t1);
}

/* EFLAGS.AC, and the TLB key that follows from it: x86_tlb_key(), x86_key_set(). */
static void alignment_emit(struct gen *g, unsigned n, bool set)
{
	struct jit_code *k = &g->k;
	const struct jit_mem eflags = JIT_FIELD(eflags);
	const struct jit_mem cr4 = JIT_FIELD(s.cr4);
	const struct jit_mem key = JIT_FIELD(key);
	const struct jit_mem base = JIT_FIELD(tlb_base);
	const struct jit_mem stack_key = JIT_FIELD(jit.stack_key[0]);
	const struct jit_mem stack_page = JIT_FIELD(jit.stack[0].page);
	const struct jit_mem stack_addend = JIT_FIELD(jit.stack[0].addend);

	unless_cpl0(g, n);
	alu_mem32(k, 4, &key, ~3u);
	/* What is met through RSP meanwhile is not to be met so afterwards. */
	jit_store_imm32(k, &stack_key, 0, true);
	if (set) {
		alu_mem32(k, 1, &eflags, X86_AC_FLAG);
		jit_store_imm32(k, &base, 0, false);
		return;
	}
	jit_load_imm64(k, g->t0, BIT64(63));
	jit_store(k, &stack_page, g->t0);
	jit_store_imm32(k, &stack_addend, 0, true);
	alu_mem32(k, 4, &eflags, ~X86_AC_FLAG);
	jit_op_mem(k, 0x8b, false, g->t1, &cr4);
	jit_shift(k, 5, false, g->t1, CR4_SMAP_BIT);
	jit_alu_imm(k, 4, false, g->t1, 1);
	jit_op_mem(k, 0x09, false, g->t1, &key);
	jit_shift(k, 4, false, g->t1, X86_TLB_PART_BITS);
	jit_op_mem(k, 0x89, false, g->t1, &base);
}

static void pushf_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_code *k = &g->k;
	struct jit_mem byte = JIT_FIELD(flags), m;
	const struct jit_mem eflags = JIT_FIELD(eflags);
	const struct jit_mem value = JIT_FIELD(jit.target);

	/* They are in the slot now, and what follows changes the host's. */
	jit_op_mem(k, 0x0fb6, false, g->t1, &byte);
	jit_shift(k, 4, false, g->t1, 11);
	byte.disp++;
	jit_op_mem(k, 0x0fb6, false, g->t0, &byte);
	jit_alu_imm(k, 4, false, g->t0, 0xd5);
	jit_op_reg(k, 0x0b, false, g->t1, g->t0);
	jit_op_mem(k, 0x0b, false, g->t1, &eflags);
	jit_alu_imm(k, 4, false, g->t1, (s32) ~(X86_RF | X86_VM));
	jit_store(k, &value, g->t1);
	g->in_t0 = g->code_t1 = -1;

	const int at = gen_access_begin(g, n, &o->access[1], &m);
	const struct jit_mem below = { .base = JIT_SP, .index = JIT_NONE, .disp = -8 };

	jit_load(k, g->t1, &value);
	g->code_t1 = -1;
	gen_fault_point(g, n);
	jit_store(k, &m, g->t1);
	jit_lea(k, JIT_SP, &below);
	gen_stored(g, n, at);
}

/* ---- strings ----------------------------------------------------------------------------------- */

/* Looks up the bytes from reg on; addend in T0, and the entry in T1. */
static void string_page(struct gen *g, unsigned n, unsigned reg, bool write)
{
	const struct jit_op *o = &g->p->op[n];
	const struct jit_mem last = {
		.base = (u8)reg,
		.index = o->rep ? JIT_CX : JIT_NONE,
		.scale = o->rep ? o->cc : 0,
		.disp = o->rep ? -1 : (1 << o->cc) - 1,
	};
	struct jit_mem m;

	jit_lea(&g->k, g->t0, &last);
	jit_move(&g->k, g->t1, reg);
	gen_tlb_miss(g, gen_tlb_compare_last(g, write), n, write);
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, addend));
	jit_load(&g->k, g->t0, &m);
}

/*
 * At most a page's length within one page at both ends: the registers are moved to host addresses,
 * the host does the instruction, and they are moved back.
 */
static void string_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	struct jit_code *k = &g->k;
	const struct jit_mem eflags = JIT_FIELD(eflags);
	const struct jit_mem to = JIT_FIELD(jit.string[0]);
	const struct jit_mem code = JIT_FIELD(jit.string[1]);
	struct jit_mem m;
	u32 none = 0;

	test_imm32(k, &eflags, X86_DF_FLAG);
	gen_miss(g, jit_jump_forward(k, 5), n);
	if (o->rep) {
		jit_op_reg(k, 0x85, true, JIT_CX, JIT_CX);
		none = jit_jump_forward(k, 4);
		jit_alu_imm(k, 7, true, JIT_CX, 4096 >> o->cc);
		gen_miss(g, jit_jump_forward(k, 7), n);
	}
	string_page(g, n, JIT_DI, true);
	m = gen_tlb_field(g, offsetof(struct x86_tlb_entry, code));
	jit_load(k, g->t1, &m);
	jit_store(k, &to, g->t0);
	jit_store(k, &code, g->t1);
	if (o->kind == JIT_MOVS) {
		string_page(g, n, JIT_SI, false);
		jit_op_reg(k, 0x03, true, JIT_SI, g->t0);
	}
	jit_load(k, g->t1, &to);
	jit_op_reg(k, 0x03, true, JIT_DI, g->t1);
	jit_bytes(k, o->bytes, o->length);
	jit_op_reg(k, 0x2b, true, JIT_DI, g->t1);
	if (o->kind == JIT_MOVS)
		jit_op_reg(k, 0x2b, true, JIT_SI, g->t0);
	jit_load(k, g->t1, &code);
	m = (struct jit_mem){ .base = (u8)g->t1, .index = JIT_NONE };
	jit_test_mem8(k, &m);

	struct cold *cold = gen_cold_new(g, jit_jump_forward(k, 5), JIT_SITE_WRITTEN, n);

	cold->rip = jit_rip_after(o); /* size 0: anywhere in the page */
	if (o->rep)
		jit_land(k, none);
}

void gen_system_emit(struct gen *g, unsigned n)
{
	const struct jit_op *o = &g->p->op[n];
	const struct jit_mem eflags = JIT_FIELD(eflags);

	gen_flags_clobber(g, o->live_in);
	g->in_t0 = g->code_t1 = -1;
	switch ((enum jit_kind)o->kind) {
	case JIT_RDTSC:
		rdtsc_emit(g, n);
		break;
	case JIT_RDTSCP:
		rdtscp_emit(g, n);
		break;
	case JIT_READ_BASE:
	case JIT_WRITE_BASE:
		base_emit(g, n);
		break;
	case JIT_CLI:
		unless_cpl0(g, n);
		alu_mem32(&g->k, 4, &eflags, ~X86_IF);
		break;
	case JIT_STI:
		sti_emit(g, n);
		break;
	case JIT_SWAPGS:
		swapgs_emit(g, n);
		break;
	case JIT_STAC:
		alignment_emit(g, n, true);
		break;
	case JIT_CLAC:
		alignment_emit(g, n, false);
		break;
	case JIT_PUSHF:
		pushf_emit(g, n);
		break;
	case JIT_MOVS:
	case JIT_STOS:
		string_emit(g, n);
		break;
	default:
		g->failed = true;
	}
}
