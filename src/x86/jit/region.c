/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instructions make a region, and what each of them does: region.h. What may be copied says
 * classify.c. Thread: the VP's.
 */
#include "x86/jit/region.h"

#include "x86/decode.h"
#include "x86/jit/jit.h"
#include "x86/mmu.h"

static bool add_block(struct x86_cpu *c, struct jit_plan *p, struct x86_block *b);
static void cut_behind_sti(struct jit_plan *p);
static void link_targets(struct jit_plan *p);
static void flags_liveness(struct jit_plan *p);
static void origins(struct jit_plan *p);

/* ---- one instruction --------------------------------------------------------------------------- */

static void note_register(struct jit_op *o, ZydisRegister reg, bool write)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		break;
	default:
		return;
	}
	unsigned bit = 1u << (x86_decode_reg(reg) & 15);

	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
		o->byte_high = true;
		bit = 1u << (reg - ZYDIS_REGISTER_AH);
	}
	o->uses |= (u16)bit;
	if (write)
		o->writes |= (u16)bit;
}

static void note_operands(struct jit_op *o, const ZydisDecodedOperand *op)
{
	for (unsigned n = 0; n < o->z.operand_count; n++) {
		if (op[n].type == ZYDIS_OPERAND_TYPE_REGISTER) {
			note_register(o, op[n].reg.value,
				      op[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
		} else if (op[n].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			note_register(o, op[n].mem.base, false);
			note_register(o, op[n].mem.index, false);
		}
	}
}

/* What the flags of the instruction depend on, and which it certainly writes. */
static void note_flags(struct jit_op *o, const ZydisDecodedOperand *op)
{
	const ZydisAccessedFlags *f = o->z.cpu_flags;
	bool by_cl = false;

	if (!f)
		return;
	o->flags_read = f->tested & X86_ARITH;
	o->flags_written = (f->modified | f->set_0 | f->set_1 | f->undefined) & X86_ARITH;
	/* Shifts by nothing leave the flags alone. */
	if (o->z.meta.category == ZYDIS_CATEGORY_SHIFT ||
	    o->z.meta.category == ZYDIS_CATEGORY_ROTATE) {
		const ZydisDecodedOperand *count = &op[o->z.operand_count_visible - 1];

		by_cl = count->type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
			(count->imm.value.u & 31) == 0;
		if (count->type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
		    o->z.operand_width < 32 && count->imm.value.u >= 8)
			by_cl = true;
	}
	if (by_cl) {
		o->flags_perhaps = o->flags_written;
		o->flags_written = 0;
	}
}

static void note_memory(struct jit_op *o, const ZydisDecodedOperand *op)
{
	const ZydisDecodedOperand *m = jit_memory_operand(&o->z, op);
	struct jit_access *a = &o->access[0];

	if (!m || o->kind == JIT_NOTHING || o->z.mnemonic == ZYDIS_MNEMONIC_LEA ||
	    !(o->z.attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return;
	*a = (struct jit_access){
		.base = JIT_NONE,
		.index = JIT_NONE,
		.seg = m->mem.segment == ZYDIS_REGISTER_FS   ? SEG_FS
		       : m->mem.segment == ZYDIS_REGISTER_GS ? SEG_GS
							     : SEG_FLAT,
		.size = (u8)(m->size / 8),
		.write = m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE,
		.disp = m->mem.disp.has_displacement ? (s32)m->mem.disp.value : 0,
	};
	if (m->mem.base == ZYDIS_REGISTER_RIP)
		a->rip = true;
	else if (m->mem.base != ZYDIS_REGISTER_NONE)
		a->base = x86_decode_reg(m->mem.base) & 15;
	if (m->mem.index != ZYDIS_REGISTER_NONE) {
		a->index = x86_decode_reg(m->mem.index) & 15;
		a->scale = (u8)__builtin_ctz(m->mem.scale ? m->mem.scale : 1);
	}
}

static void note_sum(struct jit_op *o, const ZydisDecodedOperand *op)
{
	const ZydisDecodedOperand *from = &op[1];
	const bool is_imm = from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	const bool minus = o->z.mnemonic == ZYDIS_MNEMONIC_SUB ||
			   o->z.mnemonic == ZYDIS_MNEMONIC_DEC;
	struct jit_sum *q = &o->sum;

	*q = (struct jit_sum){ .minus = minus, .base = JIT_NONE, .index = JIT_NONE };
	if (o->z.operand_width != 64 || o->kind != JIT_PLAIN ||
	    op[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return;
	switch (o->z.mnemonic) {
	case ZYDIS_MNEMONIC_LEA:
		q->valid = o->z.address_width == 64;
		if (from->mem.base != ZYDIS_REGISTER_NONE)
			q->base = x86_decode_reg(from->mem.base) & 15;
		if (from->mem.index != ZYDIS_REGISTER_NONE)
			q->index = x86_decode_reg(from->mem.index) & 15;
		q->scale = (u8)__builtin_ctz(from->mem.scale ? from->mem.scale : 1);
		q->disp = from->mem.disp.has_displacement ? (s32)from->mem.disp.value : 0;
		break;
	case ZYDIS_MNEMONIC_MOV:
		q->valid = from->type == ZYDIS_OPERAND_TYPE_REGISTER;
		if (q->valid)
			q->base = x86_decode_reg(from->reg.value) & 15;
		break;
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
		q->valid = is_imm || from->type == ZYDIS_OPERAND_TYPE_REGISTER;
		q->base = o->reg;
		if (is_imm)
			q->disp = (s32)(minus ? -from->imm.value.s : from->imm.value.s);
		else if (q->valid)
			q->index = x86_decode_reg(from->reg.value) & 15;
		/* -2^31 has no other sign in 32 bits. */
		q->valid &= !is_imm || from->imm.value.s != INT32_MIN;
		break;
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
		q->valid = true;
		q->base = o->reg;
		q->disp = minus ? -1 : 1;
		break;
	default:
		break;
	}
}

/* PUSH, POP, CALL, RET, LEAVE. */
static void note_stack(struct jit_op *o)
{
	struct jit_access *a = &o->access[1];

	*a = (struct jit_access){
		.base = JIT_SP, .index = JIT_NONE, .seg = SEG_FLAT, .size = 8
	};
	switch (o->kind) {
	case JIT_PUSH_REG:
	case JIT_PUSH_IMM:
	case JIT_PUSH_MEM:
	case JIT_PUSHF:
	case JIT_CALL:
	case JIT_CALL_REG:
	case JIT_CALL_MEM:
		a->write = true;
		a->disp = -8;
		break;
	case JIT_POP_REG:
	case JIT_RET:
		break;
	case JIT_LEAVE:
		a->base = JIT_BP;
		break;
	default:
		a->size = 0;
	}
}

/* false: not translated. */
static bool take_apart(struct x86_cpu *c, const struct x86_block *b, unsigned record,
		       const u8 *page, struct jit_op *o)
{
	const struct x86_insn *i = &b->insn[record];
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const u8 *bytes = page + (b->gpa & 0xfff) + i->offset;

	memset(o, 0, sizeof(*o));
	o->block = (struct x86_block *)(uintptr_t)b;
	o->record = (u16)record;
	o->page_offset = (u16)((b->gpa & 0xfff) + i->offset);
	o->target_op = -1;
	if (x86_record_refused(i))
		return false;
	memcpy(o->bytes, bytes, i->length);
	if (!x86_decode_raw(b->mode, o->bytes, i->length, &o->z, op) ||
	    o->z.length != i->length)
		return false;
	o->length = i->length;
	o->kind = (u8)jit_classify(&o->z, op, b->mode);
	/* Somebody other than the host's counter says what time it is: the interpreter asks. */
	if ((o->kind == JIT_RDTSC || o->kind == JIT_RDTSCP) && c->bus->tsc)
		return false;
	if (o->kind == JIT_STOP)
		return false;
	note_operands(o, op);
	note_flags(o, op);
	note_memory(o, op);
	note_stack(o);
	if (o->byte_high && o->access[0].size)
		return false;
	o->vector = jit_touches_vector(&o->z, op);
	o->may_fault = o->vector || o->z.mnemonic == ZYDIS_MNEMONIC_DIV ||
		       o->z.mnemonic == ZYDIS_MNEMONIC_IDIV ||
		       o->z.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B;
	if (op[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
		o->reg = x86_decode_reg(op[0].reg.value) & 15;
	if (op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		o->imm = (s32)op[0].imm.value.s;
		o->target = (s32)(o->page_offset + o->length + op[0].imm.value.s);
		if (o->kind != JIT_PUSH_IMM && o->kind != JIT_RET &&
		    op[0].imm.value.s > INT32_MAX - 8192)
			return false;
	}
	note_sum(o, op);
	o->cc = o->z.opcode & 15;
	o->barrier = o->kind == JIT_SWAPGS || o->kind == JIT_STAC ||
		     o->kind == JIT_CLAC || o->kind == JIT_WRITE_BASE;
	if (o->kind == JIT_MOVS || o->kind == JIT_STOS) {
		o->rep = o->z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE);
		o->cc = o->z.opcode & 1 ? (u8)__builtin_ctz(o->z.operand_width / 8) : 0;
		/* Zydis tells of DF alone. */
		o->flags_read = o->flags_written = o->flags_perhaps = 0;
	}
	return true;
}

/* ---- the region -------------------------------------------------------------------------------- */

/* Registers that can be the pair, those that code names least first. */
static const u8 pair_order[] = { 10, 11, 9,	 8,	 15,	 14,
				 13, 12, JIT_BP, JIT_BX, JIT_DI, JIT_SI };

static void names_add(struct jit_names *s, const struct jit_op *o)
{
	s->any |= o->uses;
	if (o->kind != JIT_PLAIN)
		s->bound |= o->uses;
	else if (o->access[0].size)
		s->memory |= o->uses;
	for (unsigned n = 0; n < 16; n++)
		s->count[n] = (u8)(s->count[n] + (o->uses >> n & 1));
}

static unsigned free_count(const struct jit_names *s)
{
	unsigned found = 0;

	for (unsigned n = 0; n < ARRAY_COUNT(pair_order); n++)
		found += !(s->any >> pair_order[n] & 1);
	return found;
}

/* The register that is named least, and can be; JIT_NONE: none can. */
static u8 least_named(const struct jit_names *s, u16 not )
{
	u8 best = JIT_NONE;

	for (unsigned n = 0; n < ARRAY_COUNT(pair_order); n++) {
		const u8 reg = pair_order[n];

		if (!(not >> reg & 1) &&
		    (best == JIT_NONE || s->count[reg] < s->count[best]))
			best = reg;
	}
	return best;
}

static bool choose_pair(const struct jit_names *s, u8 *ret_t0, u8 *ret_t1)
{
	*ret_t0 = least_named(s, s->bound | s->memory);
	if (*ret_t0 == JIT_NONE)
		return false;
	*ret_t1 = least_named(s, s->bound | (u16)BIT(*ret_t0));
	return *ret_t1 != JIT_NONE;
}

bool jit_plan_make(struct x86_cpu *c, struct x86_block *head, struct jit_plan *p)
{
	struct x86_block *b = head;

	p->head = head;
	p->block_count = 0;
	p->count = 0;
	memset(&p->names, 0, sizeof(p->names));
	p->vector = p->changes_key = false;
	p->end = -1;
	p->end_op = -1;
	if (!(head->mode & X86_MODE_LONG) || head->mode & X86_MODE_STEP || head->once ||
	    head->dead || head->ram_page2 != X86_NO_RAM_PAGE)
		return false;
	while (add_block(c, p, b)) {
		s32 next = p->end;

		if (next < 0)
			break;
		if (next > 4095 || p->block_count == JIT_BLOCKS_MAX)
			break;
		for (unsigned n = 0; n < p->count; n++)
			if (p->op[n].page_offset == next)
				p->end_op = (s16)n;
		if (p->end_op >= 0)
			break;
		b = x86_block_lookup(c, (head->gpa & ~0xfffull) | (u64)next, head->mode);
		if (!b)
			break;
	}
	cut_behind_sti(p);
	if (p->count == 0 || !choose_pair(&p->names, &p->t0, &p->t1))
		return false;
	link_targets(p);
	jit_find_rounds(p);
	flags_liveness(p);
	origins(p);
	return true;
}

static bool is_branched_to(const struct jit_plan *p, s32 place)
{
	for (unsigned n = 0; n < p->count; n++)
		if (p->op[n].kind == JIT_BRANCH && p->op[n].target == place)
			return true;
	return false;
}

/*
 * An instruction leaves no two registers for us that nobody names. Perhaps in a loop in which there would be two
 * without what is before it: something jumps to its head, not from here. Then the region ends there, and
 * another one has the loop as a whole.
 */
static bool leave_loop_whole(struct x86_cpu *c, struct jit_plan *p,
			     const struct jit_op *next)
{
	struct jit_names names = { 0 };
	unsigned head = 0;

	names_add(&names, next);
	for (unsigned n = p->count; n-- > 1;) {
		const struct jit_op *o = &p->op[n];
		const gpa_t at = (p->head->gpa & ~0xfffull) | o->page_offset;

		names_add(&names, o);
		if (free_count(&names) < 2)
			break;
		/* A block that begins behind another one's branch tells nothing. */
		if (o->record > 0 && !is_branched_to(p, o->page_offset) &&
		    x86_block_lookup(c, at, p->head->mode))
			head = n;
	}
	if (!head)
		return false;
	memset(&p->names, 0, sizeof(p->names));
	for (unsigned n = 0; n < head; n++)
		names_add(&p->names, &p->op[n]);
	p->end = p->op[head].page_offset;
	p->count = head;
	return true;
}

/* Where it goes on is not known here, or elsewhere. */
static bool ends_region(unsigned kind)
{
	return kind == JIT_CALL || kind == JIT_CALL_REG || kind == JIT_CALL_MEM ||
	       kind == JIT_JUMP_REG || kind == JIT_JUMP_MEM || kind == JIT_RET;
}

static bool is_inside(const struct jit_plan *p, const struct jit_op *o)
{
	return o->target >= p->op[0].page_offset &&
	       o->target <= p->op[p->count].page_offset;
}

/* Does what follows record n of b, as far as we know it, jump back to what we have? */
static bool loops_back(struct x86_cpu *c, const struct jit_plan *p, struct x86_block *b,
		       unsigned n)
{
	for (unsigned left = JIT_OPS_MAX; left; left--) {
		const struct x86_page *page = x86_physical_page(c, b->gpa);
		struct jit_op o;

		if (!page->host || !take_apart(c, b, n, page->host, &o))
			return false;
		if ((o.kind == JIT_BRANCH || o.kind == JIT_JUMP) && is_inside(p, &o))
			return true;
		if (ends_region(o.kind) || o.kind == JIT_JUMP)
			return false;
		if (++n < b->count)
			continue;
		b = x86_block_lookup(c, b->gpa + b->bytes, b->mode);
		if (!b || (b->gpa ^ p->head->gpa) & ~0xfffull)
			return false;
		n = 0;
	}
	return false;
}

/* Room for record n of b? false: the region ends before it, or before that. */
static bool pair_is_left(struct x86_cpu *c, struct jit_plan *p, struct x86_block *b,
			 unsigned n)
{
	const struct jit_op *next = &p->op[p->count];
	const bool free = free_count(&p->names) >= 2;
	struct jit_names names = p->names;
	u8 t0, t1;

	names_add(&names, next);
	if (free && free_count(&names) < 2) {
		if (leave_loop_whole(c, p, next))
			return false;
		p->end = next->page_offset;
		if (!loops_back(c, p, b, n))
			return false;
	}
	p->end = next->page_offset;
	if (!choose_pair(&names, &t0, &t1))
		return false;
	p->names = names;
	return true;
}

/* Appends what it can of b; true: the region may grow on at p->end. */
static bool add_block(struct x86_cpu *c, struct jit_plan *p, struct x86_block *b)
{
	const struct x86_page *page = x86_physical_page(c, b->gpa);

	if (!page->host)
		return false;
	p->block_count++;
	for (unsigned n = 0; n < b->count; n++) {
		struct jit_op *o = &p->op[p->count];
		const s32 at = (s32)((b->gpa & 0xfff) + b->insn[n].offset);

		if (p->count == JIT_OPS_MAX) {
			p->end = at;
			return false;
		}
		if (!take_apart(c, b, n, page->host, o)) {
			p->end = -2;
			p->end_block = b;
			p->end_record = (u16)n;
			return false;
		}
		if (!pair_is_left(c, p, b, n))
			return false;
		p->vector |= o->vector;
		p->changes_key |= o->kind == JIT_STAC || o->kind == JIT_CLAC;
		p->count++;
		if (o->kind == JIT_JUMP) {
			p->end = o->target;
			if (o->target < 0 || o->target > 4095) {
				p->end = -1;
				return false;
			}
			/* Where it goes on, or the end's jump: it needs no code itself. */
			o->kind = JIT_NOTHING;
			return true;
		}
		if (ends_region(o->kind)) {
			p->end = -1;
			return false;
		}
	}
	p->end = (s32)((b->gpa & 0xfff) + b->bytes);
	return true;
}

static bool is_target(const struct jit_plan *p, s32 place)
{
	return is_branched_to(p, place) || p->end == place;
}

/*
 * No interrupt comes between STI and the next instruction ("sti; hlt" in an idle loop relies on it). So
 * where the way from the one to the other may lead by the run loop, STI is left to the interpreter.
 */
static void cut_behind_sti(struct jit_plan *p)
{
	for (unsigned n = 0; n < p->count; n++) {
		const struct jit_op *o = &p->op[n];

		if (o->kind != JIT_STI ||
		    (n + 1 < p->count ? !is_target(p, o[1].page_offset) : p->end == -2))
			continue;
		p->count = n;
		p->end = -2;
		p->end_op = -1;
		p->end_block = o->block;
		p->end_record = o->record;
		return;
	}
}

/* Something jumps to instruction `to`, from behind `from`. */
static void mark_jump(struct jit_plan *p, unsigned from, unsigned to)
{
	p->op[to].label = true;
	if (to > from)
		return;
	p->op[to].loop_head = true;
	for (unsigned n = to; n <= from; n++)
		p->op[n].in_loop = true;
}

static void link_targets(struct jit_plan *p)
{
	for (unsigned n = 0; n < p->count; n++) {
		struct jit_op *o = &p->op[n];

		if (o->kind != JIT_BRANCH)
			continue;
		for (unsigned k = 0; k < p->count; k++)
			if (p->op[k].page_offset == o->target)
				o->target_op = (s16)k;
		if (o->target_op >= 0)
			mark_jump(p, n, (unsigned)o->target_op);
	}
	if (p->end_op >= 0)
		mark_jump(p, p->count - 1, (unsigned)p->end_op);
}

static void flags_liveness(struct jit_plan *p)
{
	bool changed = true;

	while (changed) {
		u32 live = p->end_op >= 0 ? p->op[p->end_op].live_in : X86_ARITH;

		changed = false;
		for (unsigned n = p->count; n-- > 0;) {
			struct jit_op *o = &p->op[n];

			if (o->kind == JIT_BRANCH)
				live |= o->target_op >= 0 ? p->op[o->target_op].live_in
							  : X86_ARITH;
			o->live_out = live;
			live = (live & ~o->flags_written) | o->flags_read;
			if (live != o->live_in)
				changed = true;
			o->live_in = live;
		}
	}
}

/* ---- which addresses belong together ----------------------------------------------------------- */

struct symbols {
	u32 origin[16];
	s64 offset[16];
	u32 next;
};

static void symbols_forget(struct symbols *s)
{
	for (unsigned n = 0; n < 16; n++) {
		s->origin[n] = s->next++;
		s->offset[n] = 0;
	}
}

static void access_key(const struct symbols *s, const struct jit_op *o,
		       struct jit_access *a)
{
	a->offset = a->disp;
	if (a->rip)
		a->offset += o->page_offset + o->length;
	if (a->base != JIT_NONE) {
		a->base_origin = s->origin[a->base];
		a->offset += s->offset[a->base];
	}
	if (a->index != JIT_NONE) {
		a->index_origin = s->origin[a->index];
		a->offset += (s64)((u64)s->offset[a->index] << a->scale);
	}
}

/* Registers that change by a constant, or become another's value plus a constant. */
static bool moves_by_constant(struct symbols *s, const struct jit_op *o)
{
	const struct jit_sum *q = &o->sum;

	if (!q->valid || q->base == JIT_NONE || q->index != JIT_NONE)
		return false;

	const u32 origin = s->origin[q->base];
	const s64 offset = s->offset[q->base] + q->disp;

	s->origin[o->reg] = origin;
	s->offset[o->reg] = offset;
	return true;
}

static void symbols_step(struct symbols *s, const struct jit_op *o)
{
	switch (o->kind) {
	case JIT_PUSH_REG:
	case JIT_PUSH_IMM:
	case JIT_PUSH_MEM:
	case JIT_PUSHF:
	case JIT_CALL:
	case JIT_CALL_REG:
	case JIT_CALL_MEM:
		s->offset[JIT_SP] -= 8;
		return;
	case JIT_RET:
		s->offset[JIT_SP] += 8;
		return;
	case JIT_POP_REG:
		if (o->reg != JIT_SP)
			s->offset[JIT_SP] += 8;
		s->origin[o->reg] = s->next++;
		s->offset[o->reg] = 0;
		return;
	case JIT_LEAVE:
		s->origin[JIT_SP] = s->origin[JIT_BP];
		s->offset[JIT_SP] = s->offset[JIT_BP] + 8;
		s->origin[JIT_BP] = s->next++;
		s->offset[JIT_BP] = 0;
		return;
	default:
		break;
	}
	if (moves_by_constant(s, o))
		return;
	for (unsigned n = 0; n < 16; n++) {
		if (o->writes >> n & 1) {
			s->origin[n] = s->next++;
			s->offset[n] = 0;
		}
	}
}

static void origins(struct jit_plan *p)
{
	struct symbols s = { .next = 1 };

	symbols_forget(&s);
	for (unsigned n = 0; n < p->count; n++) {
		struct jit_op *o = &p->op[n];

		if (o->label)
			symbols_forget(&s);
		for (unsigned k = 0; k < 2; k++)
			if (o->access[k].size)
				access_key(&s, o, &o->access[k]);
		symbols_step(&s, o);
		memcpy(o->origin_after, s.origin, sizeof(s.origin));
		memcpy(o->offset_after, s.offset, sizeof(s.offset));
	}
}
