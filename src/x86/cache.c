/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoded code: blocks by guest-physical address and mode, per VP; marking, dropping. The protocol
 * is in x86/cache.h. Neighbours: decode.c (one instruction), mmu.c (fetch), run.c (jumps).
 * Thread: the VP's, but where a VM's lock is named.
 */
#include "x86/cache.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/reserve.h"
#include "x86/decode.h"
#include "x86/jit/jit.h"
#include "x86/mmu.h"

#define ARENA_SIZE (32u << 20)
#define HASH_BITS 16
#define PAGE_BITS 12
#define LONGEST_INSN 15
/* Header, records and the end record of the longest block, in one piece of the arena. */
#define BLOCK_SIZE_MAX \
	(sizeof(struct x86_block) + (X86_BLOCK_MAX + 1) * sizeof(struct x86_insn))

struct x86_cache {
	u8 *arena;
	size_t used;
	u64 drops; /* requests handled: a block that was being decoded meanwhile is not kept */
	struct x86_block *hash[1u << HASH_BITS];
	struct x86_block *page[1u << PAGE_BITS];  /* by ram_page, linked by next_page */
	struct x86_block *page2[1u << PAGE_BITS]; /* by ram_page2, linked by next_page2 */
	u8 scratch[sizeof(struct x86_block) + 2 * sizeof(struct x86_insn)]
		__attribute__((aligned(64)));
};

static struct x86_block *find(struct x86_cpu *c, u32 mode, bool *ret_kept);
static bool decode(struct x86_cpu *c, const struct x86_fetch *f, u64 linear,
		   struct x86_block *b, unsigned max);
static bool decode_crossing(struct x86_cpu *c, const struct x86_fetch *f, u64 linear,
			    struct x86_block *b);
static bool add_insn(struct x86_cpu *c, struct x86_block *b, const u8 *bytes,
		     unsigned size);
static void finish(struct x86_block *b);
static u64 mark(struct x86_cpu *c, const struct x86_fetch *f, unsigned offset,
		unsigned size);
static bool still_marked(const struct x86_cpu *c, u64 ram_page);
static u64 lines_of(unsigned offset, unsigned size);
static void insert(struct x86_cache *k, struct x86_block *b);
static void drop_page(struct x86_cpu *c, u64 ram_page);
static void kill_block(struct x86_cpu *c, struct x86_block *b);
static void fetch_bytes(struct x86_cpu *c, const struct x86_fetch *f, unsigned offset,
			u8 *to, unsigned size);

static unsigned hash_of(u64 gpa, u32 mode)
{
	u64 h = (gpa ^ ((u64)mode << 32)) * 0x9e3779b97f4a7c15ull;

	return (unsigned)(h >> (64 - HASH_BITS));
}

static unsigned page_bucket(u64 ram_page)
{
	return (unsigned)ram_page & ((1u << PAGE_BITS) - 1);
}

static size_t any_code_size(u64 pages)
{
	return (pages + 511) / 512;
}

static void maps_free(struct x86_vm *vm)
{
	const u64 pages = vm->ram_pages ? vm->ram_pages : 1;

	memory_release((void *)vm->lines, pages * sizeof(vm->lines[0]));
	memory_release((void *)vm->mixed, pages);
	memory_release((void *)vm->any_code, any_code_size(pages));
	vm->lines = NULL;
	vm->mixed = vm->any_code = NULL;
}

int x86_vm_init(struct x86_vm *vm, _Atomic u8 *code_map, u64 ram_pages)
{
	const u64 pages = ram_pages ? ram_pages : 1;

	memset(vm, 0, sizeof(*vm));
	vm->code_map = code_map;
	vm->ram_pages = ram_pages;
	vm->lines = memory_reserve(pages * sizeof(vm->lines[0]));
	vm->mixed = memory_reserve(pages);
	vm->any_code = memory_reserve(any_code_size(pages));
	if (!vm->lines || !vm->mixed || !vm->any_code) {
		maps_free(vm);
		return -ENOMEM;
	}
	pthread_mutex_init(&vm->code_lock, NULL);
	pthread_mutex_init(&vm->split_lock, NULL);
	/* Fails only on kernels before 4.14; barrier_all() then finds another way. */
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	return 0;
}

void x86_vm_done(struct x86_vm *vm)
{
	if (!vm->lines)
		return;
	maps_free(vm);
	pthread_mutex_destroy(&vm->code_lock);
	pthread_mutex_destroy(&vm->split_lock);
}

int x86_cache_new(struct x86_cpu *c)
{
	struct x86_cache *k = memory_reserve(sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->arena = memory_reserve(ARENA_SIZE);
	if (!k->arena) {
		memory_release(k, sizeof(*k));
		return -ENOMEM;
	}
	c->cache = k;
	return 0;
}

void x86_cache_free(struct x86_cpu *c)
{
	if (!c->cache)
		return;
	memory_release(c->cache->arena, ARENA_SIZE);
	memory_release(c->cache, sizeof(*c->cache));
	c->cache = NULL;
}

struct x86_block *x86_block_find(struct x86_cpu *c, bool *ret_kept)
{
	struct x86_block *b = find(c, c->mode, ret_kept);
	u32 limit = c->s.seg[SEG_CS].limit;

	if (c->mode & X86_MODE_LONG || LIKELY(c->rip + b->bytes - 1 <= limit))
		return b;
	/* The segment ends within the block: one by one, up to the one that does not fit. */
	b = find(c, c->mode | X86_MODE_STEP, ret_kept);
	*ret_kept = false;
	if (c->rip + b->bytes - 1 > limit)
		x86_raise_code(c, NULL, X86_GP, 0);
	return b;
}

static struct x86_block *find(struct x86_cpu *c, u32 mode, bool *ret_kept)
{
	struct x86_cache *k = c->cache;
	struct x86_fetch f;
	u64 linear = x86_fetch_linear(c, c->rip);

	x86_fetch(c, linear, &f);
	*ret_kept = false;
	if (f.cacheable) {
		unsigned h = hash_of(f.gpa, mode);

		for (struct x86_block *b = k->hash[h]; b; b = b->next_hash) {
			if (b->gpa != f.gpa || b->mode != mode)
				continue;
			*ret_kept = true;
			if (b->ram_page2 == X86_NO_RAM_PAGE)
				return b;
			/* The second page may be another one in this address space. */
			struct x86_fetch f2;

			x86_fetch(c, x86_fetch_next(c, linear), &f2);
			if (f2.cacheable && f2.ram_page == b->ram_page2)
				return b;
			*ret_kept = false;
		}
	}

	struct x86_block *b;

	c->block = NULL;
	if (f.cacheable) {
		if (k->used + BLOCK_SIZE_MAX > ARENA_SIZE)
			x86_cache_flush(c);
		b = (void *)(k->arena + k->used);
	} else {
		b = (void *)k->scratch;
	}
	*b = (struct x86_block){
		.gpa = f.gpa,
		.mode = (u16)mode,
		.ram_page = f.cacheable ? f.ram_page : X86_NO_RAM_PAGE,
		.ram_page2 = X86_NO_RAM_PAGE,
		.heat = x86_jit_threshold ? x86_jit_threshold : 1,
	};
	unsigned max = mode & X86_MODE_STEP || !f.cacheable ? 1 : X86_BLOCK_MAX;
	bool keep = f.cacheable;
	u64 drops = k->drops;

	if (!decode(c, &f, linear, b, max))
		keep = decode_crossing(c, &f, linear, b) && keep;
	finish(b);
	/* Fetching the second page may have set an accessed bit in the first, of all places. */
	if (drops != k->drops || !still_marked(c, b->ram_page) ||
	    !still_marked(c, b->ram_page2))
		keep = false;
	if (!keep) { /* executed once, right now; its place is taken by the next */
		b->once = 1;
		return b;
	}
	k->used += sizeof(*b) + (b->count + 1u) * sizeof(struct x86_insn);
	k->used = (k->used + 63) & ~(size_t)63;
	insert(k, b);
	*ret_kept = true;
	return b;
}

/* Up to max instructions of the first page. false: the very first one crosses into the next. */
static bool decode(struct x86_cpu *c, const struct x86_fetch *f, u64 linear,
		   struct x86_block *b, unsigned max)
{
	unsigned at = (unsigned)linear & 0xfff;
	u64 marked = 0;

	while (b->count < max && at < 4096) {
		u8 bytes[16];
		unsigned size = 4096 - at < LONGEST_INSN ? 4096 - at : LONGEST_INSN;

		if (lines_of(at, size) & ~marked)
			marked = mark(c, f, at, size);
		fetch_bytes(c, f, at, bytes, size);
		if (!add_insn(c, b, bytes, size))
			return b->count > 0;
		at = ((unsigned)linear & 0xfff) + b->bytes;
		if (b->insn[b->count - 1].flags & X86_INSN_ENDS)
			break;
	}
	return true;
}

/* The instruction at the page's end needs bytes of the next. Is the block to be kept? */
static bool decode_crossing(struct x86_cpu *c, const struct x86_fetch *f, u64 linear,
			    struct x86_block *b)
{
	struct x86_fetch f2;
	u8 bytes[16];
	unsigned at = (unsigned)linear & 0xfff, first = 4096 - at;

	x86_fetch(c, x86_fetch_next(c, linear), &f2);
	mark(c, &f2, 0, LONGEST_INSN - first);
	fetch_bytes(c, f, at, bytes, first);
	fetch_bytes(c, &f2, 0, bytes + first, LONGEST_INSN - first);
	if (!add_insn(c, b, bytes, LONGEST_INSN))
		x86_raise_code(c, NULL, X86_GP, 0); /* not reached: 15 bytes always say */
	b->ram_page2 = f2.cacheable ? f2.ram_page : X86_NO_RAM_PAGE;
	return f2.cacheable && f2.ram_page != X86_NO_RAM_PAGE;
}

static void raise_ud(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_raise(c, i, X86_UD);
}

static void raise_gp(struct x86_cpu *c, const struct x86_insn *i)
{
	x86_raise_code(c, i, X86_GP, 0);
}

/* Append one instruction; false when it needs more bytes than there are. */
static bool add_insn(struct x86_cpu *c, struct x86_block *b, const u8 *bytes,
		     unsigned size)
{
	struct x86_insn *i = &b->insn[b->count];
	int length = x86_decode_one(c, bytes, size, b->mode, b->bytes, i);

	if (length == -1)
		return false;
	if (length <= 0) {
		*i = (struct x86_insn){
			.fn = length == -2 ? raise_gp : raise_ud,
			.base = R_ZERO,
			.index = R_ZERO,
			.seg = SEG_FLAT,
			.length = 1,
			.offset = b->bytes,
			.flags = X86_INSN_ENDS,
		};
		length = 1;
	}
	b->count++;
	b->bytes = (u16)(b->bytes + length);
	c->decoded++;
	return true;
}

bool x86_record_refused(const struct x86_insn *i)
{
	return i->fn == raise_ud || i->fn == raise_gp;
}

struct x86_block *x86_block_lookup(struct x86_cpu *c, gpa_t gpa, u32 mode)
{
	for (struct x86_block *b = c->cache->hash[hash_of(gpa, mode)]; b;
	     b = b->next_hash)
		if (b->gpa == gpa && b->mode == mode && b->ram_page2 == X86_NO_RAM_PAGE)
			return b;
	return NULL;
}

static void finish(struct x86_block *b)
{
	if (b->count >= 2)
		x86_fuse(&b->insn[b->count - 2]);
	b->insn[b->count] = (struct x86_insn){
		.fn = x86_end_record,
		.base = R_ZERO,
		.index = R_ZERO,
		.seg = SEG_FLAT,
		.disp = b->bytes,
		.offset = b->bytes,
		.flags = X86_INSN_ENDS,
	};
}

/* Bytes of one page; single bytes where it is no memory. */
static void fetch_bytes(struct x86_cpu *c, const struct x86_fetch *f, unsigned offset,
			u8 *to, unsigned size)
{
	if (f->host) {
		memcpy(to, f->host + offset, size);
		return;
	}
	for (unsigned n = 0; n < size; n++)
		to[n] = (u8)c->bus->mmio_read(c->bus_vp,
					      (f->gpa & ~0xfffull) + offset + n, 1);
}

/* All stores by other threads before this are visible, all later ones see what we wrote. */
static void barrier_all(const struct x86_vm *vm)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (vm->cpu_count > 1)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static u64 lines_of(unsigned offset, unsigned size)
{
	unsigned first = offset >> 6, last = (offset + size - 1) >> 6;
	u64 upto = last >= 63 ? ~0ull : BIT64(last + 1) - 1;

	return upto & ~(BIT64(first) - 1);
}

/*
 * We are about to read these bytes as code. Returns the lines that are safe to read now. The barrier
 * is inside of the lock: whoever finds the marks set under the lock knows that it is over.
 */
static u64 mark(struct x86_cpu *c, const struct x86_fetch *f, unsigned offset,
		unsigned size)
{
	struct x86_vm *vm = c->vm;

	if (!f->cacheable || f->ram_page == X86_NO_RAM_PAGE)
		return ~0ull;
	u64 lines = lines_of(offset, size);

	pthread_mutex_lock(&vm->code_lock);
	u64 had = atomic_load(&vm->code_map[f->ram_page])
			  ? atomic_load(&vm->lines[f->ram_page])
			  : 0;

	if (lines & ~had) {
		if (!atomic_load(&vm->mixed[f->ram_page]))
			lines = ~0ull;
		had |= lines;
		atomic_store(&vm->lines[f->ram_page], had);
		atomic_store(&vm->code_map[f->ram_page], 1);
		atomic_store(&vm->any_code[f->ram_page / 512], 1);
		barrier_all(vm);
	}
	pthread_mutex_unlock(&vm->code_lock);
	return had;
}

static bool still_marked(const struct x86_cpu *c, u64 ram_page)
{
	return ram_page == X86_NO_RAM_PAGE || atomic_load(&c->vm->code_map[ram_page]);
}

static void insert(struct x86_cache *k, struct x86_block *b)
{
	unsigned h = hash_of(b->gpa, b->mode);

	b->next_hash = k->hash[h];
	k->hash[h] = b;
	if (b->ram_page != X86_NO_RAM_PAGE) {
		unsigned p = page_bucket(b->ram_page);

		b->next_page = k->page[p];
		k->page[p] = b;
	}
	if (b->ram_page2 != X86_NO_RAM_PAGE) {
		unsigned p = page_bucket(b->ram_page2);

		b->next_page2 = k->page2[p];
		k->page2[p] = b;
	}
}

void x86_cache_flush(struct x86_cpu *c)
{
	struct x86_cache *k = c->cache;

	memset(k->hash, 0, sizeof(k->hash));
	memset(k->page, 0, sizeof(k->page));
	memset(k->page2, 0, sizeof(k->page2));
	k->used = 0;
	memset(c->jump, 0, sizeof(c->jump));
	c->link = NULL;
	c->block = NULL;
	c->code_flushes++;
	x86_jit_flush(c);
}

void x86_cache_give_back(struct x86_cpu *c)
{
	madvise(c->cache->arena, ARENA_SIZE, MADV_DONTNEED);
	x86_cache_flush(c);
}

/* ---- dropping --------------------------------------------------------------------------------- */

void x86_dead_record(struct x86_cpu *c, const struct x86_insn *i)
{
	/* Counted when the block began, but not executed. */
	c->instructions -= (u64)(c->block->count - (i - c->block->insn));
	X86_LEAVE(c, i, x86_insn_rip(c, i));
}

void x86_code_hit(struct x86_cpu *c, const _Atomic u8 *code, unsigned offset,
		  unsigned size)
{
	struct x86_vm *vm = c->vm;
	u64 page = (u64)(code - vm->code_map);
	u64 lines = lines_of(offset, size);

	if (!(atomic_load(&vm->lines[page]) & lines))
		return;
	pthread_mutex_lock(&vm->code_lock);
	if (atomic_load(&vm->lines[page]) & lines) {
		for (unsigned n = 0; n < vm->cpu_count; n++) {
			if (vm->cpu[n] && vm->cpu[n] != c)
				x86_drop_post_page(vm, n, page);
		}
		drop_page(c, page);
		atomic_store(&vm->mixed[page], 1);
		atomic_store(&vm->lines[page], 0);
		atomic_store(&vm->code_map[page], 0);
	}
	pthread_mutex_unlock(&vm->code_lock);
}

bool x86_is_any_code(const struct x86_vm *vm, const _Atomic u8 *byte)
{
	return byte >= vm->any_code && byte < vm->any_code + any_code_size(vm->ram_pages);
}

void x86_large_written(struct x86_cpu *c, const _Atomic u8 *any_code)
{
	const struct x86_vm *vm = c->vm;
	const u64 first = (u64)(any_code - vm->any_code) * 512;

	x86_tlb_not_quiet(c, any_code);
	for (u64 page = first; page < first + 512 && page < vm->ram_pages; page++)
		if (atomic_load(&vm->code_map[page]))
			x86_code_hit(c, &vm->code_map[page], 0, 4096);
}

static void drop_page(struct x86_cpu *c, u64 ram_page)
{
	struct x86_cache *k = c->cache;
	struct x86_block **at = &k->page[page_bucket(ram_page)];

	while (*at) {
		struct x86_block *b = *at;

		if (b->ram_page == ram_page) {
			*at = b->next_page;
			kill_block(c, b);
		} else {
			at = &b->next_page;
		}
	}
	/* Blocks that cross: dead ones may stay in the other page's list until the flush. */
	at = &k->page2[page_bucket(ram_page)];
	while (*at) {
		struct x86_block *b = *at;

		if (b->ram_page2 == ram_page || b->dead) {
			*at = b->next_page2;
			kill_block(c, b);
		} else {
			at = &b->next_page2;
		}
	}
	/* A block that is not kept, or not yet inserted, may be executing: it dies as well. */
	if (c->block && !c->block->dead &&
	    (c->block->ram_page == ram_page || c->block->ram_page2 == ram_page))
		kill_block(c, c->block);
	c->code_flushes++;
}

static void kill_block(struct x86_cpu *c, struct x86_block *b)
{
	struct x86_cache *k = c->cache;

	if (b->dead)
		return;
	b->dead = 1;
	if (b->region)
		x86_jit_block_killed(c, b);
	for (unsigned n = 0; n <= b->count; n++)
		b->insn[n].fn = x86_dead_record;
	for (struct x86_block **at = &k->hash[hash_of(b->gpa, b->mode)]; *at;
	     at = &(*at)->next_hash) {
		if (*at == b) {
			*at = b->next_hash;
			return;
		}
	}
}

void x86_drop_post_page(struct x86_vm *vm, unsigned cpu, u64 ram_page)
{
	struct x86_drop *d = &vm->drop[cpu];

	if (d->count < X86_DROP_QUEUE)
		d->page[d->count++] = ram_page;
	else
		d->all_code = true;
	atomic_fetch_add(&d->asked, 1);
	atomic_fetch_or(&vm->cpu[cpu]->attention, X86_ATTN_DROP);
}

void x86_drop_post_write_rights(struct x86_vm *vm, unsigned cpu)
{
	struct x86_drop *d = &vm->drop[cpu];

	d->write_rights = true;
	atomic_fetch_add(&d->asked, 1);
	atomic_fetch_or(&vm->cpu[cpu]->attention, X86_ATTN_DROP);
}

void x86_drop_post_translations(struct x86_vm *vm, unsigned cpu, const gva_t *pages,
				unsigned count)
{
	struct x86_drop *d = &vm->drop[cpu];

	if (count == 0 || count > X86_DROP_PAGES - d->gva_count)
		d->translations = true;
	for (unsigned n = 0; n < count && !d->translations; n++)
		d->gva[d->gva_count++] = pages[n];
	atomic_fetch_add(&d->asked, 1);
	atomic_fetch_or(&vm->cpu[cpu]->attention, X86_ATTN_DROP);
}

void x86_drop_handle(struct x86_cpu *c)
{
	struct x86_vm *vm = c->vm;
	struct x86_drop *d = &vm->drop[c->index];

	pthread_mutex_lock(&vm->code_lock);
	atomic_fetch_and(&c->attention, ~X86_ATTN_DROP);
	if (d->all_code) {
		struct x86_cache *k = c->cache;

		for (unsigned n = 0; n < 1u << HASH_BITS; n++) {
			while (k->hash[n])
				kill_block(c, k->hash[n]);
		}
		memset(k->page, 0, sizeof(k->page));
		memset(k->page2, 0, sizeof(k->page2));
		if (c->block)
			kill_block(c, c->block);
	} else {
		for (unsigned n = 0; n < d->count; n++)
			drop_page(c, d->page[n]);
	}
	if (d->write_rights)
		x86_tlb_drop_write_rights(c);
	if (d->translations) {
		x86_tlb_flush_all(c);
	} else {
		for (unsigned n = 0; n < d->gva_count; n++)
			x86_tlb_flush_page(c, d->gva[n]);
	}
	d->translations = false;
	d->gva_count = 0;
	d->count = 0;
	d->all_code = false;
	d->write_rights = false;
	atomic_store(&d->done, atomic_load(&d->asked));
	c->cache->drops++;
	pthread_mutex_unlock(&vm->code_lock);
	x86_drop_wake(vm);
}

void x86_drop_wake(struct x86_vm *vm)
{
	if (!atomic_load(&vm->waiters))
		return;
	atomic_fetch_add(&vm->acknowledged, 1);
	syscall(SYS_futex, &vm->acknowledged, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
