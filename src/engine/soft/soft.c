/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/soft: hv/engine.h by our own processors. Neighbours: away.c, src/x86/run.c.
 * Threads: as hv/engine.h says at each call.
 */
#include "engine/soft/soft.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "base/reserve.h"
#include "engine/soft/lockstep.h"
#include "x86/jit/jit.h"
#include "x86/mmu.h"
#include "x86/run.h"
#include "x86/vector.h"

static void wait_for_drops(struct engine_vm *vm, const u64 *tickets);

/* ---- life ------------------------------------------------------------------------------------- */

static int soft_vm_new(const struct engine_vm_config *config, struct engine_vm **ret_vm,
		       struct err *err)
{
	if (config->vp_count < 1 || config->vp_count > X86_VPS_MAX)
		return err_set(err, -EINVAL, "%u processors: the engine has 1 to %u",
			       config->vp_count, X86_VPS_MAX);

	if (config->kind == HV_ENGINE_LOCKSTEP && config->vp_count > 1)
		return err_set(err, -EINVAL,
			       "%u processors: in lock-step there can be one",
			       config->vp_count);

	struct engine_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return err_set(err, -ENOMEM, "no memory for a virtual machine");
	vm->config = *config;

	int r = x86_vm_init(&vm->x86, config->code_map, config->ram_size >> 12);

	if (r == 0)
		r = x86_vector_open(err);
	else
		err_set(err, r, "no address space for the maps of decoded code");
	if (r < 0) {
		x86_vm_done(&vm->x86);
		free(vm);
		return r;
	}
	*ret_vm = vm;
	return 0;
}

static void soft_vm_free(struct engine_vm *vm)
{
	if (!vm)
		return;
	x86_vm_done(&vm->x86);
	free(vm);
}

static int soft_map_changed(struct engine_vm *vm, const struct engine_slot *slots,
			    unsigned count, struct err *err)
{
	/* The VPs stand, and so may be touched from here. */
	for (unsigned n = 0; n < vm->x86.cpu_count; n++) {
		struct x86_cpu *c = vm->x86.cpu[n];

		if (!c)
			continue;
		x86_mmu_map_changed(c);
		x86_cache_flush(c);
	}

	const struct engine_vp *vp =
		vm->x86.cpu[0] ? CONTAINER_OF(vm->x86.cpu[0], struct engine_vp, cpu)
			       : NULL;

	return vp && vp->lockstep ? lockstep_map_changed(vp->lockstep, slots, count, err)
				  : 0;
}

static void soft_vp_free(struct engine_vp *vp)
{
	if (!vp)
		return;
	if (vp->vm->x86.cpu[vp->cpu.index] == &vp->cpu)
		vp->vm->x86.cpu[vp->cpu.index] = NULL;
	lockstep_free(vp->lockstep);
	x86_jit_free(&vp->cpu);
	x86_cache_free(&vp->cpu);
	x86_mmu_free(&vp->cpu);
	memory_release(vp, sizeof(*vp));
}

/* A VP's share of what was asked for, or of min(64 MiB, RAM/8). */
static size_t code_memory(const struct engine_vm *vm)
{
	u64 all = min_u64(vm->config.ram_size / 8, 64u << 20);

	if (vm->config.code_cache)
		all = vm->config.code_cache;
	all /= vm->config.vp_count;
	return all < 1u << 20 ? 1u << 20 : (size_t)all;
}

static int soft_vp_new(struct engine_vm *vm, vp_index_t index,
		       const struct x86_bus_ops *bus, void *bus_vp,
		       struct engine_vp **ret_vp, struct err *err)
{
	if (index >= X86_VPS_MAX || vm->x86.cpu[index])
		return err_set(err, -EINVAL, "processor %u exists already or never can",
			       index);

	struct engine_vp *vp = memory_reserve(sizeof(*vp));

	if (!vp)
		return err_set(err, -ENOMEM, "no memory for processor %u", index);
	vp->vm = vm;
	vp->bus = bus;
	vp->bus_vp = bus_vp;
	vp->away = true;
	vp->cpu.bus = &soft_bus_ops;
	vp->cpu.bus_vp = vp;
	vp->cpu.vm = &vm->x86;
	vp->cpu.index = index;
	if (x86_mmu_new(&vp->cpu) < 0 || x86_cache_new(&vp->cpu) < 0) {
		soft_vp_free(vp);
		return err_set(err, -ENOMEM, "no memory for the caches of processor %u",
			       index);
	}
	if (vm->config.kind != HV_ENGINE_INTERP &&
	    x86_jit_new(&vp->cpu, code_memory(vm), err) < 0) {
		soft_vp_free(vp);
		return -ENOMEM;
	}
	x86_system_init(&vp->cpu);
	x86_vector_init(&vp->cpu);
	vp_state_reset(&vp->cpu.s, index == 0);
	x86_system_loaded(&vp->cpu);

	if (vm->config.kind == HV_ENGINE_LOCKSTEP) {
		int r = lockstep_new(vp, vm->config.ram_size, &vp->lockstep, err);

		if (r < 0) {
			soft_vp_free(vp);
			return r;
		}
	}
	vm->x86.cpu[index] = &vp->cpu;
	if (vm->x86.cpu_count <= index)
		vm->x86.cpu_count = index + 1;
	*ret_vp = vp;
	return 0;
}

static int soft_vp_thread_start(struct engine_vp *vp)
{
	return x86_jit_thread_start(&vp->cpu);
}

/* ---- running ---------------------------------------------------------------------------------- */

u64 soft_idle_ns = 30000000000u;

/*
 * At each HLT. A processor that has done next to nothing for half a minute, a hundredth of the time, gives
 * its translations back: there were not many that it will miss.
 */
static void note_idle(struct engine_vp *vp)
{
	const u64 now = host_clock.monotonic_ns(&host_clock);

	if (now - vp->idle_since < soft_idle_ns)
		return;

	const u64 used = clock_thread_ns();
	const bool idle = used - vp->idle_used <= (now - vp->idle_since) / 100;

	if (vp->idle_since && (idle || soft_idle_ns == 0))
		x86_jit_give_back(&vp->cpu);
	vp->idle_since = now;
	vp->idle_used = used;
}

void soft_vp_enters(struct engine_vp *vp)
{
	x86_vector_enter(&vp->cpu);
	x86_jit_run_begin(&vp->cpu);
}

static enum engine_exit soft_vp_run(struct engine_vp *vp)
{
	struct x86_cpu *c = &vp->cpu;
	enum x86_exit result;
	bool good = true;

	soft_vp_returns(vp);
	if (vp->lockstep) {
		good = lockstep_run(vp->lockstep, &result);
	} else {
		soft_vp_enters(vp);
		result = x86_run(c);
		x86_vector_leave(c);
	}
	soft_vp_leaves(vp);
	if (!good)
		return ENGINE_FAILED;

	switch (result) {
	case X86_EXIT_KICKED:
		return ENGINE_KICKED;
	case X86_EXIT_HALTED:
		if (!vp->lockstep)
			note_idle(vp);
		return ENGINE_HALTED;
	case X86_EXIT_TRIPLE_FAULT:
		return ENGINE_TRIPLE_FAULT;
	}
	return ENGINE_FAILED;
}

static void soft_vp_kick(struct engine_vp *vp)
{
	atomic_fetch_or(&vp->cpu.attention, X86_ATTN_KICK);
}

static void soft_vp_interrupt(struct engine_vp *vp, bool pending)
{
	if (pending) {
		atomic_fetch_or(&vp->cpu.lines, X86_LINE_INTERRUPT);
		atomic_fetch_or(&vp->cpu.attention, X86_ATTN_INTERRUPT);
	} else {
		atomic_fetch_and(&vp->cpu.lines, ~X86_LINE_INTERRUPT);
	}
}

static void soft_vp_nmi(struct engine_vp *vp)
{
	atomic_fetch_or(&vp->cpu.lines, X86_LINE_NMI);
	atomic_fetch_or(&vp->cpu.attention, X86_ATTN_NMI);
}

static bool soft_vp_can_wake(struct engine_vp *vp)
{
	return x86_can_wake(&vp->cpu);
}

/* ---- state ------------------------------------------------------------------------------------ */

static u64 soft_vp_tsc(struct engine_vp *vp)
{
	return __rdtsc() + (u64)vp->cpu.tsc_offset;
}

static s64 soft_vp_tsc_offset(struct engine_vp *vp)
{
	return vp->cpu.tsc_offset;
}

/* The LAPIC's timer is hv's, and by its own clock. */
static void soft_vp_set_tsc_offset(struct engine_vp *vp, s64 offset)
{
	vp->cpu.tsc_offset = offset;
}

static void soft_vp_call_get(struct engine_vp *vp, struct engine_call *ret_call)
{
	const struct x86_cpu *c = &vp->cpu;

	memcpy(ret_call->gpr, c->r, sizeof ret_call->gpr);
	ret_call->wide = c->mode & X86_MODE_LONG;
	ret_call->privileged = (c->s.cr0 & 1) && c->cpl == 0;
}

static void soft_vp_call_set(struct engine_vp *vp, const struct engine_call *call)
{
	memcpy(vp->cpu.r, call->gpr, sizeof call->gpr);
}

static void soft_vp_call_xmm(struct engine_vp *vp, u8 ret_xmm[6][16])
{
	for (unsigned k = 0; k < 6; k++)
		memcpy(ret_xmm[k], vp->cpu.v[k], sizeof ret_xmm[k]);
}

static int soft_vp_get_state(struct engine_vp *vp, struct vp_state *ret_state)
{
	struct x86_cpu *c = &vp->cpu;

	*ret_state = c->s;
	ret_state->version = VP_STATE_VERSION;
	ret_state->size = sizeof(*ret_state);
	memcpy(ret_state->gpr, c->r, sizeof(ret_state->gpr));
	ret_state->rip = c->rip;
	ret_state->rflags = x86_get_rflags(c);
	ret_state->cr8 = vp->bus->tpr_get(vp->bus_vp);
	ret_state->tsc = soft_vp_tsc(vp);
	ret_state->interruptibility = (c->s.interruptibility & VP_NMI_BLOCKED) |
				      c->interrupt_shadow;
	ret_state->nmi_pending = !!(atomic_load(&c->lines) & X86_LINE_NMI);
	return 0;
}

static int soft_vp_set_state(struct engine_vp *vp, const struct vp_state *state,
			     struct err *err)
{
	struct x86_cpu *c = &vp->cpu;
	int r = vp_state_check(state, c->xcr0_allowed, err);

	if (r < 0)
		return r;
	c->s = *state;
	memcpy(c->r, state->gpr, sizeof(state->gpr));
	c->r[R_ZERO] = 0;
	c->rip = state->rip;
	x86_set_rflags(c, state->rflags);
	c->tsc_offset = (s64)(state->tsc - __rdtsc());
	if (state->nmi_pending)
		soft_vp_nmi(vp);
	else
		atomic_fetch_and(&c->lines, ~X86_LINE_NMI);
	c->link = NULL;
	if (vp->lockstep)
		lockstep_restart(vp->lockstep);
	x86_system_loaded(c);
	x86_tlb_flush_all(c);
	/* PAE paging, whose four pointers are registers of their own; hardware fails the load. */
	if (c->s.cr0 >> 31 & 1 && c->s.cr4 >> 5 & 1 && !(c->s.efer >> 10 & 1) &&
	    !x86_pdptes_load(c, c->s.cr3))
		return err_set(err, -EINVAL,
			       "processor state: cr3: reserved bits in a PDPTE");
	return 0;
}

/* ---- what other threads want gone ----------------------------------------------------------- */

static void soft_drop_code(struct engine_vm *vm, u64 first_ram_page, u64 count)
{
	struct x86_vm *x = &vm->x86;
	u64 tickets[X86_VPS_MAX] = { 0 };

	if (first_ram_page >= x->ram_pages)
		return;
	if (count > x->ram_pages - first_ram_page)
		count = x->ram_pages - first_ram_page;

	pthread_mutex_lock(&x->code_lock);
	for (u64 n = 0; n < count; n++) {
		u64 page = first_ram_page + n;

		if (!atomic_load(&x->code_map[page]))
			continue;
		atomic_store(&x->lines[page], 0);
		atomic_store(&x->code_map[page], 0);
		for (unsigned v = 0; v < x->cpu_count; v++) {
			if (!x->cpu[v])
				continue;
			x86_drop_post_page(x, v, page);
		}
	}
	for (unsigned v = 0; v < x->cpu_count; v++)
		tickets[v] = atomic_load(&x->drop[v].asked);
	pthread_mutex_unlock(&x->code_lock);
	/*
	 * Also when nothing was marked: somebody else may just have taken the mark away, and the VPs
	 * be about to drop.
	 */
	wait_for_drops(vm, tickets);
}

static void soft_drop_write_rights(struct engine_vm *vm)
{
	struct x86_vm *x = &vm->x86;
	u64 tickets[X86_VPS_MAX] = { 0 };

	pthread_mutex_lock(&x->code_lock);
	for (unsigned v = 0; v < x->cpu_count; v++) {
		if (!x->cpu[v])
			continue;
		x86_drop_post_write_rights(x, v);
		tickets[v] = atomic_load(&x->drop[v].asked);
	}
	pthread_mutex_unlock(&x->code_lock);
	wait_for_drops(vm, tickets);
}

static void soft_flush_tlb(struct engine_vm *vm, const struct engine_flush *flush)
{
	struct x86_vm *x = &vm->x86;
	u64 tickets[X86_VPS_MAX] = { 0 };

	pthread_mutex_lock(&x->code_lock);
	for (unsigned v = 0; v < x->cpu_count; v++) {
		if (!x->cpu[v] || !(flush->vps[v / 64] & BIT64(v % 64)))
			continue;
		x86_drop_post_translations(x, v, flush->page,
					   flush->all ? 0 : flush->count);
		tickets[v] = atomic_load(&x->drop[v].asked);
	}
	pthread_mutex_unlock(&x->code_lock);
	wait_for_drops(vm, tickets);
}

static bool drop_is_done(struct engine_vm *vm, unsigned v, u64 ticket)
{
	struct x86_cpu *c = vm->x86.cpu[v];

	return !c || atomic_load(&vm->x86.drop[v].done) >= ticket ||
	       atomic_load(&CONTAINER_OF(c, struct engine_vp, cpu)->away);
}

/* Until every VP handled its ticket or is away (and will look before it goes on). */
static void wait_for_drops(struct engine_vm *vm, const u64 *tickets)
{
	struct x86_vm *x = &vm->x86;

	atomic_fetch_add(&x->waiters, 1);
	for (unsigned v = 0; v < x->cpu_count; v++) {
		for (;;) {
			u32 seen = atomic_load(&x->acknowledged);

			if (drop_is_done(vm, v, tickets[v]))
				break;
			syscall(SYS_futex, &x->acknowledged, FUTEX_WAIT_PRIVATE, seen,
				NULL, NULL, 0);
		}
	}
	atomic_fetch_sub(&x->waiters, 1);
}

static void soft_vp_count(struct engine_vp *vp, struct hv_stats *io_stats)
{
	const struct x86_cpu *c = &vp->cpu;

	io_stats->instructions += c->instructions;
	io_stats->exits_pio += c->exits_pio;
	io_stats->exits_mmio += c->exits_mmio;
	io_stats->interrupts += c->interrupts;
	io_stats->exceptions += c->exceptions;
	io_stats->halts += c->halts;
	io_stats->hypercalls += c->hypercalls;
	io_stats->decoded += c->decoded;
	io_stats->code_flushes += c->code_flushes;
	io_stats->tlb_misses += c->tlb_misses;
}

const struct engine_ops engine_soft_ops = {
	.name = "soft",
	.vm_new = soft_vm_new,
	.vm_free = soft_vm_free,
	.map_changed = soft_map_changed,
	.vp_new = soft_vp_new,
	.vp_free = soft_vp_free,
	.vp_thread_start = soft_vp_thread_start,
	.vp_run = soft_vp_run,
	.vp_kick = soft_vp_kick,
	.vp_interrupt = soft_vp_interrupt,
	.vp_nmi = soft_vp_nmi,
	.vp_can_wake = soft_vp_can_wake,
	.vp_get_state = soft_vp_get_state,
	.vp_set_state = soft_vp_set_state,
	.drop_code = soft_drop_code,
	.drop_write_rights = soft_drop_write_rights,
	.vp_call_get = soft_vp_call_get,
	.vp_call_set = soft_vp_call_set,
	.vp_call_xmm = soft_vp_call_xmm,
	.flush_tlb = soft_flush_tlb,
	.vp_tsc = soft_vp_tsc,
	.vp_tsc_offset = soft_vp_tsc_offset,
	.vp_set_tsc_offset = soft_vp_set_tsc_offset,
	.vp_count = soft_vp_count,
};
