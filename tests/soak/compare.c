/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs batches on both sides and compares how each block ended. What differs is cut down to the
 * first instruction that makes a difference and told in full. See blocks.h.
 *
 * An oracle that forgets: on AMD, XSAVE stores zeros for FIP, FDP and FOP while no x87 exception is
 * pending. So where the host's kernel switches tasks in the middle of a block, the pointers that an
 * instruction had left are gone, and what shows them later in the block (FNSTENV, FNSAVE, an exception that
 * becomes pending by an instruction that sets not all of them) shows zeros. About one x87 block in a
 * million on an idle host, ten times that on a loaded one. A block with x87 instructions that differs
 * is therefore run again, on the host only: our one outcome must be what the host gives when
 * it is not disturbed. A difference of ours is seen again each time.
 */
#include "blocks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define COMPARED_FLAGS (ARITH | 0x400u)

struct sides {
	struct native *native;
	struct interpreter *ours[ENGINES]; /* NULL: not here */
	struct batch *b;
};

static const char *const engine_names[ENGINES] = { "interpreter", "translator" };

struct words {
	char text[16384];
	size_t size;
};

static void PRINTF(2, 3) say(struct words *w, const char *fmt, ...)
{
	va_list args;

	if (w->size >= sizeof(w->text))
		return;
	va_start(args, fmt);
	w->size += (size_t)vsnprintf(w->text + w->size, sizeof(w->text) - w->size, fmt,
				     args);
	va_end(args);
}

static void bytes(struct words *w, const u8 *p, unsigned size)
{
	for (unsigned k = size; k > 0; k--)
		say(w, "%02x", p[k - 1]);
}

static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
				       "rsi", "rdi", "r8",  "r9",  "r10", "r11",
				       "r12", "r13", "r14", "r15" };

static void compare_u64(struct words *w, const char *name, u64 native, u64 ours)
{
	if (native != ours)
		say(w, "    %s: native %llx, ours %llx\n", name,
		    (unsigned long long)native, (unsigned long long)ours);
}

static void compare_bytes(struct words *w, const char *name, unsigned number,
			  const u8 *native, const u8 *ours, unsigned size)
{
	if (memcmp(native, ours, size) == 0)
		return;
	say(w, "    %s%u: native ", name, number);
	bytes(w, native, size);
	say(w, ", ours ");
	bytes(w, ours, size);
	say(w, "\n");
}

static void compare_x87(struct words *w, const struct block_state *n,
			const struct block_state *o)
{
	compare_u64(w, "fcw", n->fcw, o->fcw);
	compare_u64(w, "fsw", n->fsw, o->fsw);
	compare_u64(w, "ftw", n->ftw, o->ftw);
	/* AMD's XSAVE, with which the host's kernel got them, gives pointers of errors only. */
	if (n->fsw & 0x80) {
		compare_u64(w, "fop", n->fop, o->fop);
		compare_u64(w, "fip", n->fip, o->fip);
		compare_u64(w, "fdp", n->fdp, o->fdp);
	}
	for (unsigned k = 0; k < 8; k++)
		compare_bytes(w, "st", k, n->st[k], o->st[k], 10);
}

/* True: no difference; else w tells. */
static bool equal(const struct block *k, unsigned engine, const struct outcome *n,
		  const struct outcome *o, struct words *w)
{
	const struct block_state *a = &n->out, *b = &o->out;

	w->size = 0;
	w->text[0] = 0;
	/* It goes on for ever: where each of them was stopped means nothing. */
	if (n->vector == NATIVE_LOST && o->vector == OURS_KICKED)
		return true;
	if (n->vector != o->vector)
		say(w, "    vector: native %d, ours %d\n", n->vector, o->vector);
	if (n->vector == 14 && o->vector == 14) {
		compare_u64(w, "cr2", n->address, o->address);
		/* From its last page on: Linux hides what is mapped there. */
		if (n->address < 0x7ffffffff000)
			compare_u64(w, "error code", n->error_code, o->error_code);
	} else if (n->vector != 3 && n->vector == o->vector) {
		compare_u64(w, "error code", n->error_code, o->error_code);
	}
	compare_u64(w, "rip", a->rip, b->rip);
	u32 flags = COMPARED_FLAGS & ~k->undefined_flags;

	/* Between two elements of a REP CMPS or SCAS: Intel keeps the old flags, AMD the last ones. */
	for (unsigned j = 0; n->vector != 3 && j < k->insns; j++)
		if (a->rip == k->rip + k->start[j] && k->rep_compare[j])
			flags &= ~ARITH;
	/*
	 * The translator saves no flags that will be overwritten before anything reads them. When an
	 * instruction in between faults, older ones stand in the frame; going on after it, the
	 * guest overwrites them all the same.
	 */
	if (engine == TRANSLATOR && n->vector != 3)
		flags &= ~ARITH;
	compare_u64(w, "flags", a->flags & flags, b->flags & flags);
	for (unsigned r = 0; r < 16; r++)
		compare_u64(w, names[r], a->gpr[r], b->gpr[r]);
	compare_u64(w, "mxcsr", a->mxcsr, b->mxcsr);
	for (unsigned r = 0; r < 16; r++)
		compare_bytes(w, "ymm", r, a->ymm[r], b->ymm[r], 32);
	compare_x87(w, a, b);
	if (memcmp(n->window, o->window, WINDOW_SIZE)) {
		unsigned at = 0;

		while (n->window[at] == o->window[at])
			at++;
		say(w, "    memory %llx: native %02x, ours %02x\n",
		    (unsigned long long)WINDOW_BASE + at, n->window[at], o->window[at]);
	}
	return w->size == 0;
}

static void run_all(struct sides *s, struct blocks_run *run)
{
	s->b->disturb = run->disturb;
	for (unsigned k = 0; k < s->b->count; k++)
		block_place(s->b, k);
	native_begin(s->native, 0);
	for (unsigned n = 0; n < ENGINES; n++) {
		if (s->ours[n])
			interpreter_run(s->ours[n]);
	}
	while (!native_finish(s->native)) {
		run->lost++;
		if (s->b->current + 1 >= s->b->count)
			break;
		native_begin(s->native, s->b->current + 1);
	}
}

/* Where the host ended, and the bytes there: a block may have jumped into another one. */
static void say_end(const struct batch *b, const struct outcome *o)
{
	printf("    native ended at %llx (", (unsigned long long)o->out.rip);
	for (unsigned n = 0; n < 15 && o->out.rip - CODE_BASE + n < CODE_SIZE; n++)
		printf("%02x ", b->code[o->out.rip - CODE_BASE + n]);
	printf("), cr2 %llx\n    in:", (unsigned long long)o->address);
}

/* Which instruction it is: the shortest beginning of the block that differs. */
static void blame(struct sides *s, struct blocks_run *run, unsigned engine,
		  const struct block *k, const char *first)
{
	struct batch *b = s->b;
	struct words w;
	unsigned slot = (unsigned)((k->rip - CODE_BASE) / CODE_SLOT);
	struct block whole = *k;
	char text[16384];
	u64 lost = run->lost;

	for (unsigned n = whole.flow ? whole.insns : 1; n <= whole.insns; n++) {
		b->count = slot + 1;
		/* The same place, since an address may matter; others run, too, and do no harm. */
		b->blocks[slot] = whole;
		if (!whole.flow)
			block_cut(&b->blocks[slot], n);
		run_all(s, run);
		if (n == whole.insns && equal(&b->blocks[slot], engine, &b->native[slot],
					      &b->ours[engine][slot], &w))
			printf("not seen again when run alone: it was\n%s", first);
		if (n < whole.insns && equal(&b->blocks[slot], engine, &b->native[slot],
					     &b->ours[engine][slot], &w))
			continue;
		if (n == whole.insns)
			equal(&b->blocks[slot], engine, &b->native[slot],
			      &b->ours[engine][slot], &w);
		printf("difference of the %s: %s (seed %llu)\n%s%s", engine_names[engine],
		       whole.flow ? "a block with control flow"
				  : insn_name(&whole, n - 1),
		       (unsigned long long)whole.seed,
		       block_text(&b->blocks[slot], text, sizeof(text)), w.text);
		say_end(b, &b->native[slot]);
		for (unsigned r = 0; r < 16; r++)
			printf(" %s %llx", names[r], (unsigned long long)whole.in.gpr[r]);
		printf(" flags %llx mxcsr %x fcw %x fsw %x ftw %x\n",
		       (unsigned long long)whole.in.flags, whole.in.mxcsr, whole.in.fcw,
		       whole.in.fsw, whole.in.ftw);
		fflush(stdout);
		break;
	}
	run->lost = lost;
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The batch that begins with block number `first` of this run. */
static void make_batch(struct batch *b, const struct blocks_run *run, u64 first)
{
	u64 left = run->count - first;

	b->count = left < BATCH ? (unsigned)left : BATCH;
	generate_memory(b, run->seed + first);
	for (unsigned k = 0; k < b->count; k++)
		generate_block(&b->blocks[k], k, run->seed + first + k, run->isa);
}

#define RUNS_AGAIN 8

/* Does the host, not disturbed, end block `slot` of the batch as we did? Afterwards native[slot] is the
 * last of its outcomes. */
static bool equal_when_run_again(struct sides *s, unsigned engine, unsigned slot)
{
	struct batch *b = s->b;
	unsigned count = b->count;
	bool same = false;
	struct words w;

	b->count = slot + 1;
	b->disturb = 0;
	for (unsigned n = 0; n < RUNS_AGAIN && !same; n++) {
		native_begin(s->native, slot);
		if (!native_finish(s->native))
			break;
		same = equal(&b->blocks[slot], engine, &b->native[slot],
			     &b->ours[engine][slot], &w);
	}
	b->count = count;
	return same;
}

/* A block whose return address was overwritten may come to the middle of instructions, its own or another
 * block's: nobody chose what they are. */
static bool strayed(const struct batch *b, const struct block *k, const struct outcome *o)
{
	const u64 at = o->out.rip - CODE_BASE;

	return at < CODE_SIZE &&
	       generate_excludes(b->code + at, CODE_SIZE - at < 15 ? CODE_SIZE - at : 15,
				 o->out.rip - k->rip < k->size);
}

static void judge(struct sides *s, struct blocks_run *run)
{
	struct batch *b = s->b;
	static struct block different[BATCH];
	static unsigned engine_of[BATCH];
	static char first[BATCH][1000];
	unsigned count = 0;
	struct words w;

	for (unsigned k = 0; k < b->count; k++) {
		int v = b->native[k].vector;

		run->instructions += b->blocks[k].insns;
		run->vectors[v >= 0 && v < 32 ? v : 32]++;
		for (unsigned n = 0; n < ENGINES; n++) {
			if (!s->ours[n] ||
			    equal(&b->blocks[k], n, &b->native[k], &b->ours[n][k], &w))
				continue;
			if (strayed(b, &b->blocks[k], &b->native[k])) {
				run->strayed++;
				continue;
			}
			if (b->blocks[k].x87 && equal_when_run_again(s, n, k)) {
				run->forgotten++;
				continue;
			}
			snprintf(first[count], sizeof(first[0]), "%.990s", w.text);
			engine_of[count] = n;
			different[count++] = b->blocks[k];
			break;
		}
	}
	run->done += b->count;
	run->differences += count;
	for (unsigned k = 0; k < count && run->show; k++, run->show--)
		blame(s, run, engine_of[k], &different[k], first[k]);
}

static int start(struct sides *s)
{
	int r = native_open(&s->native, &s->b);

	if (r < 0)
		return r;
	r = interpreter_start(s->b, INTERPRETER, &s->ours[INTERPRETER]);
	if (r < 0)
		return r;
	return interpreter_start(s->b, TRANSLATOR, &s->ours[TRANSLATOR]);
}

static void stop(struct sides *s, struct blocks_run *run)
{
	for (unsigned n = 0; n < ENGINES; n++) {
		if (!s->ours[n])
			continue;
		run->translations += interpreter_translations(s->ours[n]);
		interpreter_stop(s->ours[n]);
	}
	if (s->native)
		native_close(s->native);
}

int blocks_compare(struct blocks_run *run)
{
	struct sides s = { 0 };
	double end = seconds_now() + run->seconds;
	int r;

	/* Whole batches, so that a seed always makes the same block at the same place. */
	run->count = (run->seed % BATCH + run->count + BATCH - 1) / BATCH * BATCH;
	run->seed -= run->seed % BATCH;
	generate_init();
	r = start(&s);
	for (u64 first = 0; r == 0 && first < run->count; first += BATCH) {
		make_batch(s.b, run, first);
		run_all(&s, run);
		judge(&s, run);
		if (run->differences && !run->keep_going)
			break;
		if (run->seconds > 0 && seconds_now() > end)
			break;
	}
	stop(&s, run);
	return r;
}
