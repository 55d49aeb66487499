/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What engines that execute no instructions have in common, for fuzz targets around a partition. Who
 * includes it has defined RAM, VPS and struct engine_vp, with members state and call.
 */
#pragma once

#include "hv/engine.h"

struct engine_vm {
	int unused;
};

static int no_vm_new(const struct engine_vm_config *c, struct engine_vm **ret_vm,
		     struct err *err)
{
	static struct engine_vm vm;

	*ret_vm = &vm;
	return 0;
}

static void no_vm_free(struct engine_vm *vm) {}

static void no_vp_free(struct engine_vp *vp)
{
	free(vp);
}

static void no_vp_interrupt(struct engine_vp *vp, bool pending) {}

static void no_vp_nmi(struct engine_vp *vp) {}

static int no_vp_get_state(struct engine_vp *vp, struct vp_state *ret_state)
{
	*ret_state = vp->state;
	return 0;
}

static int no_vp_set_state(struct engine_vp *vp, const struct vp_state *state,
			   struct err *err)
{
	vp->state = *state;
	return 0;
}

static void no_drop_code(struct engine_vm *vm, u64 first, u64 count)
{
	if (first > RAM >> 12 || count > (RAM >> 12) - first)
		abort();
}

static s64 no_tsc_offset(struct engine_vp *vp)
{
	return 0;
}

static void no_set_tsc_offset(struct engine_vp *vp, s64 offset) {}

static void no_call_get(struct engine_vp *vp, struct engine_call *ret_call)
{
	*ret_call = vp->call;
}

static void no_call_set(struct engine_vp *vp, const struct engine_call *call)
{
	vp->call = *call;
}

static void no_call_xmm(struct engine_vp *vp, u8 ret_xmm[6][16])
{
	memcpy(ret_xmm, &vp->state, 6 * 16);
}

static void no_flush_tlb(struct engine_vm *vm, const struct engine_flush *flush)
{
	if (flush->count > ENGINE_FLUSH_PAGES || flush->vps[0] >> VPS ||
	    (flush->all && flush->count))
		abort();
	for (unsigned k = 0; k < flush->count; k++)
		if (flush->page[k] & 0xfff)
			abort();
}

/* Members of an engine's table. */
#define NO_ENGINE_OPS                                                       \
	.vm_new = no_vm_new, .vm_free = no_vm_free, .vp_free = no_vp_free,  \
	.vp_interrupt = no_vp_interrupt, .vp_nmi = no_vp_nmi,               \
	.vp_get_state = no_vp_get_state, .vp_set_state = no_vp_set_state,   \
	.drop_code = no_drop_code, .vp_tsc_offset = no_tsc_offset,          \
	.vp_set_tsc_offset = no_set_tsc_offset, .vp_call_get = no_call_get, \
	.vp_call_set = no_call_set, .vp_call_xmm = no_call_xmm,             \
	.flush_tlb = no_flush_tlb

/* ---- what the partition tells its owner, who does not care ---- */

static void no_first_entry(void *owner, u64 ns) {}

static void no_guest_reset(void *owner) {}
