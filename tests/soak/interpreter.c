/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks by src/x86: one processor in 64-bit mode at CPL 3, with the pages of blocks.h and the
 * selectors that Linux gives its processes. Each exception's handler is a HLT at CPL 0, so
 * that delivery is tested, too. The translator's processor translates each block when it is first
 * met, or, in other batches, a little later. See blocks.h.
 */
#include "blocks.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "x86/cache.h"
#include "x86/jit/jit.h"
#include "x86/mmu.h"
#include "x86/run.h"
#include "x86/vector.h"

#define RAM_SIZE 0x200000u
#define KERNEL 0xffffffff80000000ull /* RAM, for CPL 0 alone */
#define TABLES 0x1000u
#define IDT 0x10000u
#define GDT 0x11000u
#define TSS 0x12000u
#define HANDLERS 0x13000u
#define STACK_TOP 0x20000u
#define CODE_GPA 0x1000000ull
#define WINDOW_GPA 0x2000000ull
#define READ_ONLY_GPA 0x3000000ull
#define PAGES (0x4000000ull >> 12)

struct interpreter {
	struct x86_cpu cpu;
	struct x86_vm vm;
	struct batch *b;
	u8 *ram, *window;
	_Atomic u8 *code_map;
	struct vp_state pristine;
	unsigned tables; /* used so far */
	unsigned engine;
	u64 batches;
};

/* ---- the bus ------------------------------------------------------------------------------------------ */

/* The window's pages lie the other way round for the host: who goes on into the next one is found out. */
static u8 *window_page(const struct interpreter *t, u64 at)
{
	return t->window + (WINDOW_SIZE - 4096 - (at & ~0xfffull));
}

static void bus_resolve(void *vp, gpa_t gpa, struct x86_page *ret_page)
{
	struct interpreter *t = vp;
	u8 *host = NULL;

	gpa &= ~0xfffull;
	if (gpa < RAM_SIZE)
		host = t->ram + gpa;
	else if (gpa - CODE_GPA < CODE_SIZE)
		host = t->b->code + (gpa - CODE_GPA);
	else if (gpa - WINDOW_GPA < WINDOW_SIZE)
		host = window_page(t, gpa - WINDOW_GPA) + (gpa & 0xfff);
	else if (gpa == READ_ONLY_GPA)
		host = t->b->read_only;
	*ret_page = (struct x86_page){ .host = host };
	if (!host)
		return;
	ret_page->code = &t->code_map[gpa >> 12];
	ret_page->ram_page = gpa >> 12;
	ret_page->writable = true;
}

static u64 bus_mmio_read(void *vp, gpa_t gpa, unsigned size)
{
	return ~0ull;
}

static void bus_mmio_write(void *vp, gpa_t gpa, unsigned size, u64 value) {}

static u8 bus_tpr_get(void *vp)
{
	return 0;
}

static int bus_interrupt_take(void *vp)
{
	return -1;
}

static const struct x86_bus_ops bus = {
	.resolve = bus_resolve,
	.mmio_read = bus_mmio_read,
	.mmio_write = bus_mmio_write,
	.tpr_get = bus_tpr_get,
	.interrupt_take = bus_interrupt_take,
};

/* ---- making it ----------------------------------------------------------------------------------------- */

static void put64(struct interpreter *t, u64 address, u64 v)
{
	memcpy(t->ram + address, &v, 8);
}

/* Rights of a leaf entry: data is not executable, as in the child. */
static const u64 executable = 5, read_write = 7 | 1ull << 63, read_only = 5 | 1ull << 63;

static void map_page(struct interpreter *t, u64 linear, u64 gpa, u64 rights)
{
	u64 table = TABLES;

	for (int level = 3; level > 0; level--) {
		u64 at = table + 8 * (linear >> (12 + 9 * level) & 511), entry;

		memcpy(&entry, t->ram + at, 8);
		if (!entry) {
			entry = (TABLES + 0x1000 * ++t->tables) | 7;
			put64(t, at, entry);
		}
		table = entry & ~0xfffull;
	}
	put64(t, table + 8 * (linear >> 12 & 511), gpa | rights);
}

static void make_memory(struct interpreter *t)
{
	static const u64 gdt[] = {
		0,
		0,
		0x00af9b000000ffff,
		0x00cf93000000ffff,
		0x00cffb000000ffff,
		0x00cff3000000ffff,
		0x00affb000000ffff,
		0,
	};

	for (u64 a = 0; a < CODE_SIZE; a += 4096)
		map_page(t, CODE_BASE + a, CODE_GPA + a, executable);
	for (u64 a = 0; a < WINDOW_SIZE; a += 4096)
		map_page(t, WINDOW_BASE + a, WINDOW_GPA + a, read_write);
	map_page(t, READ_ONLY_BASE, READ_ONLY_GPA, read_only);
	for (u64 a = 0; a < 0x40000; a += 4096)
		map_page(t, KERNEL + a, a, 3);
	/* The kernel's pages are not the user's: take U away from the top. */
	u64 top;

	memcpy(&top, t->ram + TABLES + 8 * 511, 8);
	put64(t, TABLES + 8 * 511, top & ~4ull);
	memcpy(t->ram + GDT, gdt, sizeof(gdt));
	put64(t, TSS + 4, KERNEL + STACK_TOP);
	t->ram[TSS + 102] = 104; /* no port is allowed */
	for (unsigned n = 0; n < 32; n++) {
		u64 handler = KERNEL + HANDLERS + 16 * n;

		t->ram[HANDLERS + 16 * n] = 0xf4;
		put64(t, IDT + 16 * n,
		      (handler & 0xffff) | 0x10 << 16 |
			      (n == 3 || n == 4 ? 0xee00ull : 0x8e00ull) << 32 |
			      (handler >> 16 & 0xffff) << 48);
		put64(t, IDT + 16 * n + 8, handler >> 32);
	}
}

static void make_state(struct interpreter *t)
{
	struct vp_state *s = &t->pristine;

	vp_state_reset(s, true);
	for (unsigned n = 0; n < SEG_COUNT; n++)
		s->seg[n] = (struct vp_segment){ 0 };
	s->seg[SEG_CS] = (struct vp_segment){ .selector = 0x33,
					      .limit = 0xffffffff,
					      .attr = 0xa0fb };
	s->seg[SEG_SS] = (struct vp_segment){ .selector = 0x2b,
					      .limit = 0xffffffff,
					      .attr = 0xc0f3 };
	s->tr = (struct vp_segment){
		.selector = 0x40, .base = KERNEL + TSS, .limit = 103, .attr = 0x8b
	};
	s->gdtr = (struct vp_table){ .base = KERNEL + GDT, .limit = 63 };
	s->idtr = (struct vp_table){ .base = KERNEL + IDT, .limit = 511 };
	s->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
	s->cr4 = 0x00000620 | BIT(18) |
		 BIT(16); /* PAE OSFXSR OSXMMEXCPT OSXSAVE FSGSBASE */
	s->cr3 = TABLES;
	s->efer = 0xd01; /* NXE LMA LME SCE */
	s->xcr0 = 7;
}

/* A block that never ends, by a bug of ours, is kicked out. */
static struct x86_cpu *watched[ENGINES];

static void on_alarm(int number)
{
	for (unsigned n = 0; n < ENGINES; n++) {
		if (watched[n])
			atomic_fetch_or(&watched[n]->attention, X86_ATTN_KICK);
	}
}

static int translator_start(struct x86_cpu *c)
{
	struct err err;
	int r = x86_jit_new(c, 16 << 20, &err);

	return r < 0 ? r : x86_jit_thread_start(c);
}

static void enter(struct interpreter *t)
{
	if (t->engine == TRANSLATOR)
		x86_jit_run_begin(&t->cpu);
}

u64 interpreter_translations(const struct interpreter *t)
{
	return t->cpu.jit.made;
}

int interpreter_start(struct batch *b, unsigned engine,
		      struct interpreter **ret_interpreter)
{
	struct interpreter *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Translated code has the guest's stack pointer: the handler needs a stack aside. */
	struct sigaction action = { .sa_handler = on_alarm,
				    .sa_flags = SA_RESTART | SA_ONSTACK };
	struct itimerval second = { { 1, 0 }, { 1, 0 } };
	struct err err;

	if (t == MAP_FAILED)
		return -ENOMEM;
	t->b = b;
	t->engine = engine;
	t->ram = aligned_alloc(4096, RAM_SIZE);
	t->window = aligned_alloc(4096, WINDOW_SIZE);
	t->code_map = calloc(1, PAGES);
	if (!t->ram || !t->window || !t->code_map)
		return -ENOMEM;
	memset(t->ram, 0, RAM_SIZE);
	make_memory(t);
	make_state(t);

	struct x86_cpu *c = &t->cpu;
	int r = x86_vm_init(&t->vm, t->code_map, PAGES);

	if (r < 0)
		return r;
	c->bus = &bus;
	c->bus_vp = t;
	c->vm = &t->vm;
	r = x86_mmu_new(c);
	if (r == 0)
		r = x86_cache_new(c);
	if (r == 0)
		r = x86_vector_open(&err);
	if (r == 0 && engine == TRANSLATOR)
		r = translator_start(c);
	if (r < 0)
		return r;
	x86_system_init(c);
	x86_vector_init(c);
	t->vm.cpu[0] = c;
	t->vm.cpu_count = 1;
	watched[engine] = c;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &second, NULL);
	*ret_interpreter = t;
	return 0;
}

void interpreter_stop(struct interpreter *t)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &never, NULL);
	watched[t->engine] = NULL;
	x86_jit_free(&t->cpu);
	x86_cache_free(&t->cpu);
	x86_mmu_free(&t->cpu);
	x86_vm_done(&t->vm);
	free(t->ram);
	free(t->window);
	free((void *)t->code_map);
	munmap(t, sizeof(*t));
}

/* ---- running -------------------------------------------------------------------------------------------- */

static void load(struct interpreter *t, const struct block_state *s)
{
	struct x86_cpu *c = &t->cpu;
	u8 *x;
	u64 bv = 7;

	c->s = t->pristine;
	x = c->s.xsave;
	memcpy(x, &s->fcw, 2);
	memcpy(x + 2, &s->fsw, 2);
	x[4] = s->ftw;
	memcpy(x + 24, &s->mxcsr, 4);
	memcpy(x + 32, s->st, 128);
	memcpy(x + 512, &bv, 8);
	for (unsigned n = 0; n < 16; n++) {
		memcpy(x + 160 + 16 * n, s->ymm[n], 16);
		memcpy(x + 576 + 16 * n, s->ymm[n] + 16, 16);
	}
	memcpy(c->r, s->gpr, sizeof(s->gpr));
	c->r[R_ZERO] = 0;
	c->rip = s->rip;
	x86_set_rflags(c, s->flags);
	c->interrupt_shadow = 0;
	c->link = NULL;
	x86_system_loaded(c);
	for (u64 a = 0; a < WINDOW_SIZE; a += 4096)
		memcpy(window_page(t, a), t->b->window + a, 4096);
}

static void note(struct interpreter *t, struct outcome *o)
{
	struct x86_cpu *c = &t->cpu;
	struct block_state *s = &o->out;
	const u8 *x = c->s.xsave;
	u64 frame[6], at = c->r[R_SP] - KERNEL;

	memset(s, 0, sizeof(*s));
	memcpy(s->gpr, c->r, sizeof(s->gpr));
	memcpy(&s->fcw, x, 2);
	memcpy(&s->fsw, x + 2, 2);
	s->ftw = x[4];
	memcpy(&s->fop, x + 6, 2);
	memcpy(&s->fip, x + 8, 8);
	memcpy(&s->fdp, x + 16, 8);
	memcpy(&s->mxcsr, x + 24, 4);
	memcpy(s->st, x + 32, 128);
	for (unsigned n = 0; n < 16; n++) {
		memcpy(s->ymm[n], x + 160 + 16 * n, 16);
		memcpy(s->ymm[n] + 16, x + 576 + 16 * n, 16);
	}
	for (u64 a = 0; a < WINDOW_SIZE; a += 4096)
		memcpy(o->window + a, window_page(t, a), 4096);
	o->vector = (int)((c->rip - KERNEL - HANDLERS) / 16);
	if (c->rip - KERNEL - HANDLERS >= 512 || at > RAM_SIZE - sizeof(frame)) {
		o->vector = OURS_ENDED;
		return;
	}
	memcpy(frame, t->ram + at, sizeof(frame));
	bool code = at == STACK_TOP - 48;

	o->error_code = code ? (u32)frame[0] : 0;
	s->rip = frame[code];
	s->flags = frame[code + 2];
	s->gpr[R_SP] = frame[code + 3];
	o->address = c->s.cr2;
}

void interpreter_run(struct interpreter *t)
{
	if (t->engine == TRANSLATOR) {
		x86_jit_threshold = (u32)(t->batches % 4);
		/* Another one might mark code at any time: what is stored is looked after each time. */
		t->vm.cpu_count = 1 + (unsigned)(t->batches / 8 % 2);
		/* Every loop borrows registers, or none. */
		x86_jit_patience.steady = t->batches++ / 4 % 2 ? UINT64_MAX : 0;
	}
	x86_cache_flush(&t->cpu);
	for (unsigned k = 0; k < t->b->count; k++) {
		struct outcome *o = &t->b->ours[t->engine][k];
		enum x86_exit e;

		load(t, &t->b->blocks[k].in);
		x86_vector_enter(&t->cpu);
		enter(t);
		/* The alarm kicks at any time: only one that comes twice in a block means anything. */
		for (int kicks = 0;
		     (e = x86_run(&t->cpu)) == X86_EXIT_KICKED && kicks < 3;)
			kicks++;
		x86_vector_leave(&t->cpu);
		note(t, o);
		if (e != X86_EXIT_HALTED)
			o->vector = e == X86_EXIT_KICKED ? OURS_KICKED : OURS_ENDED;
	}
}
