/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MOVS STOS LODS SCAS CMPS INS OUTS, with REP a page at a time.
 *
 * A piece is what lies within one page of each operand. After each piece RCX, RSI and RDI are as
 * the processor would have them at that iteration, so a fault or an interrupt between two pieces
 * leaves an instruction that goes on where it stood: RIP stays on it. Where a page is no plain
 * memory, where segments are not flat, in single-step mode and with DF set (but for MOVS and STOS) a
 * piece is one element.
 *
 * Overlap: elements are moved one after the other, so a forward copy to just above its source
 * repeats a pattern. Where memmove() would differ, the host's own REP MOVS does it.
 *
 * Intel SDM volume 2. A fault in the middle of REPE CMPS or SCAS: on AMD's processors the flags are those
 * of the last comparison (measured on Zen 4), on Intel's those from before (volume 2, REP).
 * VP's thread.
 */
#include "x86/alu_host.h"
#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

/* i->extra is the element size, i->reg the width of RCX, RSI, RDI, i->seg the source's segment. */

struct string {
	struct x86_cpu *c;
	const struct x86_insn *i;
	unsigned size;	/* of an element */
	unsigned width; /* of addresses */
	bool rep;	/* either prefix */
	bool down;	/* DF */
	bool one;	/* pieces of one element */
};

static struct string begin(struct x86_cpu *c, const struct x86_insn *i)
{
	return (struct string){
		.c = c,
		.i = i,
		.size = i->extra,
		.width = i->reg,
		.rep = i->flags & (X86_INSN_REP | X86_INSN_REPNE),
		.down = c->eflags & X86_DF_FLAG,
		.one = (c->mode & X86_MODE_STEP) || (!(c->mode & X86_MODE_LONG) && (i->seg == SEG_FS || i->seg == SEG_GS)),
	};
}

static u64 left(const struct string *s)
{
	return s->rep ? x86_get(s->c, R_CX, s->width) : 1;
}

static void advance(const struct string *s, unsigned reg, u64 elements)
{
	const u64 bytes = elements * s->size;

	x86_put(s->c, reg, s->width, s->c->r[reg] + (s->down ? -bytes : bytes));
}

static void count(const struct string *s, u64 elements)
{
	if (s->rep)
		x86_put(s->c, R_CX, s->width, s->c->r[R_CX] - elements);
}

/* Linear address of the element at offset reg of a segment, its limit and rights checked. */
static gva_t address(const struct string *s, unsigned seg, unsigned reg, bool write)
{
	struct x86_cpu *c = s->c;

	return x86_linear(c, s->i, seg, x86_get(c, reg, s->width), s->size, write);
}

/*
 * How many elements from offset on lie inside the operand's segment, whose first one is known to. Where
 * segments are not all flat each has its limit; one that grows downwards is asked element by element.
 */
static u64 inside_segment(const struct string *s, unsigned reg, u64 offset)
{
	const struct x86_cpu *c = s->c;
	const unsigned source = s->i->seg < SEG_FLAT ? s->i->seg : SEG_DS;
	const struct vp_segment *g = &c->s.seg[reg == R_DI ? SEG_ES : source];
	const bool grows_down = !(g->attr & SEG_ATTR_CODE) && (g->attr & SEG_ATTR_DC);

	if (c->mode & (X86_MODE_LONG | X86_MODE_FLAT))
		return UINT64_MAX;
	if (grows_down || offset > g->limit)
		return 1;
	return s->down ? UINT64_MAX : (g->limit - offset + 1) / s->size;
}

/*
 * One operand of a piece: where it is in host memory, and how many elements of at most `most` can be
 * reached from there. NULL: one element, by x86_load/store.
 */
static u8 *piece(const struct string *s, gva_t a, unsigned reg, bool write, u64 *io_most)
{
	const u64 offset = x86_get(s->c, reg, s->width);
	unsigned bytes;
	u64 most;
	u8 *p;

	/* Crossing a page, or the end of the segment's offsets; or each is checked for its alignment. */
	if ((s->c->key & 3) == 3 || (a & 4095) + s->size > 4096 || offset > x86_mask(s->width) - (s->size - 1)) {
		*io_most = 1;
		return NULL;
	}
	p = x86_pointer_for_bulk(s->c, s->i, a, write, &bytes);
	if (!p || bytes < s->size) {
		*io_most = 1;
		return NULL;
	}
	most = s->down ? (a & 4095) / s->size + 1 : bytes / s->size;
	/* Offsets wrap at their width: not within a piece. */
	if (s->width < 64)
		most = min_u64(most, s->down ? offset / s->size + 1 :
				     (x86_mask(s->width) - offset + 1) / s->size);
	most = min_u64(most, inside_segment(s, reg, offset));
	*io_most = min_u64(*io_most, s->one ? 1 : most);
	return p;
}

static u64 load(const struct string *s, gva_t a)
{
	switch (s->size) {
	case 1: return x86_load8(s->c, s->i, a);
	case 2: return x86_load16(s->c, s->i, a);
	case 4: return x86_load32(s->c, s->i, a);
	default: return x86_load64(s->c, s->i, a);
	}
}

static void store(const struct string *s, gva_t a, u64 v)
{
	switch (s->size) {
	case 1: x86_store8(s->c, s->i, a, (u8)v); break;
	case 2: x86_store16(s->c, s->i, a, (u16)v); break;
	case 4: x86_store32(s->c, s->i, a, (u32)v); break;
	default: x86_store64(s->c, s->i, a, v);
	}
}

static u64 fetch(const u8 *p, unsigned size)
{
	switch (size) {
	case 1: return *p;
	case 2: return *(const volatile x86_u16 *)p;
	case 4: return *(const volatile x86_u32 *)p;
	default: return *(const volatile x86_u64 *)p;
	}
}

/* The lowest address of a piece of n elements that begins at a. */
static gva_t lowest(const struct string *s, gva_t a, u64 n)
{
	return s->down ? a - (n - 1) * s->size : a;
}

/* Between two pieces: is there anything to look at, or is this a single step? */
static bool must_leave(const struct string *s)
{
	return atomic_load_explicit(&s->c->attention, memory_order_relaxed) != 0 ||
	       (s->c->mode & X86_MODE_STEP);
}

/* ---- MOVS ------------------------------------------------------------------------------------ */

/* The host's REP MOVS: element after element, up or down from the two pointers. */
static void host_rep_movs(u8 *to, const u8 *from, u64 n, unsigned size, bool down)
{
#define REP_MOVS(s)                                                                                \
	__asm__ volatile("testb %3, %3\n\tjz 1f\n\tstd\n1:\trep movs" s "\n\tcld"                  \
			 : "+D"(to), "+S"(from), "+c"(n) : "q"(down) : "cc", "memory")
	switch (size) {
	case 1: REP_MOVS("b"); break;
	case 2: REP_MOVS("w"); break;
	case 4: REP_MOVS("l"); break;
	default: REP_MOVS("q");
	}
#undef REP_MOVS
}

static void move_piece(const struct string *s, u8 *to, const u8 *from, u64 n)
{
	const u64 bytes = n * s->size;
	/* The distance that a later element's source would lie behind an earlier one's destination. */
	const u64 ahead = s->down ? (u64)(from - to) : (u64)(to - from);

	if (n == 1) {
		const u64 v = fetch(from, s->size);

		memcpy(to, &v, s->size);
	} else if (ahead - 1 < bytes - 1) {
		host_rep_movs(to, from, n, s->size, s->down);
	} else {
		const u64 back = s->down ? bytes - s->size : 0;

		memmove(to - back, from - back, bytes);
	}
}

X86_HANDLER(movs)
{
	const struct string s = begin(c, i);

	while (left(&s) > 0) {
		u64 n = left(&s);
		const gva_t from = address(&s, i->seg, R_SI, false);
		const u8 *source = piece(&s, from, R_SI, false, &n);
		/* The load comes before ES is looked at (measured on Zen 4). */
		const u64 v = source ? 0 : load(&s, from);
		const gva_t to = address(&s, SEG_ES, R_DI, true);
		u8 *target = source ? piece(&s, to, R_DI, true, &n) : NULL;

		if (target) {
			move_piece(&s, target, source, n);
			x86_code_check(c, lowest(&s, to, n), (unsigned)(n * s.size));
		} else {
			n = 1;
			store(&s, to, source ? load(&s, from) : v);
		}
		advance(&s, R_SI, n);
		advance(&s, R_DI, n);
		count(&s, n);
		if (!s.rep)
			break;
		if (left(&s) > 0 && must_leave(&s))
			X86_LEAVE(c, i, x86_insn_rip(c, i));
	}
	NEXT(c, i);
}

/* ---- STOS ------------------------------------------------------------------------------------ */

/* p is the lowest element. */
static void fill_piece(u8 *p, u64 v, u64 n, unsigned size)
{
	if (size == 1 || v == 0) {
		memset(p, (int)(u8)v, n * size);
		return;
	}
	switch (size) {
	case 2: __asm__ volatile("rep stosw" : "+D"(p), "+c"(n) : "a"(v) : "memory"); break;
	case 4: __asm__ volatile("rep stosl" : "+D"(p), "+c"(n) : "a"(v) : "memory"); break;
	default: __asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(v) : "memory");
	}
}

X86_HANDLER(stos)
{
	const struct string s = begin(c, i);
	const u64 v = c->r[R_AX] & x86_mask(8 * s.size);

	while (left(&s) > 0) {
		u64 n = left(&s);
		const gva_t to = address(&s, SEG_ES, R_DI, true);
		u8 *target = piece(&s, to, R_DI, true, &n);

		if (target) {
			fill_piece(target - (to - lowest(&s, to, n)), v, n, s.size);
			x86_code_check(c, lowest(&s, to, n), (unsigned)(n * s.size));
		} else {
			n = 1;
			store(&s, to, v);
		}
		advance(&s, R_DI, n);
		count(&s, n);
		if (!s.rep)
			break;
		if (left(&s) > 0 && must_leave(&s))
			X86_LEAVE(c, i, x86_insn_rip(c, i));
	}
	NEXT_BY_LOOP(c, i);
}

/* ---- LODS: only the last element shows -------------------------------------------------------- */

X86_HANDLER(lods)
{
	const struct string s = begin(c, i);

	while (left(&s) > 0) {
		u64 n = left(&s), v;
		const gva_t from = address(&s, i->seg, R_SI, false);
		const u8 *source = piece(&s, from, R_SI, false, &n);

		if (source) {
			const u64 far = (n - 1) * s.size;

			v = fetch(s.down ? source - far : source + far, s.size);
		} else {
			n = 1;
			v = load(&s, from);
		}
		x86_put(c, R_AX, 8 * s.size, v);
		advance(&s, R_SI, n);
		count(&s, n);
		if (!s.rep)
			break;
		if (left(&s) > 0 && must_leave(&s))
			X86_LEAVE(c, i, x86_insn_rip(c, i));
	}
	NEXT(c, i);
}

/* ---- CMPS, SCAS ------------------------------------------------------------------------------ */

static u16 compare(u64 a, u64 b, unsigned size)
{
	u16 flags;

	switch (size) {
	case 1: host_cmp8((u8)a, (u8)b, &flags); break;
	case 2: host_cmp16((u16)a, (u16)b, &flags); break;
	case 4: host_cmp32((u32)a, (u32)b, &flags); break;
	default: host_cmp64(a, b, &flags);
	}
	return flags;
}

/* Does the comparison end the repetition? REPE (the REP prefix) at a difference, REPNE at a match. */
static bool found(const struct string *s, u64 a, u64 b)
{
	return (a == b) == !!(s->i->flags & X86_INSN_REPNE);
}

enum compared { COMPARED_ALL, COMPARED_PIECE, COMPARED_LEAVE };

/* Behind a piece that is counted, whose last elements are a and b: what now, and the flags for it. */
static enum compared compared(const struct string *s, u64 a, u64 b, bool stop)
{
	const bool all = !s->rep || stop || left(s) == 0;
	const bool leave = !all && must_leave(s);

	if (all || leave || s->c->amd)
		s->c->flags = compare(a, b, s->size);
	return all ? COMPARED_ALL : leave ? COMPARED_LEAVE : COMPARED_PIECE;
}

X86_HANDLER(cmps)
{
	const struct string s = begin(c, i);
	/*
	 * Which of two faults comes is not written anywhere. Measured on Zen 4: ES:DI is read
	 * first, but by REPE CMPSB.
	 */
	const bool di_last = s.size == 1 && (i->flags & X86_INSN_REP);
	u64 a = 0, b = 0;
	bool stop = false;

	if (left(&s) == 0)
		NEXT(c, i);
	do {
		u64 n = left(&s), done = 0;
		const gva_t first = address(&s, i->seg, R_SI, false);
		const gva_t second = address(&s, SEG_ES, R_DI, false);
		const u8 *p = NULL, *q = NULL;

		if (di_last) {
			p = piece(&s, first, R_SI, false, &n);
			q = p ? piece(&s, second, R_DI, false, &n) : NULL;
		} else {
			q = piece(&s, second, R_DI, false, &n);
			p = q ? piece(&s, first, R_SI, false, &n) : NULL;
		}

		if (p && q) {
			const s64 step = s.down ? -(s64)s.size : (s64)s.size;

			do {
				a = fetch(p, s.size);
				b = fetch(q, s.size);
				p += step;
				q += step;
				done++;
				stop = found(&s, a, b);
			} while (done < n && !stop);
		} else {
			if (di_last)
				a = load(&s, first);
			b = load(&s, second);
			if (!di_last)
				a = load(&s, first);
			done = 1;
			stop = found(&s, a, b);
		}
		advance(&s, R_SI, done);
		advance(&s, R_DI, done);
		count(&s, done);
		switch (compared(&s, a, b, stop)) {
		case COMPARED_ALL: NEXT(c, i);
		case COMPARED_LEAVE: X86_LEAVE(c, i, x86_insn_rip(c, i));
		case COMPARED_PIECE: break;
		}
	} while (true);
}

X86_HANDLER(scas)
{
	const struct string s = begin(c, i);
	const u64 a = c->r[R_AX] & x86_mask(8 * s.size);
	u64 b = 0;
	bool stop = false;

	if (left(&s) == 0)
		NEXT(c, i);
	do {
		u64 n = left(&s), done = 0;
		const gva_t at = address(&s, SEG_ES, R_DI, false);
		const u8 *p = piece(&s, at, R_DI, false, &n);

		if (p) {
			const s64 step = s.down ? -(s64)s.size : (s64)s.size;

			do {
				b = fetch(p, s.size);
				p += step;
				done++;
				stop = found(&s, a, b);
			} while (done < n && !stop);
		} else {
			b = load(&s, at);
			done = 1;
			stop = found(&s, a, b);
		}
		advance(&s, R_DI, done);
		count(&s, done);
		switch (compared(&s, a, b, stop)) {
		case COMPARED_ALL: NEXT(c, i);
		case COMPARED_LEAVE: X86_LEAVE(c, i, x86_insn_rip(c, i));
		case COMPARED_PIECE: break;
		}
	} while (true);
}

/* ---- INS, OUTS --------------------------------------------------------------------------------
 * The bus may take its time and much may change meanwhile, so it gets a buffer of ours and never a
 * pointer into the guest, and each piece ends in the run loop. A destination that would fault does
 * so before the port is read.
 */

#define PIECE_BYTES 4096u

X86_HANDLER(ins)
{
	const struct string s = begin(c, i);
	const u16 port = (u16)c->r[R_DX];
	u8 data[PIECE_BYTES];
	u64 n = left(&s);
	gva_t to;

	x86_io_check(c, i, port, s.size);
	if (n == 0)
		X86_LEAVE_NEXT(c, i);
	to = address(&s, SEG_ES, R_DI, true);
	if (s.down || !piece(&s, to, R_DI, true, &n)) {
		n = 1;
		x86_probe(c, i, to, s.size, true);
	}
	c->exits_pio++;
	memset(data, 0xff, n * s.size);
	c->bus->pio_read_string(c->bus_vp, port, s.size, data, (unsigned)n);
	x86_copy_to_guest(c, i, to, data, (unsigned)(n * s.size));
	advance(&s, R_DI, n);
	count(&s, n);
	if (s.rep && left(&s) > 0)
		X86_LEAVE(c, i, x86_insn_rip(c, i));
	X86_LEAVE_NEXT(c, i);
}

X86_HANDLER(outs)
{
	const struct string s = begin(c, i);
	const u16 port = (u16)c->r[R_DX];
	u8 data[PIECE_BYTES];
	u64 n = left(&s);
	gva_t from;

	x86_io_check(c, i, port, s.size);
	if (n == 0)
		X86_LEAVE_NEXT(c, i);
	from = address(&s, i->seg, R_SI, false);
	if (s.down || !piece(&s, from, R_SI, false, &n))
		n = 1;
	x86_copy_from_guest(c, i, from, data, (unsigned)(n * s.size));
	c->exits_pio++;
	c->bus->pio_write_string(c->bus_vp, port, s.size, data, (unsigned)n);
	advance(&s, R_SI, n);
	count(&s, n);
	if (s.rep && left(&s) > 0)
		X86_LEAVE(c, i, x86_insn_rip(c, i));
	X86_LEAVE_NEXT(c, i);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool choose(const struct x86_decoded *d, struct x86_insn *i, unsigned size, x86_fn fn)
{
	i->extra = (u16)size;
	i->reg = d->asz;
	/* The source is the memory operand that is not at RDI. */
	i->seg = SEG_FLAT;
	for (unsigned n = 0; n < d->insn.operand_count; n++) {
		const ZydisDecodedOperand *op = &d->op[n];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.segment != ZYDIS_REGISTER_NONE &&
		    (op->mem.base == ZYDIS_REGISTER_SI || op->mem.base == ZYDIS_REGISTER_ESI ||
		     op->mem.base == ZYDIS_REGISTER_RSI))
			i->seg = x86_decode_segment(d, op->mem.segment);
	}
	/* Either prefix repeats, whatever the instruction is; the last one counts. */
	i->flags &= (u8)~(X86_INSN_REP | X86_INSN_REPNE);
	for (unsigned n = 0; n < d->insn.raw.prefix_count; n++) {
		const u8 prefix = d->insn.raw.prefixes[n].value;

		if (prefix == 0xf2 || prefix == 0xf3)
			i->flags = (u8)((i->flags & ~(X86_INSN_REP | X86_INSN_REPNE)) |
					(prefix == 0xf2 ? X86_INSN_REPNE : X86_INSN_REP));
	}
	if (fn == ins || fn == outs)
		i->flags |= X86_INSN_ENDS;
	return x86_choose_fn(i, fn);
}

bool x86_choose_string(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVSB: return choose(d, i, 1, movs);
	case ZYDIS_MNEMONIC_MOVSW: return choose(d, i, 2, movs);
	case ZYDIS_MNEMONIC_MOVSD:
		/* SSE2 has a MOVSD of its own. */
		return d->insn.opcode == 0xa5 && choose(d, i, 4, movs);
	case ZYDIS_MNEMONIC_MOVSQ: return choose(d, i, 8, movs);
	case ZYDIS_MNEMONIC_STOSB: return choose(d, i, 1, stos);
	case ZYDIS_MNEMONIC_STOSW: return choose(d, i, 2, stos);
	case ZYDIS_MNEMONIC_STOSD: return choose(d, i, 4, stos);
	case ZYDIS_MNEMONIC_STOSQ: return choose(d, i, 8, stos);
	case ZYDIS_MNEMONIC_LODSB: return choose(d, i, 1, lods);
	case ZYDIS_MNEMONIC_LODSW: return choose(d, i, 2, lods);
	case ZYDIS_MNEMONIC_LODSD: return choose(d, i, 4, lods);
	case ZYDIS_MNEMONIC_LODSQ: return choose(d, i, 8, lods);
	case ZYDIS_MNEMONIC_CMPSB: return choose(d, i, 1, cmps);
	case ZYDIS_MNEMONIC_CMPSW: return choose(d, i, 2, cmps);
	case ZYDIS_MNEMONIC_CMPSD: return d->insn.opcode == 0xa7 && choose(d, i, 4, cmps);
	case ZYDIS_MNEMONIC_CMPSQ: return choose(d, i, 8, cmps);
	case ZYDIS_MNEMONIC_SCASB: return choose(d, i, 1, scas);
	case ZYDIS_MNEMONIC_SCASW: return choose(d, i, 2, scas);
	case ZYDIS_MNEMONIC_SCASD: return choose(d, i, 4, scas);
	case ZYDIS_MNEMONIC_SCASQ: return choose(d, i, 8, scas);
	case ZYDIS_MNEMONIC_INSB: return choose(d, i, 1, ins);
	case ZYDIS_MNEMONIC_INSW: return choose(d, i, 2, ins);
	case ZYDIS_MNEMONIC_INSD: return choose(d, i, 4, ins);
	case ZYDIS_MNEMONIC_OUTSB: return choose(d, i, 1, outs);
	case ZYDIS_MNEMONIC_OUTSW: return choose(d, i, 2, outs);
	case ZYDIS_MNEMONIC_OUTSD: return choose(d, i, 4, outs);
	default: return false;
	}
}
