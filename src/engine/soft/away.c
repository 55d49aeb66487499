/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus that the processors are given: hv's own, but a VP inside of a call that may block counts
 * as away (soft.h). Quick calls go straight through. Thread: the VP's.
 */
#include "engine/soft/soft.h"

void soft_vp_leaves(struct engine_vp *vp)
{
	atomic_store(&vp->away, true);
	x86_drop_wake(&vp->vm->x86);
}

void soft_vp_returns(struct engine_vp *vp)
{
	atomic_store(&vp->away, false);
	if (atomic_load(&vp->cpu.attention) & X86_ATTN_DROP)
		x86_drop_handle(&vp->cpu);
}

static void bus_resolve(void *arg, gpa_t gpa, struct x86_page *ret_page)
{
	struct engine_vp *vp = arg;

	vp->bus->resolve(vp->bus_vp, gpa, ret_page);
}

static u32 bus_pio_read(void *arg, u16 port, unsigned size)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	u32 value = vp->bus->pio_read(vp->bus_vp, port, size);
	soft_vp_returns(vp);
	return value;
}

static void bus_pio_write(void *arg, u16 port, unsigned size, u32 value)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	vp->bus->pio_write(vp->bus_vp, port, size, value);
	soft_vp_returns(vp);
}

static void bus_pio_read_string(void *arg, u16 port, unsigned size, void *data,
				unsigned count)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	vp->bus->pio_read_string(vp->bus_vp, port, size, data, count);
	soft_vp_returns(vp);
}

static void bus_pio_write_string(void *arg, u16 port, unsigned size, const void *data,
				 unsigned count)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	vp->bus->pio_write_string(vp->bus_vp, port, size, data, count);
	soft_vp_returns(vp);
}

static u64 bus_mmio_read(void *arg, gpa_t gpa, unsigned size)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	u64 value = vp->bus->mmio_read(vp->bus_vp, gpa, size);
	soft_vp_returns(vp);
	return value;
}

static void bus_mmio_write(void *arg, gpa_t gpa, unsigned size, u64 value)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	vp->bus->mmio_write(vp->bus_vp, gpa, size, value);
	soft_vp_returns(vp);
}

static bool bus_msr_read(void *arg, u32 index, u64 *ret_value)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	bool ok = vp->bus->msr_read(vp->bus_vp, index, ret_value);
	soft_vp_returns(vp);
	return ok;
}

static bool bus_msr_write(void *arg, u32 index, u64 value)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	bool ok = vp->bus->msr_write(vp->bus_vp, index, value);
	soft_vp_returns(vp);
	return ok;
}

static u8 bus_tpr_get(void *arg)
{
	struct engine_vp *vp = arg;

	return vp->bus->tpr_get(vp->bus_vp);
}

static void bus_tpr_set(void *arg, u8 value)
{
	struct engine_vp *vp = arg;

	vp->bus->tpr_set(vp->bus_vp, value);
}

static int bus_interrupt_take(void *arg)
{
	struct engine_vp *vp = arg;

	return vp->bus->interrupt_take(vp->bus_vp);
}

static bool bus_hypercall(void *arg)
{
	struct engine_vp *vp = arg;

	soft_vp_leaves(vp);
	bool ok = vp->bus->hypercall(vp->bus_vp);
	soft_vp_returns(vp);
	return ok;
}

static void bus_cpuid(void *arg, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	struct engine_vp *vp = arg;

	vp->bus->cpuid(vp->bus_vp, leaf, subleaf, ret_regs);
}

static void bus_tsc_moved(void *arg)
{
	struct engine_vp *vp = arg;

	if (!vp->bus->tsc_moved)
		return;
	soft_vp_leaves(vp);
	vp->bus->tsc_moved(vp->bus_vp);
	soft_vp_returns(vp);
}

static u64 bus_tsc_hz(void *arg)
{
	struct engine_vp *vp = arg;

	return vp->bus->tsc_hz(vp->bus_vp);
}

const struct x86_bus_ops soft_bus_ops = {
	.resolve = bus_resolve,
	.pio_read = bus_pio_read,
	.pio_write = bus_pio_write,
	.pio_read_string = bus_pio_read_string,
	.pio_write_string = bus_pio_write_string,
	.mmio_read = bus_mmio_read,
	.mmio_write = bus_mmio_write,
	.msr_read = bus_msr_read,
	.msr_write = bus_msr_write,
	.tpr_get = bus_tpr_get,
	.tpr_set = bus_tpr_set,
	.interrupt_take = bus_interrupt_take,
	.hypercall = bus_hypercall,
	.cpuid = bus_cpuid,
	.tsc_moved = bus_tsc_moved,
	.tsc_hz = bus_tsc_hz,
};
