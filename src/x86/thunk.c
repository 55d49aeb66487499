/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code memory for native thunks, the writer of the routines, and the SIGFPE handler that turns
 * the host's arithmetic exceptions inside of them into the guest's. See thunk.h and vector.h; the
 * rule of two mappings is in ARCHITECTURE.md.
 *
 * Thread: any for thunk_make (a lock); the handler runs on the VP's.
 */
#include "x86/thunk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "x86/jit/jit.h"
#include "x86/vector.h"

/*
 * Pages are allocated when they are written: a boot needs few hundred kilobytes. There can be about
 * 250,000 standard thunks (an immediate byte makes 256 of an instruction), 28 MiB.
 */
#define ARENA_SIZE (64u << 20)
#define ARENA_PARTICULAR (8u << 20)
#define TABLE_SIZE (1u << 20)
#define THUNK_MAX 512
#define SEAL_FUTURE_WRITE 0x0010 /* F_SEAL_FUTURE_WRITE, Linux 5.1 */

struct table_entry {
	u32 hash; /* 0 = free */
	u32 offset;
	u32 size;
};

static struct {
	pthread_mutex_t lock;
	u8 *write_view;
	const u8 *run_view;
	size_t used, particular;
	struct table_entry *table;
	u32 count;
} arena = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct writer {
	u8 bytes[THUNK_MAX];
	unsigned size;
};

static void install_handler(void);

/* Both views, or neither. */
static int map_views(int fd, void **ret_write, void **ret_run)
{
	if (fd < 0 || ftruncate(fd, ARENA_SIZE) < 0)
		return -errno;
	void *w = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (w == MAP_FAILED)
		return -errno;
	/* Without FUTURE_WRITE (an old kernel) the two views still are what they are. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | SEAL_FUTURE_WRITE) < 0)
		fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK);
	void *x = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);

	if (x == MAP_FAILED || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) < 0) {
		int r = -errno;

		if (x != MAP_FAILED)
			munmap(x, ARENA_SIZE);
		munmap(w, ARENA_SIZE);
		return r;
	}
	*ret_write = w;
	*ret_run = x;
	return 0;
}

static int open_arena(void)
{
	AUTO_CLOSE int fd =
		memfd_create("tabique-thunks", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct table_entry *table = calloc(TABLE_SIZE, sizeof(*table));
	void *w = NULL, *x = NULL;

	if (!table)
		return -ENOMEM;
	int r = map_views(fd, &w, &x);

	if (r < 0) {
		free(table);
		return r;
	}
	arena.write_view = w;
	arena.run_view = x;
	arena.table = table;
	arena.particular = ARENA_PARTICULAR;
	install_handler();
	return 0;
}

int thunk_open(struct err *err)
{
	pthread_mutex_lock(&arena.lock);
	int r = arena.write_view ? 0 : open_arena();

	pthread_mutex_unlock(&arena.lock);
	if (r < 0)
		err_set(err, r, "map memory for native thunks twice: %s", err_words(r));
	return r;
}

void thunk_limit(size_t bytes)
{
	arena.particular = bytes ? bytes : ARENA_PARTICULAR;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static void put(struct writer *w, const void *bytes, unsigned size)
{
	if (w->size + size > THUNK_MAX)
		abort(); /* eight registers, four generals: cannot be */
	memcpy(w->bytes + w->size, bytes, size);
	w->size += size;
}

#define PUT(w, ...) \
	put(w, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static void put32(struct writer *w, u32 v)
{
	put(w, &v, 4);
}

/* [RDI + offset] as ModRM with 32-bit displacement. */
static void put_field(struct writer *w, unsigned reg, size_t offset)
{
	PUT(w, (u8)(0x87 | (reg & 7) << 3));
	put32(w, (u32)offset);
}

static void put_ldmxcsr(struct writer *w, size_t offset)
{
	PUT(w, 0x0f, 0xae);
	put_field(w, 2, offset);
}

static void put_stmxcsr(struct writer *w, size_t offset)
{
	PUT(w, 0x0f, 0xae);
	put_field(w, 3, offset);
}

/* opcode 0x10 loads, 0x11 stores; unaligned moves, as struct x86_cpu has no alignment of its own. */
static void put_vector_move(struct writer *w, const struct thunk_register *r, u8 opcode,
			    bool vex, bool wide)
{
	if (vex)
		PUT(w, 0xc5, (u8)((r->host < 8 ? 0x80 : 0) | 0x78 | (wide ? 4 : 0)));
	else if (r->host >= 8)
		PUT(w, 0x44, 0x0f);
	else
		PUT(w, 0x0f);
	PUT(w, opcode);
	put_field(w, r->host, offsetof(struct x86_cpu, v) + 32u * r->slot);
}

static void put_general_move(struct writer *w, const struct thunk_general *g, u8 opcode)
{
	PUT(w, 0x48, opcode);
	put_field(w, g->host, offsetof(struct x86_cpu, r) + 8u * g->guest);
}

static void put_work(struct writer *w, const struct thunk *t)
{
	const size_t flags = offsetof(struct x86_cpu, flags);

	if (t->memory_in_r9)
		PUT(w, 0x49, 0x89, 0xd1); /* mov %rdx, %r9 */
	for (unsigned k = 0; k < t->register_count; k++)
		if (t->registers[k].load)
			put_vector_move(w, &t->registers[k], 0x10, t->vex,
					t->registers[k].wide);
	if (t->flags_in) {
		PUT(w, 0x66, 0x8b); /* mov flags, %ax */
		put_field(w, 0, flags);
		PUT(w, 0x04, 0x7f, 0x9e); /* add $0x7f, %al: OF; sahf: the others */
	}
	for (unsigned k = 0; k < t->general_count; k++)
		if (t->generals[k].load)
			put_general_move(w, &t->generals[k], 0x8b);
	put(w, t->code, t->size);
}

static void put_results(struct writer *w, const struct thunk *t)
{
	bool wide = false;

	for (unsigned k = 0; k < t->general_count; k++)
		if (t->generals[k].store)
			put_general_move(w, &t->generals[k], 0x89);
	for (unsigned k = 0; k < t->register_count; k++) {
		wide |= t->registers[k].wide;
		if (t->registers[k].store)
			put_vector_move(w, &t->registers[k], 0x11, t->vex, t->vex);
	}
	if (t->flags_out) {
		PUT(w, 0x9f, 0x0f, 0x90, 0xc0, 0x66,
		    0x89); /* lahf; seto %al; mov %ax, flags */
		put_field(w, 0, offsetof(struct x86_cpu, flags));
	}
	if (t->vex && wide)
		PUT(w, 0xc5, 0xf8, 0x77); /* vzeroupper: our own code is legacy SSE */
	if (t->chain) {			  /* NEXT */
		PUT(w, 0x48, 0x83, 0xc6, sizeof(struct x86_insn)); /* add $32, %rsi */
		if (X86_TAIL_CALLS) {
			PUT(w, 0xff, 0x26); /* jmp *(%rsi) */
			return;
		}
		PUT(w, 0x48, 0x89); /* mov %rsi, next */
		put_field(w, 6, offsetof(struct x86_cpu, next));
	}
	PUT(w, 0xc3);
}

/*
 *	cmpb $0, mxcsr_swap; jne 1f
 *	work; results; next
 * 1:	ldmxcsr mxcsr; work; stmxcsr mxcsr; ldmxcsr host_mxcsr; results; next
 */
static void write_thunk(struct writer *w, const struct thunk *t)
{
	unsigned jump = 0;

	if (t->mxcsr) {
		PUT(w, 0x80);
		put_field(w, 7, offsetof(struct x86_cpu, mxcsr_swap));
		PUT(w, 0x00, 0x0f, 0x85);
		jump = w->size;
		put32(w, 0);
	}
	put_work(w, t);
	put_results(w, t);
	if (!t->mxcsr)
		return;
	u32 distance = w->size - (jump + 4);

	memcpy(w->bytes + jump, &distance, 4);
	put_ldmxcsr(w, offsetof(struct x86_cpu, mxcsr));
	put_work(w, t);
	put_stmxcsr(w, offsetof(struct x86_cpu, mxcsr));
	put_ldmxcsr(w, offsetof(struct x86_cpu, host_mxcsr));
	put_results(w, t);
}

static u32 hash_of(const struct writer *w)
{
	u64 h = 0xcbf29ce484222325ull;

	for (unsigned k = 0; k < w->size; k++)
		h = (h ^ w->bytes[k]) * 0x100000001b3ull;
	h ^= h >> 32;
	return (u32)h ? (u32)h : 1;
}

thunk_fn thunk_make(const struct thunk *t, bool standard)
{
	struct writer w = { .size = 0 };
	const u8 *found = NULL;

	write_thunk(&w, t);
	u32 h = hash_of(&w);

	pthread_mutex_lock(&arena.lock);
	u32 at = h & (TABLE_SIZE - 1);

	for (; arena.table[at].hash; at = (at + 1) & (TABLE_SIZE - 1)) {
		const struct table_entry *e = &arena.table[at];

		if (e->hash == h && e->size == w.size &&
		    memcmp(arena.run_view + e->offset, w.bytes, w.size) == 0) {
			found = arena.run_view + e->offset;
			break;
		}
	}
	if (!found && arena.used + w.size <= (standard ? ARENA_SIZE : arena.particular) &&
	    arena.count < TABLE_SIZE / 4 * 3) {
		memcpy(arena.write_view + arena.used, w.bytes, w.size);
		arena.table[at] = (struct table_entry){ h, (u32)arena.used, w.size };
		arena.count++;
		found = arena.run_view + arena.used;
		arena.used = (arena.used + w.size + 15) & ~(size_t)15;
	}
	pthread_mutex_unlock(&arena.lock);
	return (thunk_fn)(uintptr_t)found;
}

/* ---- arithmetic exceptions ---------------------------------------------------------------------- */

/* Entered by on_sigfpe as if the thunk had called them: RDI and RSI still are c and i. */
static void raise_xm(struct x86_cpu *c, const struct x86_insn *i)
{
	__asm__ volatile("stmxcsr %0\n\tldmxcsr %1"
			 : "=m"(c->mxcsr)
			 : "m"(c->host_mxcsr));
	/* Without CR4.OSXMMEXCPT the processor does not know #XM. */
	x86_raise(c, i, c->s.cr4 & BIT(10) ? X86_XM : X86_UD);
}

static void raise_mf(struct x86_cpu *c, const struct x86_insn *i)
{
	if (c->mxcsr_swap)
		__asm__ volatile("ldmxcsr %0" : : "m"(c->host_mxcsr));
	x86_raise(c, i, X86_MF);
}

static void on_sigfpe(int number, siginfo_t *info, void *context)
{
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
	greg_t *g = m->gregs;
	u64 at = (u64)g[REG_RIP] - (u64)(uintptr_t)arena.run_view;

	if (at >= ARENA_SIZE && x86_jit_signal(context))
		return;
	if (at >= ARENA_SIZE) {
		/* Our own bug, or a signal from outside: as if we were not here. */
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	const struct x86_cpu *c = (const struct x86_cpu *)(uintptr_t)g[REG_RDI];

	/*
	 * CR0.NE = 0 asks for FERR# and interrupt 13 of the board, which we do not have wired: as
	 * with IGNNE# active the exception is dropped and the instruction is executed.
	 */
	if (g[REG_TRAPNO] == X86_MF && !(c->s.cr0 & BIT(5))) {
		m->fpregs->swd &= 0x7f00;
		return;
	}
	g[REG_RIP] = (greg_t)(uintptr_t)(g[REG_TRAPNO] == X86_MF ? raise_mf : raise_xm);
}

static void install_handler(void)
{
	struct sigaction action = { .sa_sigaction = on_sigfpe,
				    .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	sigaction(SIGFPE, &action, NULL);
}
