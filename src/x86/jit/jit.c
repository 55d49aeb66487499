/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translated code at work: its memory, the way in, the ways out, and how it dies. See jit.h.
 * Thread: the VP's, but x86_jit_new and x86_jit_free.
 */
#include "x86/jit/jit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/reserve.h"
#include "x86/cache.h"
#include "x86/jit/code.h"
#include "x86/mmu.h"

#define HWCAP2_FSGSBASE_BIT 2u
#define SIGNAL_STACK_SIZE (64u << 10)
#define OVERREACHES 16
#define CREDIT 4096 /* look-ups of a kind before the clock is read */

u32 x86_jit_threshold = 40;
/* A pointer chase over 16 pages takes about 40 for a step. To miss costs some hundred. */
struct x86_jit_patience x86_jit_patience = {
	.sticky = 60, .steady = 2000, .large = 1000, .overreach = 20000
};

/* Whose translated code this thread runs: for signals. */
static __thread struct x86_cpu *running;

static void routines_write(struct x86_cpu *c);
static void on_signal(int number, siginfo_t *info, void *context);

/* ---- life -------------------------------------------------------------------------------------- */

static bool host_can(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT &&
	       __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

/* Written through one mapping, executed through another: never both in one. */
static int map_twice(struct x86_cpu *c, struct err *err)
{
	struct x86_jit *j = c->jit.own;
	AUTO_CLOSE int fd =
		memfd_create("tabique-translations", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)j->size) < 0)
		return err_set(err, -errno, "memory for translated code: %s",
			       err_words(-errno));
	j->write_view = mmap(NULL, j->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (j->write_view == MAP_FAILED) {
		j->write_view = NULL;
		return err_set(err, -errno, "map memory for translated code: %s",
			       err_words(-errno));
	}
	/* Not F_SEAL_FUTURE_WRITE, which would keep us from giving pages back. Nobody else has the file. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		return err_set(err, -errno, "seal the memory for translated code: %s",
			       err_words(-errno));

	void *run = mmap(NULL, j->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);

	if (run == MAP_FAILED || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) < 0)
		return err_set(err, -errno, "map translated code to run it: %s",
			       err_words(-errno));
	j->run_view = run;
	c->jit.run_view = (u64)(uintptr_t)run;
	c->jit.sites = j->sites;
	return 0;
}

int x86_jit_new(struct x86_cpu *c, size_t size, struct err *err)
{
	struct x86_jit *j;
	int r;

	if (!host_can())
		return 0;
	j = memory_reserve(sizeof(*j));
	if (!j)
		return err_set(err, -ENOMEM, "no memory for the translator");
	c->jit.own = j;
	j->size = (size + 4095) & ~(size_t)4095;
	j->regions = memory_reserve(JIT_REGIONS_MAX * sizeof(*j->regions));
	j->sites = memory_reserve(JIT_SITES_MAX * sizeof(*j->sites));
	r = j->regions && j->sites
		    ? map_twice(c, err)
		    : err_set(err, -ENOMEM, "no memory for the translator's tables");
	if (r < 0) {
		x86_jit_free(c);
		return r;
	}
	routines_write(c);
	return 0;
}

void x86_jit_free(struct x86_cpu *c)
{
	struct x86_jit *j = c->jit.own;

	if (!j)
		return;
	memory_release(j->write_view, j->size);
	memory_release((void *)(uintptr_t)j->run_view, j->size);
	memory_release(j->regions, JIT_REGIONS_MAX * sizeof(*j->regions));
	memory_release(j->sites, JIT_SITES_MAX * sizeof(*j->sites));
	memory_release(j, sizeof(*j));
	c->jit.own = NULL;
}

int x86_jit_thread_start(struct x86_cpu *c)
{
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_size = SIGNAL_STACK_SIZE };

	if (!c->jit.own)
		return 0;
	/* The thread's own until it ends. */
	stack.ss_sp = memory_reserve(SIGNAL_STACK_SIZE);
	if (!stack.ss_sp || sigaltstack(&stack, NULL) < 0)
		return -ENOMEM;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGSEGV, &action, NULL) < 0 || sigaction(SIGBUS, &action, NULL) < 0)
		return -errno;
	c->jit.ready = true;
	return 0;
}

void x86_jit_run_begin(struct x86_cpu *c)
{
	if (!c->jit.ready)
		return;
	running = c;
	__asm__ volatile("wrgsbase %0" : : "r"(c));
}

void x86_jit_give_back(struct x86_cpu *c)
{
	struct x86_jit *j = c->jit.own;

	if (!j || j->region_count == 1)
		return;
	/* The code of our routines goes too, and is written again by the flush. */
	madvise(j->write_view, j->size, MADV_REMOVE);
	madvise(j->sites, JIT_SITES_MAX * sizeof(*j->sites), MADV_DONTNEED);
	madvise(j->regions, JIT_REGIONS_MAX * sizeof(*j->regions), MADV_DONTNEED);
	x86_cache_give_back(c);
	c->jit.given_back++;
}

void x86_jit_flush(struct x86_cpu *c)
{
	if (c->jit.own)
		routines_write(c);
}

/* ---- routines ---------------------------------------------------------------------------------- */

static struct jit_code routine_begin(struct x86_jit *j)
{
	return (struct jit_code){ .start = j->staging,
				  .at = j->staging,
				  .end = j->staging + sizeof(j->staging),
				  .origin = (u64)(uintptr_t)j->run_view + j->used };
}

static u32 routine_end(struct x86_jit *j, struct jit_code *k)
{
	const u32 at = (u32)j->used;

	memcpy(j->write_view + at, k->start, jit_offset(k));
	j->used = (j->used + jit_offset(k) + 15) & ~(size_t)15;
	return at;
}

static const u8 saved_by_callee[] = { JIT_BX, JIT_BP, 12, 13, 14, 15 };

/* void enter(struct x86_cpu *c, const void *target): flags are in their slot, R10 and R11 theirs. */
static void write_enter(struct x86_jit *j)
{
	struct jit_code k = routine_begin(j);
	const struct jit_mem host_sp = JIT_FIELD(jit.host_sp);

	for (unsigned n = 0; n < ARRAY_COUNT(saved_by_callee); n++) {
		if (saved_by_callee[n] & 8)
			jit_u8(&k, 0x41);
		jit_u8(&k, 0x50 | (saved_by_callee[n] & 7));
	}
	jit_store(&k, &host_sp, JIT_SP);
	jit_move(&k, 11, JIT_SI);
	for (unsigned n = 0; n < 16; n++) {
		const struct jit_mem m = JIT_FIELD(r[n]);

		if (n != 10 && n != 11)
			jit_load(&k, n, &m);
	}
	jit_op_reg(&k, 0xff, false, 4, 11);
	j->enter = routine_end(j, &k);
}

/* A VEX instruction of two bytes of prefix, XMM or YMM n and a field of the processor. */
static void vector_op(struct jit_code *k, unsigned vex, unsigned opcode, unsigned n,
		      size_t field)
{
	jit_u8(k, 0x65);
	jit_u8(k, 0xc5);
	jit_u8(k, (n < 8 ? 0x80u : 0) | vex);
	jit_u8(k, opcode);
	jit_u8(k, 0x04 | (n & 7) << 3);
	jit_u8(k, 0x25);
	jit_u32(k, (u32)field);
}

#define VMOVUPS_LOAD 0x10
#define VMOVUPS_STORE 0x11
#define VMOVUPS_YMM 0x7c
#define VMOVUPS_XMM 0x78

/* All sixteen registers. */
static void vector_moves(struct jit_code *k, unsigned vex, unsigned opcode)
{
	for (unsigned n = 0; n < 16; n++)
		vector_op(k, vex, opcode, n, offsetof(struct x86_cpu, v[n]));
}

/* The jump that is taken if no upper half of a YMM register has a bit set. Takes XMM0. */
static u32 uppers_are_zero(struct jit_code *k)
{
	static const u8 vptest[] = { 0xc4, 0xe2, 0x79, 0x17, 0xc0 };
	const unsigned vmovups = VMOVUPS_XMM, vpor = 0x79;

	vector_op(k, vmovups, VMOVUPS_LOAD, 0, offsetof(struct x86_cpu, v[0][16]));
	for (unsigned n = 1; n < 16; n++)
		vector_op(k, vpor, 0xeb, 0, offsetof(struct x86_cpu, v[n][16]));
	jit_bytes(k, vptest, sizeof(vptest));
	return jit_jump_forward(k, 4);
}

/* LDMXCSR 2, STMXCSR 3 */
static void mxcsr_move(struct jit_code *k, unsigned ext, const struct jit_mem *m)
{
	jit_op_mem(k, 0x0fae, false, ext, m);
}

static void store_imm8(struct jit_code *k, const struct jit_mem *m, unsigned v)
{
	jit_op_mem(k, 0xc6, false, 0, m);
	jit_u8(k, v);
}

/*
 * Flags are in their slot or dead; back to jit.ret.
 *
 * Upper halves that are zero are not loaded: the host does not look at what it loads, and takes them for
 * something that instructions without VEX, which leave them as they are, have to carry along. Each of these
 * then waits for what its destination was before (Zen 4: nbody 2.5 times slower).
 */
static void write_load_vectors(struct x86_jit *j)
{
	struct jit_code k = routine_begin(j);
	const struct jit_mem live = JIT_FIELD(jit.vector_live);
	const struct jit_mem swap = JIT_FIELD(mxcsr_swap);
	const struct jit_mem mxcsr = JIT_FIELD(mxcsr);
	const struct jit_mem ret = JIT_FIELD(jit.ret);

	store_imm8(&k, &live, 1);
	const u32 narrow = uppers_are_zero(&k);

	vector_moves(&k, VMOVUPS_YMM, VMOVUPS_LOAD);
	const u32 loaded = jit_jump_forward(&k, JIT_ALWAYS);

	jit_land(&k, narrow);
	vector_moves(&k, VMOVUPS_XMM, VMOVUPS_LOAD);
	jit_land(&k, loaded);
	jit_test_mem8(&k, &swap);
	const u32 over = jit_jump_forward(&k, 4);

	mxcsr_move(&k, 2, &mxcsr);
	jit_land(&k, over);
	jit_jump_mem(&k, &ret);
	j->load_vectors = routine_end(j, &k);
}

/* The second half of leaving: vectors, our stack, our registers. */
static void write_leave_tail(struct x86_jit *j)
{
	static const u8 vzeroupper[] = { 0xc5, 0xf8, 0x77 };
	struct jit_code k = routine_begin(j);
	const struct jit_mem live = JIT_FIELD(jit.vector_live);
	const struct jit_mem swap = JIT_FIELD(mxcsr_swap);
	const struct jit_mem mxcsr = JIT_FIELD(mxcsr);
	const struct jit_mem host_mxcsr = JIT_FIELD(host_mxcsr);
	const struct jit_mem host_sp = JIT_FIELD(jit.host_sp);

	jit_test_mem8(&k, &live);
	const u32 none = jit_jump_forward(&k, 4);

	store_imm8(&k, &live, 0);
	vector_moves(&k, VMOVUPS_YMM, VMOVUPS_STORE);
	jit_bytes(&k, vzeroupper, sizeof(vzeroupper));
	jit_test_mem8(&k, &swap);
	const u32 usual = jit_jump_forward(&k, 4);

	mxcsr_move(&k, 3, &mxcsr);
	mxcsr_move(&k, 2, &host_mxcsr);
	jit_land(&k, usual);
	jit_land(&k, none);
	jit_load(&k, JIT_SP, &host_sp);
	for (unsigned n = ARRAY_COUNT(saved_by_callee); n-- > 0;) {
		if (saved_by_callee[n] & 8)
			jit_u8(&k, 0x41);
		jit_u8(&k, 0x58 | (saved_by_callee[n] & 7));
	}
	jit_u8(&k, 0xc3);
	j->leave_tail = routine_end(j, &k);
}

u64 jit_leave_routine(struct x86_cpu *c, unsigned t0, unsigned t1, bool flags_in_host)
{
	struct x86_jit *j = c->jit.own;
	const unsigned a = t0 < t1 ? t0 : t1, b = t0 < t1 ? t1 : t0;
	u32 *at = &j->leave[a][b][flags_in_host];

	if (!*at) {
		struct jit_code k = routine_begin(j);

		for (unsigned n = 0; n < 16; n++) {
			const struct jit_mem m = JIT_FIELD(r[n]);

			if (n != a && n != b)
				jit_store(&k, &m, n);
		}
		if (flags_in_host) {
			jit_flags_to_slot(&k);
		}
		jit_jump(&k, JIT_ALWAYS, (u64)(uintptr_t)j->run_view + j->leave_tail);
		*at = routine_end(j, &k);
	}
	return (u64)(uintptr_t)j->run_view + *at;
}

static struct jit_mem entry_field(unsigned base, size_t table, size_t member)
{
	return (struct jit_mem){ .base = (u8)base,
				 .index = JIT_NONE,
				 .gs = true,
				 .disp = (s32)(table + member) };
}

void jit_large_offset(struct jit_code *k, unsigned reg)
{
	_Static_assert(sizeof(struct x86_tlb_large) == 64, "the shift below");
	_Static_assert(X86_TLB_LARGE_COUNT << 6 == 1 << X86_TLB_LARGE_PART_BITS, "same");
	jit_shift(k, 5, false, reg, 21 - 6);
	jit_alu_imm(k, 4, false, reg, (X86_TLB_LARGE_COUNT - 1) << 6);
}

/* T0: the tag that is wanted, T1: the entry where it is not; both as gen_tlb_compare_last() has them. */
u64 jit_large_routine(struct x86_cpu *c, unsigned t0, unsigned t1, bool write)
{
	struct x86_jit *j = c->jit.own;
	u32 *at = &j->large[t0][t1][write];

	if (*at)
		return (u64)(uintptr_t)j->run_view + *at;

	const u64 leave = jit_leave_routine(c, t0, t1, false);
	struct jit_code k = routine_begin(j);
	const size_t small = offsetof(struct x86_cpu, tlb);
	const size_t large = offsetof(struct x86_cpu, large);
	const size_t read_tag = offsetof(struct x86_tlb_large, read_tag);
	const size_t write_tag = offsetof(struct x86_tlb_large, write_tag);
	const struct jit_mem base = JIT_FIELD(tlb_base), site = JIT_FIELD(jit.site);
	const struct jit_mem sites = JIT_FIELD(jit.sites), view = JIT_FIELD(jit.run_view);
	const struct jit_mem tag = JIT_FIELD(jit.fill[0]), entry = JIT_FIELD(jit.fill[1]);
	const struct jit_mem host = JIT_FIELD(jit.fill[2]), byte = JIT_FIELD(jit.fill[3]);
	const struct jit_mem credit = JIT_FIELD(jit.large_credit);
	struct jit_mem m;

	/* First and last byte in different pages: nothing for us. */
	jit_store(&k, &tag, t0);
	jit_store(&k, &entry, t1);
	jit_shift(&k, 5, true, t0, 7);
	jit_op_reg(&k, 0x33, false, t0, t1);
	jit_alu_imm(&k, 4, false, t0, (X86_TLB_COUNT - 1) << 5);
	jit_jump(&k, 5, leave);

	/* T1: the large entry, of the same part */
	jit_load(&k, t0, &tag);
	jit_large_offset(&k, t0);
	jit_op_mem(&k, 0x8b, false, t1, &base);
	jit_shift(&k, 5, false, t1, X86_TLB_PART_BITS - X86_TLB_LARGE_PART_BITS);
	jit_op_reg(&k, 0x03, false, t1, t0);
	jit_load(&k, t0, &tag);
	jit_alu_imm(&k, 4, true, t0, (s32) ~(X86_LARGE_SIZE - 4096));
	m = entry_field(t1, large, write ? write_tag : read_tag);
	jit_op_mem(&k, 0x3b, true, t0, &m);
	jit_jump(&k, 5, leave);
	jit_decrement(&k, &credit);
	jit_jump(&k, 8, leave);

	m = entry_field(t1, large, offsetof(struct x86_tlb_large, addend));
	jit_load(&k, t0, &m);
	jit_store(&k, &host, t0);
	jit_load(&k, t0, &tag);
	jit_shift(&k, 5, true, t0, 12);
	jit_alu_imm(&k, 4, false, t0, 511);
	m = entry_field(t1, large, offsetof(struct x86_tlb_large, code));
	jit_op_mem(&k, 0x03, true, t0, &m);
	jit_store(&k, &byte, t0);
	/* The right to write is that of the large page. */
	m = entry_field(t1, large, write_tag);
	jit_load(&k, t0, &m);
	m = entry_field(t1, large, read_tag);
	jit_op_mem(&k, 0x3b, true, t0, &m);
	jit_op_mem(&k, 0x0f44, true, t0, &tag); /* CMOVE; another tag never hits */

	/* T1: the entry to fill, in its part */
	jit_load(&k, t1, &tag);
	jit_shift(&k, 5, false, t1, 7);
	jit_alu_imm(&k, 4, false, t1, (X86_TLB_COUNT - 1) << 5);
	jit_op_mem(&k, 0x03, false, t1, &base);
	m = entry_field(t1, small, offsetof(struct x86_tlb_entry, write_tag));
	jit_store(&k, &m, t0);
	jit_load(&k, t0, &tag);
	m = entry_field(t1, small, offsetof(struct x86_tlb_entry, read_tag));
	jit_store(&k, &m, t0);
	jit_load(&k, t0, &byte);
	m = entry_field(t1, small, offsetof(struct x86_tlb_entry, code));
	jit_store(&k, &m, t0);
	jit_load(&k, t0, &host);
	m = entry_field(t1, small, offsetof(struct x86_tlb_entry, addend));
	jit_store(&k, &m, t0);

	/* Back to where the look-up hits. */
	jit_load(&k, t1, &entry);
	jit_op_mem(&k, 0x8b, false, t0, &site);
	jit_op_reg(&k, 0x69, true, t0, t0);
	jit_u32(&k, sizeof(struct jit_site));
	jit_op_mem(&k, 0x03, true, t0, &sites);
	m = (struct jit_mem){ .base = (u8)t0,
			      .index = JIT_NONE,
			      .disp = offsetof(struct jit_site, patch) };
	jit_op_mem(&k, 0x8b, false, t0, &m);
	jit_op_mem(&k, 0x03, true, t0, &view);
	jit_op_reg(&k, 0xff, false, 4, t0);
	*at = routine_end(j, &k);
	return (u64)(uintptr_t)j->run_view + *at;
}

/* For the table of jumps: this block has no translation. The target is in jit.target. */
static void write_to_interpreter(struct x86_cpu *c)
{
	struct x86_jit *j = c->jit.own;
	const u64 leave = jit_leave_routine(c, 10, 11, false);
	struct jit_code k = routine_begin(j);
	const struct jit_mem m = JIT_FIELD(jit.site);

	jit_store_imm32(&k, &m, 0, false);
	jit_jump(&k, JIT_ALWAYS, leave);
	j->to_interpreter = routine_end(j, &k);
	c->jit.no_code = (u64)(uintptr_t)j->run_view + j->to_interpreter;
}

static void give_credit(struct x86_cpu *c)
{
	c->jit.sticky_credit = c->jit.large_credit = c->jit.steady_credit = CREDIT;
	c->jit.credit_since = __builtin_ia32_rdtsc();
}

static void routines_write(struct x86_cpu *c)
{
	struct x86_jit *j = c->jit.own;

	j->used = 0;
	j->region_count = 1;
	j->sticky_used = 0;
	j->site_count = 1; /* [0]: a jump whose target is in jit.target */
	j->sites[0] = (struct jit_site){ .kind = JIT_SITE_LOOKUP, .stack = JIT_NO_REDO };
	j->full = false;
	memset(j->leave, 0, sizeof(j->leave));
	memset(j->large, 0, sizeof(j->large));
	c->jit.link = 0;
	give_credit(c);
	write_enter(j);
	write_load_vectors(j);
	write_leave_tail(j);
	jit_leave_routine(c, 10, 11, false);
	jit_leave_routine(c, 10, 11, true);
	write_to_interpreter(c);
}

/* ---- making ------------------------------------------------------------------------------------ */

u32 jit_site_new(struct x86_cpu *c, const struct jit_site *site)
{
	struct x86_jit *j = c->jit.own;

	if (j->site_count == JIT_SITES_MAX) {
		j->full = true;
		return 0;
	}
	j->sites[j->site_count] = *site;
	return j->site_count++;
}

static bool nearly_full(const struct x86_jit *j)
{
	return j->full || j->used + sizeof(j->staging) > j->size ||
	       j->site_count + 4096 > JIT_SITES_MAX ||
	       j->sticky_used + JIT_STICKY_MAX > X86_JIT_STICKY_COUNT ||
	       j->region_count + 1 == JIT_REGIONS_MAX;
}

static void make_region(struct x86_cpu *c, struct x86_block *b)
{
	struct x86_jit *j = c->jit.own;

	b->steady |= x86_jit_patience.steady == UINT64_MAX;
	if (!jit_plan_make(c, b, &j->plan))
		return;
	struct jit_region *r = jit_translate(c, &j->plan);

	if (!r)
		return;
	r->head_fn = b->insn[0].fn;
	b->insn[0].fn = x86_jit_enter;
	b->region = (u32)(r - j->regions);
	c->jit.made++;
}

void x86_jit_hot(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_block *b = c->block;
	struct x86_jit *j = c->jit.own;

	if (j && c->jit.ready && !b->region && !b->once && !b->dead) {
		if (nearly_full(j)) {
			const u64 rip = c->r[R_BLOCK];

			x86_cache_flush(c);
			X86_LEAVE(c, i, rip);
		}
		make_region(c, b);
	}
	const struct x86_insn *first = b->insn;

	X86_RUN(c, first);
}

const struct x86_insn x86_hot_record = { .fn = x86_jit_hot };

static void patch_jump(struct x86_jit *j, u32 at, u32 target)
{
	const u32 distance = target - (at + 4);

	memcpy(j->write_view + at, &distance, 4);
}

static void entry_to(struct x86_jit *j, u32 at, u32 target)
{
	j->write_view[at] = 0xe9;
	patch_jump(j, at + 1, target);
}

static void entries_to(struct x86_jit *j, const struct jit_entries *from,
		       const struct jit_entries *to)
{
	entry_to(j, from->host, to->host);
	if (from->slot != from->host)
		entry_to(j, from->slot, to->slot);
}

void x86_jit_block_killed(struct x86_cpu *c, struct x86_block *b)
{
	struct x86_jit *j = c->jit.own;
	struct jit_region *r = &j->regions[b->region];

	r->dead = true;
	entries_to(j, &r->entry, &r->stub);
	entries_to(j, &r->forward, &r->stub);
	entry_to(j, r->inner, r->inner_stub);
	b->region = 0;
}

/* ---- running ----------------------------------------------------------------------------------- */

static u64 run_address(const struct x86_jit *j, u32 at)
{
	return (u64)(uintptr_t)j->run_view + at;
}

/*
 * Code between a jump of a region whose scratch pair is not the usual one and another region: straight from the one
 * pair to the other, if the flags are where that region has them; forward: without a look at c->attention. Else
 * by the entry `target`.
 */
static u32 bridge(struct x86_cpu *c, const struct jit_site *s,
		  const struct jit_region *from, const struct jit_region *to,
		  bool forward, u32 target)
{
	struct x86_jit *j = c->jit.own;
	struct jit_code k = routine_begin(j);
	const struct jit_mem attention = JIT_FIELD(attention);
	const bool straight =
		!to->flags ||
		(forward && to->flags == (s->flags_in_host ? IN_HOST : IN_SLOT));

	if (straight && !forward) {
		jit_test_mem32(&k, &attention);
		jit_jump(&k, 5, run_address(j, s->patch + 4));
	}
	jit_change_pair(&k, from->pair, straight ? to->pair : jit_usual_pair);
	jit_jump(&k, JIT_ALWAYS, run_address(j, straight ? to->inner : target));
	return routine_end(j, &k);
}

/*
 * The jump that led here may come directly from now on, if both lie in the same page. Every circle of
 * such jumps has one that does not lead behind the head of its region: that one looks at c->attention.
 */
static void link_jump(struct x86_cpu *c, const struct jit_region *to)
{
	struct x86_jit *j = c->jit.own;
	const struct jit_site *s = &j->sites[c->jit.link];
	const struct jit_region *from = &j->regions[s->region];

	c->jit.link = 0;
	if (from->dead || from->head->mode != to->head->mode || nearly_full(j) ||
	    (from->head->gpa ^ to->head->gpa) >> 12 ||
	    (to->head->gpa & 0xfff) != (u64)s->rip)
		return;
	const struct jit_entries *e = to->head->gpa > from->head->gpa ? &to->forward
								      : &to->entry;
	const u32 target = s->flags_in_host ? e->host : e->slot;

	if (jit_pair_is_usual(from->pair))
		patch_jump(j, s->patch, target);
	else
		patch_jump(j, s->patch,
			   bridge(c, s, from, to, e == &to->forward, target));
}

static void resume_at(struct x86_cpu *c, struct x86_block *b, unsigned record)
{
	c->block = b;
	c->r[R_BLOCK] = c->jit.rip_page + (b->gpa & 0xfff);
	if (record == 0 && b->insn[0].fn == x86_jit_enter)
		c->jit.skip = true;
	c->instructions += b->count - record;
	c->next = &b->insn[record];
}

/* A store met a page of code: `jit.t1` points to its byte in the code map. */
static void handle_written(struct x86_cpu *c, const struct jit_site *s)
{
	const _Atomic u8 *code = (const _Atomic u8 *)(uintptr_t)c->jit.t1;

	if (x86_is_any_code(c->vm, code)) {
		x86_large_written(c, code);
	} else if (s->size) {
		const gva_t base = s->reg == JIT_NONE	 ? 0
				   : s->reg == JIT_IN_T0 ? c->jit.t0
							 : c->r[s->reg];
		const gva_t a = base + (u64)(s64)s->disp;

		x86_code_hit(c, code, (unsigned)a & 0xfff, s->size);
	} else {
		x86_code_hit(c, code, 0, 4096);
	}
}

static void leave_to(struct x86_cpu *c, u64 rip)
{
	c->rip = rip;
	c->next = NULL;
}

/* An indirect branch that goes nowhere: as if it had not begun, then by the interpreter. */
static void redo_branch(struct x86_cpu *c, const struct jit_site *s)
{
	c->r[JIT_SP] -= (u64)(s64)s->stack;
	resume_at(c, s->block, s->record);
}

/* The look-up that missed was for more than the access, and that may have been why. */
static bool overreached(const struct x86_cpu *c, const struct jit_site *s)
{
	if (!s->size)
		return false;

	const gva_t a = c->r[s->reg] + (u64)(s64)s->disp;
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	return (a ^ (a + s->size - 1)) >> 12 ||
	       (s->ahead && e->read_tag == x86_tlb_tag(c, a, s->size));
}

/*
 * Translate the region that the block heads anew, in the shape that the block now has. Jumps that were linked to
 * the old one go to the new one: they would leave at each turn.
 */
static void make_anew(struct x86_cpu *c, const struct jit_region *old)
{
	struct x86_jit *j = c->jit.own;
	struct x86_block *b = old->head;
	const x86_fn head_fn = old->head_fn;

	x86_jit_block_killed(c, b);
	b->insn[0].fn = head_fn;
	b->heat = 1;
	if (nearly_full(j))
		return;
	make_region(c, b);

	const struct jit_region *new = &j->regions[b->region];

	/* An entry that took flags in either place cannot stand for one that wants them in a certain one. */
	if (!b->region || (!old->flags && new->flags))
		return;
	entries_to(j, &old->entry, &new->entry);
	entries_to(j, &old->forward, &new->forward);
	entries_to(j, &old->stub, &new->entry);
}

/*
 * A kind of look-up was done CREDIT times. If the region in which the credit ran out did little else
 * meanwhile, it gets another shape: region.h.
 */
static void note_credit(struct x86_cpu *c, const struct jit_region *r,
			const struct jit_site *s)
{
	const bool sticky = c->jit.sticky_credit < 0, steady = c->jit.steady_credit < 0;
	const u64 cycles = __builtin_ia32_rdtsc() - c->jit.credit_since;
	const u64 patience = sticky   ? x86_jit_patience.sticky
			     : steady ? x86_jit_patience.steady
				      : x86_jit_patience.large;
	struct x86_block *b = r->head;

	give_credit(c);
	if (r->dead || cycles / CREDIT > patience)
		return;
	if (sticky)
		b->restless |= (u16)BIT(s->place);
	else if (steady)
		b->steady = 1;
	else if (!b->wide && b->mode & X86_MODE_USER)
		b->wide = 1;
	else
		return;
	make_anew(c, r);
}

/*
 * The look-up covered several accesses and crossed a page, which perhaps none of them does, or wanted
 * to write to a page that nobody has written to yet. Where that comes again and again (a frame of the
 * stack across two pages; what is only read after all), the region is better made anew without covering.
 */
static void note_overreach(struct x86_cpu *c, struct jit_region *r)
{
	const u64 now = __builtin_ia32_rdtsc();

	if (r->dead || r->head->narrow)
		return;
	if (r->overreached++ == 0)
		r->overreached_since = now;
	if (r->overreached < OVERREACHES)
		return;
	r->overreached = 0;
	if ((now - r->overreached_since) / OVERREACHES > x86_jit_patience.overreach)
		return;
	r->head->narrow = 1;
	make_anew(c, r);
}

static NOINLINE void enter_region(struct x86_cpu *c)
{
	struct x86_jit *j = c->jit.own;
	struct jit_region *r = &j->regions[c->block->region];
	const u64 rip = c->r[R_BLOCK];
	struct x86_jump_entry *e = x86_jump_at(c, rip);

	if (c->jit.link)
		link_jump(c, r);
	if (e->rip == rip && e->key == x86_jump_key(c, rip))
		e->code = run_address(j, r->entry.slot);
	c->link = NULL;
	c->jit.rip_page = rip & ~0xfffull;
	((void (*)(struct x86_cpu *, u64))(uintptr_t)run_address(j, j->enter))(
		c, run_address(j, r->entry.slot));

	const struct jit_site *s = &j->sites[c->jit.site];

	/* Often another region than was entered. */
	r = &j->regions[s->region];
	switch ((enum jit_site_kind)s->kind) {
	case JIT_SITE_RECORD:
		if ((c->jit.sticky_credit | c->jit.large_credit | c->jit.steady_credit) <
		    0)
			note_credit(c, r, s);
		else if (overreached(c, s))
			note_overreach(c, r);
		resume_at(c, s->block, s->record);
		break;
	case JIT_SITE_FAULT:
		resume_at(c, s->block, s->record);
		break;
	case JIT_SITE_JUMP:
		c->jit.link = s->patch ? c->jit.site : 0;
		leave_to(c, c->jit.rip_page + (u64)(s64)s->rip);
		break;
	case JIT_SITE_LOOKUP:
		if (s->stack != JIT_NO_REDO && !x86_is_canonical(c->jit.target))
			redo_branch(c, s);
		else
			leave_to(c, c->jit.target);
		break;
	case JIT_SITE_WRITTEN: {
		const u64 next = s->rip < 0 ? c->jit.target
					    : c->jit.rip_page + (u64)(s64)s->rip;

		handle_written(c, s);
		leave_to(c, next);
		break;
	}
	}
}

static NOINLINE void enter_original(struct x86_cpu *c, const struct x86_insn *i)
{
	c->jit.skip = false;
	c->jit.own->regions[c->block->region].head_fn(c, i);
}

void x86_jit_enter(struct x86_cpu *c, const struct x86_insn *i)
{
	if (UNLIKELY(c->jit.skip))
		enter_original(c, i);
	else
		enter_region(c);
}

/* ---- exceptions of the host in translated code ------------------------------------------------- */

static const struct jit_site *fault_site(const struct x86_jit *j, u32 at)
{
	u32 low = 1, high = j->region_count;

	while (high - low > 1) {
		const u32 middle = low + (high - low) / 2;

		if (j->regions[middle].start <= at)
			low = middle;
		else
			high = middle;
	}
	const struct jit_region *r = &j->regions[low];

	if (low >= j->region_count)
		return NULL;
	for (u32 n = r->first_site; n < r->first_site + r->site_count; n++)
		if (j->sites[n].kind == JIT_SITE_FAULT && j->sites[n].patch == at)
			return &j->sites[n];
	return NULL;
}

static const u8 host_register[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX,
				      REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				      REG_R8,  REG_R9,	REG_R10, REG_R11,
				      REG_R12, REG_R13, REG_R14, REG_R15 };

/*
 * Only instructions of the guest that were copied can raise something here, and each of them has a
 * site: the interpreter does it again and raises the guest's exception.
 */
bool x86_jit_signal(void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct x86_cpu *c = running;

	if (!c || !c->jit.own)
		return false;
	struct x86_jit *j = c->jit.own;
	const u64 at = (u64)g[REG_RIP] - (u64)(uintptr_t)j->run_view;

	if (at >= j->used)
		return false;
	const struct jit_site *s = fault_site(j, (u32)at);

	if (!s)
		return false;
	c->jit.site = (u32)(s - j->sites);
	for (unsigned n = 0; n < 16; n++)
		if (s->borrowed >> n & 1)
			g[host_register[n]] = (greg_t)c->r[n];
	/* Written when the region was: this does not allocate. */
	g[REG_RIP] = (greg_t)jit_leave_routine(c, s->t0, s->t1, s->flags_in_host);
	return true;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	if (x86_jit_signal(context))
		return;
	signal(number, SIG_DFL);
	raise(number);
}
