/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processors in lock-step: see lockstep.h. The first is the VP's, with its translator, on the
 * real machine. The second only interprets, on a copy of the guest's RAM.
 *
 * How the second follows
 *	Whatever the first one learns from outside - port, MMIO and MSR reads, time stamps, interrupts - is
 *	noted, writes as well. The second one gets the same answers in the same order, and must ask the
 *	same questions. Each time the first comes back to its loop (after an access to a device, an
 *	interrupt, a fault, a change of mode, many system instructions), the second runs until it stands at
 *	the same RIP with the same registers and nothing noted is left. It does not count
 *	instructions: it looks at itself between blocks, and between instructions where the goal lies
 *	in the next bytes. If it does not come to that state, the two have parted.
 *
 * Loops
 *	Two rounds of a loop may differ in memory alone. Then the second one may stop a round too early, and
 *	goes on next time: no harm, unless an interrupt comes just there. So what the registers point to
 *	must be the same, too. A meeting with something noted since the last one is exact in any case:
 *	what follows is a part of one block.
 *
 *	Both memories are compared from time to time, and the log says so.
 *
 * What is not compared
 *	Arithmetic flags: those that are dead where an instruction faults the translator does not keep
 *	(jit.h), and what DIV leaves in them is undefined. Where they alone differ, the second one takes over
 *	the first one's, at a fault also those on the handler's stack, and it is counted. Whoever
 *	branches on wrong ones is found by where that leads; tests/soak compares flags themselves.
 *
 * Limits: one processor; nobody else writes the guest's RAM; random numbers of the processor and
 * hypercalls are hidden from the guest.
 */
#include "engine/soft/lockstep.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <x86intrin.h>

#include "base/log.h"
#include "base/reserve.h"
#include "engine/soft/lockstep_parts.h"
#include "x86/cache.h"
#include "x86/decode.h"
#include "x86/mmu.h"
#include "x86/vector.h"

/* The second one will never come: after so many seconds and so many times what the first one took. */
#define PATIENCE_SECONDS 20u
#define PATIENCE_TIMES 200u
/* Meetings between two comparisons of the memories. */
#define MEMORY_EVERY 100000ull

/* ---- life ------------------------------------------------------------------------------------------ */

int lockstep_new(struct engine_vp *vp, u64 ram_size, struct lockstep **ret_lockstep,
		 struct err *err)
{
	struct lockstep *l = memory_reserve(sizeof(*l));

	if (!l)
		return err_set(err, -ENOMEM, "lock-step: no memory");
	l->vp = vp;
	l->ram_size = ram_size;
	l->ram = memory_reserve(ram_size);
	l->code_map = memory_reserve(ram_size >> 12);
	if (!l->ram || !l->code_map ||
	    x86_vm_init(&l->vm, l->code_map, ram_size >> 12) < 0) {
		lockstep_free(l);
		return err_set(err, -ENOMEM, "lock-step: no memory for a second guest");
	}
	l->cpu.bus = &lockstep_second_bus;
	l->cpu.bus_vp = l;
	l->cpu.vm = &l->vm;
	if (x86_mmu_new(&l->cpu) < 0 || x86_cache_new(&l->cpu) < 0) {
		lockstep_free(l);
		return err_set(err, -ENOMEM, "lock-step: no memory for caches");
	}
	x86_system_init(&l->cpu);
	x86_vector_init(&l->cpu);
	l->vm.cpu[0] = &l->cpu;
	l->vm.cpu_count = 1;
	vp->cpu.bus = &lockstep_first_bus;
	*ret_lockstep = l;
	return 0;
}

void lockstep_free(struct lockstep *l)
{
	if (!l)
		return;
	x86_cache_free(&l->cpu);
	x86_mmu_free(&l->cpu);
	x86_vm_done(&l->vm);
	memory_release(l->ram, l->ram_size);
	memory_release((void *)l->code_map, l->ram_size >> 12);
	memory_release(l, sizeof(*l));
}

int lockstep_map_changed(struct lockstep *l, const struct engine_slot *slots,
			 unsigned count, struct err *err)
{
	l->slots = 0;
	for (unsigned n = 0; n < count; n++) {
		if (!slots[n].is_ram || !slots[n].size)
			continue;
		if (l->slots == LOCKSTEP_SLOTS)
			return err_set(err, -E2BIG, "lock-step: too many pieces of RAM");
		l->slot[l->slots++] = slots[n];
	}
	x86_mmu_map_changed(&l->cpu);
	x86_cache_flush(&l->cpu);
	return 0;
}

void lockstep_restart(struct lockstep *l)
{
	l->begun = false;
}

/* From the first one's state, before its first instruction. */
static void begin(struct lockstep *l)
{
	struct x86_cpu *c = &l->cpu, *first = &l->vp->cpu;

	for (unsigned n = 0; n < l->slots; n++)
		memcpy(l->ram + (l->slot[n].ram_page << 12), l->slot[n].host,
		       l->slot[n].size);
	c->s = first->s;
	memcpy(c->r, first->r, sizeof(c->r));
	c->rip = first->rip;
	c->interrupt_shadow = first->interrupt_shadow;
	c->link = NULL;
	x86_set_rflags(c, x86_get_rflags(first));
	x86_system_loaded(c);
	x86_tlb_flush_all(c);
	x86_cache_flush(c);
	l->first = l->last = l->bytes_used = 0;
	l->begun = l->exact = true;
	l->compare_at = l->meetings + MEMORY_EVERY;
}

/* ---- running ---------------------------------------------------------------------------------------- */

static void note_place(struct lockstep_trail *t, u64 rip, const struct x86_block *b)
{
	if (!b || (b->gpa ^ rip) & 0xfff) /* an interrupt or a fault, no block */
		return;
	t->place[t->count++ % LOCKSTEP_TRAIL] = (struct lockstep_place){
		.rip = rip, .gpa = b->gpa, .mode = b->mode, .bytes = b->bytes
	};
}

/* "rip: instruction; instruction", from what lies there now. */
static void report_place(struct x86_cpu *c, const struct lockstep_place *place)
{
	const struct x86_page *page = x86_physical_page(c, place->gpa);
	const unsigned offset = (unsigned)place->gpa & 0xfff;
	const unsigned left = place->bytes < 4096 - offset ? place->bytes : 4096 - offset;
	char text[400];

	text[0] = 0;
	if (page->host)
		x86_disassemble(place->mode, page->host + offset, left, place->rip, text,
				sizeof(text));
	log_error("lock-step: %" PRIx64 ":%s", place->rip, text);
}

static void report(struct lockstep *l, const struct x86_cpu *goal,
		   const struct lockstep_trail *t, const char *differences)
{
	log_error("lock-step: parted after %" PRIu64 " meetings: %s", l->meetings,
		  l->words[0] ? l->words : "registers");
	if (!l->words[0])
		snprintf(l->words, sizeof(l->words), "registers");
	log_error("lock-step: the VP is at %" PRIx64 "; there, where it was nearest, the "
		  "interpreter differs in (the VP's, its own):%s",
		  goal->rip, differences);
	log_error("lock-step: %" PRIu64 " blocks since the last meeting, of which the "
		  "last:",
		  t->count);
	for (u64 n = t->count < LOCKSTEP_TRAIL ? 0 : t->count - LOCKSTEP_TRAIL;
	     n < t->count; n++)
		report_place(&l->cpu, &t->place[n % LOCKSTEP_TRAIL]);
}

/* Where the second one came nearest to the first. */
struct nearest {
	unsigned count; /* registers that differed */
	char differences[512];
	struct lockstep_trail trail;
};

static void note_nearest(struct lockstep *l, struct nearest *nearest)
{
	const struct x86_cpu *goal = &l->vp->cpu;
	const unsigned count = lockstep_describe(goal, &l->cpu, NULL, 0);

	if (count >= nearest->count)
		return;
	nearest->count = count;
	nearest->trail = l->trail;
	lockstep_describe(goal, &l->cpu, nearest->differences,
			  sizeof(nearest->differences));
}

/*
 * The second one runs until it is where the first one is. faulted: the first has just begun a fault;
 * patience: how long that may take, in ticks of the host's counter.
 */
static bool catch_up(struct lockstep *l, bool faulted, u64 patience)
{
	const u64 begin = __rdtsc();
	const struct x86_cpu *goal = &l->vp->cpu;
	struct x86_cpu *c = &l->cpu;
	struct nearest nearest = { .count = UINT32_MAX,
				   .differences = " it never came there" };

	l->trail.count = 0;
	for (u64 n = 1; !l->words[0]; n++) {
		const u64 rip = c->rip;
		enum x86_exit unused;

		if (l->first == l->last && rip == goal->rip) {
			if (lockstep_same_registers(goal, c) &&
			    (l->exact || faulted ||
			     lockstep_same_surroundings(goal, c))) {
				l->flags_taken += lockstep_adopt_flags(l, faulted);
				return true;
			}
			note_nearest(l, &nearest);
		}
		if (lockstep_interrupt_is_next(l))
			atomic_fetch_or(&c->lines, X86_LINE_INTERRUPT);
		/* Halted, and nothing that was noted can wake it: that is no way on. */
		if (x86_run_toward(c, goal->rip, &unused) && l->first == l->last &&
		    !lockstep_same_registers(goal, c))
			break;
		if (n % 65536 == 0 && __rdtsc() - begin > patience)
			break;
		note_place(&l->trail, rip, c->block);
	}
	report(l, goal, nearest.trail.count ? &nearest.trail : &l->trail,
	       nearest.differences);
	return false;
}

/* One round of the first one, and the second one after it. */
static bool meet(struct lockstep *l, bool *ret_left, enum x86_exit *ret_exit)
{
	struct x86_cpu *c = &l->vp->cpu;
	const u64 faults = c->exceptions, begin = __rdtsc();

	soft_vp_enters(l->vp);
	*ret_left = x86_run_round(c, ret_exit);
	x86_vector_leave(c);
	if (!*ret_left) /* else it has not moved */
		l->exact = l->last > 0 || c->s.activity == VP_HALTED;

	const u64 patience = (__rdtsc() - begin) * PATIENCE_TIMES +
			     soft_bus_ops.tsc_hz(l->vp) * PATIENCE_SECONDS;

	x86_vector_enter(&l->cpu);
	const bool met = catch_up(l, c->exceptions != faults, patience);

	x86_vector_leave(&l->cpu);
	l->first = l->last = l->bytes_used = 0;
	l->meetings += met;
	return met;
}

static void look_closer(struct lockstep *l)
{
	const char *what = lockstep_system_difference(&l->vp->cpu, &l->cpu);

	if (what) {
		snprintf(l->words, sizeof(l->words), "%s", what);
	} else if (l->exact && l->meetings >= l->compare_at) {
		l->compare_at = l->meetings + MEMORY_EVERY;
		lockstep_compare_memory(l);
		if (!l->words[0])
			log_warn("lock-step: no difference in %" PRIu64 " meetings, "
				 "memory is the "
				 "same",
				 l->meetings);
	}
}

bool lockstep_run(struct lockstep *l, enum x86_exit *ret_exit)
{
	bool left;

	if (!l->begun)
		begin(l);
	do {
		if (!meet(l, &left, ret_exit))
			return false;
		look_closer(l);
		if (l->words[0]) {
			report(l, &l->vp->cpu, &l->trail, "");
			return false;
		}
	} while (!left);
	return true;
}
