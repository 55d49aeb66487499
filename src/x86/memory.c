/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as instructions see it, where the fast path of cpu.h does not hit: page crossing,
 * MMIO, ROM, segment limits, alignment checks, breakpoints, locked and bulk accesses. All or
 * nothing: both pages of an access are translated before a byte moves. Stands on mmu.c.
 * Thread: the VP's.
 */
#include "x86/cache.h"
#include "x86/mmu.h"

/* An access that may cross one page boundary: its one or two pieces. */
struct span {
	struct x86_place place[2];
	unsigned first; /* bytes in place[0]; the rest is in place[1] */
	unsigned size;
};

static void span_translate(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			   unsigned size, unsigned access, u64 key, struct span *s);
static void span_read(struct x86_cpu *c, const struct span *s, void *to);
static void span_write(struct x86_cpu *c, const struct span *s, const void *from);
static void place_read(struct x86_cpu *c, const struct x86_place *p, u8 *to,
		       unsigned size);
static void place_write(struct x86_cpu *c, const struct x86_place *p, const u8 *from,
			unsigned size);

/* ---- checks ----------------------------------------------------------------------------------- */

static NORETURN COLD void raise_not_canonical(struct x86_cpu *c, const struct x86_insn *i)
{
	bool stack = i && i->seg == SEG_FLAT && (i->base == R_SP || i->base == R_BP);

	x86_raise_code(c, i, stack ? X86_SS : X86_GP, 0);
}

static void check_canonical(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			    unsigned size)
{
	if (c->mode & X86_MODE_LONG &&
	    (!x86_is_canonical(a) || !x86_is_canonical(a + size - 1)))
		raise_not_canonical(c, i);
}

static void check_aligned(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			  unsigned size)
{
	if ((c->key & 3) == 3 && (size & (size - 1)) == 0 && size <= 8 && a & (size - 1))
		x86_raise_code(c, i, X86_AC, 0);
}

/* What counts of 10 bytes are 8, of 32 bytes 16 (measured on Zen 4). */
void x86_check_aligned(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
		       unsigned size)
{
	gva_t mask = size >= 16 ? 15 : size == 10 ? 7 : size - 1;

	if ((c->key & 3) != 3 || !(a & mask))
		return;
	check_canonical(c, i, a, size);
	x86_raise_code(c, i, X86_AC, 0);
}

/*
 * Offset to linear outside of 64-bit mode: type and limit of the segment as now loaded. SDM volume 3,
 * 5.3 and 5.5.
 */
static gva_t check_segment(struct x86_cpu *c, const struct x86_insn *i, unsigned seg,
			   u64 offset, unsigned size, bool write)
{
	const struct vp_segment *s = &c->s.seg[seg];
	u8 vector = seg == SEG_SS ? X86_SS : X86_GP;
	u64 last = offset + size - 1;

	if (c->mode & X86_MODE_FLAT && (seg == SEG_DS || seg == SEG_SS || seg == SEG_ES))
		return (u32)offset;
	if (c->mode & X86_MODE_PE && !(c->mode & X86_MODE_V86)) {
		if (!(s->attr & SEG_ATTR_P))
			x86_raise_code(c, i, vector, 0);
		if (s->attr & SEG_ATTR_CODE) {
			if (write || !(s->attr & SEG_ATTR_RW))
				x86_raise_code(c, i, vector, 0);
		} else {
			if (write && !(s->attr & SEG_ATTR_RW))
				x86_raise_code(c, i, vector, 0);
			if (s->attr & SEG_ATTR_DC) { /* expands down */
				u64 top = s->attr & SEG_ATTR_DB ? 0xffffffffull : 0xffff;

				if (offset <= s->limit || last > top)
					x86_raise_code(c, i, vector, 0);
				return (u32)(s->base + offset);
			}
		}
	}
	if (last > s->limit && !(s->limit == 0xffffffff && offset <= s->limit))
		x86_raise_code(c, i, vector, 0);
	return (u32)(s->base + offset);
}

/* Of what i->seg may be; those that are flat behave as DS does. */
static unsigned real_segment(unsigned seg)
{
	if (seg < SEG_FLAT)
		return seg;
	return seg == SEG_FS_FLAT ? SEG_FS : seg == SEG_GS_FLAT ? SEG_GS : SEG_DS;
}

static u64 ea_offset(const struct x86_cpu *c, const struct x86_insn *i)
{
	u64 offset = c->r[i->base] + (c->r[i->index] << i->scale) + (u64)(s64)i->disp;

	if (i->flags & X86_INSN_WRAP)
		offset += BIT64(32);
	if (i->flags & X86_INSN_ADDR32)
		return (u32)offset;
	if (i->flags & X86_INSN_ADDR16)
		return (u16)offset;
	return offset;
}

gva_t x86_ea_slow(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool write)
{
	u64 offset = ea_offset(c, i);

	if (c->mode & X86_MODE_LONG)
		return offset + c->seg_base[i->seg];
	if (i->seg == SEG_FLAT || i->seg == SEG_TOP)
		return (u32)offset;
	return check_segment(c, i, real_segment(i->seg), offset, size ? size : 1, write);
}

u64 x86_ea_offset(const struct x86_cpu *c, const struct x86_insn *i)
{
	return ea_offset(c, i);
}

gva_t x86_linear(struct x86_cpu *c, const struct x86_insn *i, unsigned seg, u64 offset,
		 unsigned size, bool write)
{
	if (c->mode & X86_MODE_LONG)
		return offset + c->seg_base[seg];
	return check_segment(c, i, real_segment(seg), offset, size, write);
}

/* ---- loads and stores ---------------------------------------------------------------------- */

/*
 * Under AC = 1 the supervisor has a key of its own; its pages were mostly entered under the other. Such
 * an entry is as good: what SMAP allows, AC = 1 allows too.
 */
static const struct x86_tlb_entry *entry_of_twin(const struct x86_cpu *c, gva_t a,
						 unsigned size, bool write)
{
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);
	u64 tag = x86_tlb_tag(c, a, size) | 1;

	if ((c->key & 3) != 0 || (write ? e->write_tag : e->read_tag) != tag)
		return NULL;
	return e;
}

static u64 load(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		unsigned access, u64 key)
{
	struct span s;
	u64 v = 0;

	span_translate(c, i, a, size, access, key, &s);
	span_read(c, &s, &v);
	x86_watch_access(c, a, size, false);
	return v;
}

static void store(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		  u64 value, unsigned access, u64 key)
{
	struct span s;

	span_translate(c, i, a, size, access | X86_ACCESS_WRITE, key, &s);
	span_write(c, &s, &value);
	x86_watch_access(c, a, size, true);
}

static u64 read_host(const void *host, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile x86_u8 *)host;
	case 2:
		return *(const volatile x86_u16 *)host;
	case 4:
		return *(const volatile x86_u32 *)host;
	default:
		return *(const volatile x86_u64 *)host;
	}
}

u64 x86_load_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size)
{
	const struct x86_tlb_entry *e = entry_of_twin(c, a, size, false);
	u64 key;

	if (e)
		return read_host((const void *)(a + e->addend), size);
	unsigned access = x86_access_now(c, &key);

	check_canonical(c, i, a, size);
	check_aligned(c, i, a, size);
	return load(c, i, a, size, access, key);
}

u64 x86_load_rmw_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size)
{
	const struct x86_tlb_entry *e = entry_of_twin(c, a, size, true);
	u64 key;

	if (e)
		return read_host((const void *)(a + e->addend), size);
	unsigned access = x86_access_now(c, &key);

	check_canonical(c, i, a, size);
	check_aligned(c, i, a, size);
	return load(c, i, a, size, access | X86_ACCESS_WRITE, key);
}

void x86_store_slow(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		    u64 value)
{
	u64 key;
	unsigned access = x86_access_now(c, &key);

	check_canonical(c, i, a, size);
	check_aligned(c, i, a, size);
	store(c, i, a, size, value, access, key);
}

u64 x86_load_system(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size)
{
	u64 key;
	unsigned access = x86_access_system(c, &key);

	check_canonical(c, NULL, a, size);
	return load(c, i, a, size, access, key);
}

void x86_store_system(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		      u64 value)
{
	u64 key;
	unsigned access = x86_access_system(c, &key);

	check_canonical(c, NULL, a, size);
	store(c, i, a, size, value, access, key);
}

void x86_copy_from_guest(struct x86_cpu *c, const struct x86_insn *i, gva_t a, void *to,
			 unsigned size)
{
	u64 key;
	unsigned access = x86_access_now(c, &key);
	struct span s;

	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (LIKELY(x86_tlb_tag(c, a, size) == e->read_tag)) {
		memcpy(to, (const void *)(a + e->addend), size);
		return;
	}
	check_canonical(c, i, a, size);
	span_translate(c, i, a, size, access, key, &s);
	span_read(c, &s, to);
	x86_watch_access(c, a, size, false);
}

void x86_copy_to_guest(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
		       const void *from, unsigned size)
{
	u64 key;
	unsigned access = x86_access_now(c, &key);
	struct span s;

	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	if (LIKELY(x86_tlb_tag(c, a, size) == e->write_tag)) {
		memcpy((void *)(a + e->addend), from, size);
		if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
			x86_code_hit(c, e->code, (unsigned)a & 0xfff, size);
		return;
	}
	check_canonical(c, i, a, size);
	span_translate(c, i, a, size, access | X86_ACCESS_WRITE, key, &s);
	span_write(c, &s, from);
	x86_watch_access(c, a, size, true);
}

void x86_probe(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
	       bool write)
{
	u64 key;
	unsigned access = x86_access_now(c, &key);
	struct span s;

	check_canonical(c, i, a, size);
	span_translate(c, i, a, size, access | (write ? X86_ACCESS_WRITE : 0), key, &s);
}

/* ---- stack ------------------------------------------------------------------------------------ */

static gva_t stack_linear(struct x86_cpu *c, const struct x86_insn *i, u64 a,
			  unsigned size, bool write)
{
	if (!(c->mode & X86_MODE_LONG))
		return check_segment(c, i, SEG_SS, a, size, write);
	if (!x86_is_canonical(a) || !x86_is_canonical(a + size - 1))
		x86_raise_code(c, i, X86_SS, 0);
	return a;
}

u64 x86_stack_load(struct x86_cpu *c, const struct x86_insn *i, u64 a, unsigned size)
{
	return x86_load_slow(c, i, stack_linear(c, i, a, size, false), size);
}

void x86_stack_store(struct x86_cpu *c, const struct x86_insn *i, u64 a, unsigned size,
		     u64 value)
{
	x86_store_slow(c, i, stack_linear(c, i, a, size, true), size, value);
}

void x86_stack_probe(struct x86_cpu *c, const struct x86_insn *i, u64 a, unsigned size)
{
	gva_t linear = stack_linear(c, i, a, size, true);

	check_aligned(c, i, linear, size);
	x86_probe(c, i, linear, size, true);
}

void x86_push64_slow(struct x86_cpu *c, const struct x86_insn *i, u64 v)
{
	x86_stack_store(c, i, c->r[R_SP] - 8, 8, v);
	c->r[R_SP] -= 8;
}

u64 x86_pop64_slow(struct x86_cpu *c, const struct x86_insn *i)
{
	u64 v = x86_stack_load(c, i, c->r[R_SP], 8);

	c->r[R_SP] += 8;
	return v;
}

/* ---- in place --------------------------------------------------------------------------------- */

void *x86_pointer_for_write(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			    unsigned size)
{
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);
	u64 key;

	if (LIKELY(x86_tlb_tag(c, a, size) == e->write_tag)) {
		*x86_mmu_written(c) =
			(struct x86_written){ a & ~0xfffull, e->code, NULL };
		return (void *)(a + e->addend);
	}
	check_canonical(c, i, a, size);
	check_aligned(c, i, a, size);
	if ((a & 0xfff) + size > 4096)
		return NULL;

	struct x86_place p;
	unsigned access = x86_access_now(c, &key);

	x86_translate(c, i, a, access | X86_ACCESS_WRITE, key, &p);
	if (!p.host || !p.page.writable || x86_page_watched(c, a))
		return NULL;
	*x86_mmu_written(c) =
		(struct x86_written){ a & ~0xfffull, p.page.code, p.page.dirty };
	return p.host;
}

u8 *x86_pointer_for_bulk(struct x86_cpu *c, const struct x86_insn *i, gva_t a, bool write,
			 unsigned *ret_size)
{
	*ret_size = 4096 - (unsigned)(a & 0xfff);
	if (write)
		return x86_pointer_for_write(c, i, a, 1);

	const struct x86_tlb_entry *e = x86_tlb_at(c, a);
	u64 key;

	if (LIKELY(x86_tlb_tag(c, a, 1) == e->read_tag))
		return (u8 *)(a + e->addend);
	check_canonical(c, i, a, 1);

	struct x86_place p;
	unsigned access = x86_access_now(c, &key);

	x86_translate(c, i, a, access, key, &p);
	return x86_page_watched(c, a) ? NULL : p.host;
}

void x86_code_check(struct x86_cpu *c, gva_t a, unsigned size)
{
	const struct x86_written *w = x86_mmu_written(c);

	if ((a & ~0xfffull) != w->page)
		return;
	/* The mark of translating may have been harvested while a bus call filled the page. */
	if (w->dirty)
		atomic_store_explicit(w->dirty, 1, memory_order_release);
	if (w->code && atomic_load_explicit(w->code, memory_order_relaxed) && size)
		x86_code_hit(c, w->code, (unsigned)a & 0xfff, size);
}

/* The fast store's way out: e was hit, so its code byte is the page's. */
void x86_code_written(struct x86_cpu *c, gva_t a, unsigned size)
{
	x86_code_hit(c, x86_tlb_at(c, a)->code, (unsigned)a & 0xfff, size);
}

/* Not NEXT: clang tail-calls by force only between functions of one type. */
#define CODE_WRITTEN_NEXT(bits)                                                       \
	void x86_code_written_next##bits(struct x86_cpu *c, const struct x86_insn *i, \
					 gva_t a)                                     \
	{                                                                             \
		x86_code_written(c, a, bits / 8);                                     \
		if (X86_TAIL_CALLS)                                                   \
			i[1].fn(c, i + 1);                                            \
		else                                                                  \
			c->next = i + 1;                                              \
	}
CODE_WRITTEN_NEXT(8)
CODE_WRITTEN_NEXT(16)
CODE_WRITTEN_NEXT(32)
CODE_WRITTEN_NEXT(64)

u64 x86_split_begin(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		    void *ret16)
{
	struct x86_split *split = x86_mmu_split(c);
	struct span s;
	u64 key, v[2] = { 0, 0 };
	unsigned access = x86_access_now(c, &key);

	check_canonical(c, i, a, size);
	check_aligned(c, i, a, size);
	span_translate(c, i, a, size, access | X86_ACCESS_WRITE, key, &s);
	split->place[0] = s.place[0];
	split->place[1] = s.place[1];
	split->first = s.first;
	pthread_mutex_lock(&c->vm->split_lock);
	span_read(c, &s, v);
	if (size == 16)
		memcpy(ret16, v, 16);
	return v[0];
}

void x86_split_end(struct x86_cpu *c, const struct x86_insn *i, gva_t a, unsigned size,
		   u64 value, const void *value16)
{
	const struct x86_split *split = x86_mmu_split(c);
	struct span s = {
		.place = { split->place[0], split->place[1] },
		.first = split->first,
		.size = size,
	};

	span_write(c, &s, size == 16 ? value16 : &value);
	pthread_mutex_unlock(&c->vm->split_lock);
	x86_watch_access(c, a, size, true);
}

/* ---- spans ------------------------------------------------------------------------------------ */

static void span_translate(struct x86_cpu *c, const struct x86_insn *i, gva_t a,
			   unsigned size, unsigned access, u64 key, struct span *s)
{
	unsigned room = 4096 - (unsigned)(a & 0xfff);

	s->size = size;
	s->first = size < room ? size : room;
	x86_translate(c, i, a, access, key, &s->place[0]);
	if (s->first < size) {
		gva_t second = a + room;

		if (!(c->mode & X86_MODE_LONG))
			second = (u32)second;
		x86_translate(c, i, second, access, key, &s->place[1]);
	}
}

static void span_read(struct x86_cpu *c, const struct span *s, void *to)
{
	place_read(c, &s->place[0], to, s->first);
	if (s->first < s->size)
		place_read(c, &s->place[1], (u8 *)to + s->first, s->size - s->first);
}

static void span_write(struct x86_cpu *c, const struct span *s, const void *from)
{
	place_write(c, &s->place[0], from, s->first);
	if (s->first < s->size)
		place_write(c, &s->place[1], (const u8 *)from + s->first,
			    s->size - s->first);
}

/* MMIO in the largest pieces that are naturally aligned; an access of 1, 2, 4 or 8 stays whole. */
static unsigned mmio_piece(gpa_t gpa, unsigned size)
{
	if (size == 1 || size == 2 || size == 4 || size == 8)
		return size;
	unsigned piece = 8;

	while (piece > size || gpa & (piece - 1))
		piece /= 2;
	return piece;
}

static void place_read(struct x86_cpu *c, const struct x86_place *p, u8 *to,
		       unsigned size)
{
	if (p->host) {
		u64 v;

		if (size == 1 || size == 2 || size == 4 || size == 8) {
			v = read_host(p->host, size);
			memcpy(to, &v, size);
		} else {
			memcpy(to, p->host, size);
		}
		return;
	}
	c->exits_mmio++;
	for (unsigned n = 0; n < size;) {
		unsigned piece = mmio_piece(p->gpa + n, size - n);
		u64 v = c->bus->mmio_read(c->bus_vp, p->gpa + n, piece);

		memcpy(to + n, &v, piece);
		n += piece;
	}
}

static void place_write(struct x86_cpu *c, const struct x86_place *p, const u8 *from,
			unsigned size)
{
	if (p->host) {
		if (!p->page.writable)
			return;
		switch (size) { /* one host access where the guest makes one */
		case 1:
			*(volatile u8 *)p->host = *from;
			break;
		case 2:
			*(volatile x86_u16 *)p->host = *(const x86_u16 *)from;
			break;
		case 4:
			*(volatile x86_u32 *)p->host = *(const x86_u32 *)from;
			break;
		case 8:
			*(volatile x86_u64 *)p->host = *(const x86_u64 *)from;
			break;
		default:
			memcpy(p->host, from, size);
		}
		x86_place_written(c, p, size);
		return;
	}
	c->exits_mmio++;
	for (unsigned n = 0; n < size;) {
		unsigned piece = mmio_piece(p->gpa + n, size - n);
		u64 v = 0;

		memcpy(&v, from + n, piece);
		c->bus->mmio_write(c->bus_vp, p->gpa + n, piece, v);
		n += piece;
	}
}
