/* SPDX-License-Identifier: Apache-2.0 */
/* The partition as engines see it; see bus.h. */
#include "hv/bus.h"

#include "hv/hypercall.h"
#include "hv/partition.h"
#include "hv/vp.h"

static void count(_Atomic u64 *counter, u64 n)
{
	/* One writer: no need for a locked addition. */
	atomic_store_explicit(counter,
			      atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static void bus_resolve(void *owner, gpa_t gpa, struct x86_page *ret_page)
{
	struct vp *vp = owner;

	memory_map_resolve(&vp->partition->memory, gpa, ret_page);
}

static u32 bus_pio_read(void *owner, u16 port, unsigned size)
{
	struct vp *vp = owner;

	count(&vp->exits_pio, 1);
	return io_map_pio_read(vp, port, size);
}

static void bus_pio_write(void *owner, u16 port, unsigned size, u32 value)
{
	struct vp *vp = owner;

	count(&vp->exits_pio, 1);
	io_map_pio_write(vp, port, size, value);
}

static void bus_pio_read_string(void *owner, u16 port, unsigned size, void *data,
				unsigned n)
{
	struct vp *vp = owner;

	count(&vp->exits_pio, n);
	io_map_pio_read_string(vp, port, size, data, n);
}

static void bus_pio_write_string(void *owner, u16 port, unsigned size, const void *data,
				 unsigned n)
{
	struct vp *vp = owner;

	count(&vp->exits_pio, n);
	io_map_pio_write_string(vp, port, size, data, n);
}

static u64 bus_mmio_read(void *owner, gpa_t gpa, unsigned size)
{
	struct vp *vp = owner;

	count(&vp->exits_mmio, 1);
	return io_map_mmio_read(vp, gpa, size);
}

static void bus_mmio_write(void *owner, gpa_t gpa, unsigned size, u64 value)
{
	struct vp *vp = owner;

	count(&vp->exits_mmio, 1);
	io_map_mmio_write(vp, gpa, size, value);
}

static bool bus_msr_read(void *owner, u32 index, u64 *ret_value)
{
	struct vp *vp = owner;

	if (index >= HV_MSR_FIRST && index <= HV_MSR_LAST)
		return guest_interface_msr_read(vp, index, ret_value);
	return lapic_msr_read(&vp->lapic, index, ret_value);
}

static bool bus_msr_write(void *owner, u32 index, u64 value)
{
	struct vp *vp = owner;

	if (index >= HV_MSR_FIRST && index <= HV_MSR_LAST)
		return guest_interface_msr_write(vp, index, value);
	return lapic_msr_write(&vp->lapic, index, value);
}

static u8 bus_tpr_get(void *owner)
{
	struct vp *vp = owner;

	return lapic_cr8(&vp->lapic);
}

static void bus_tpr_set(void *owner, u8 value)
{
	struct vp *vp = owner;

	lapic_set_cr8(&vp->lapic, value);
}

static int bus_interrupt_take(void *owner)
{
	return vp_take_interrupt(owner);
}

static void bus_eoi(void *owner, u8 vector)
{
	struct vp *vp = owner;

	chipset_eoi(&vp->partition->chipset, vector);
}

static bool bus_hypercall(void *owner)
{
	return hypercall_by_instruction(owner);
}

static void bus_cpuid(void *owner, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	struct vp *vp = owner;

	if (leaf >= HV_CPUID_BASE && leaf < HV_CPUID_BASE + 0x100) {
		guest_interface_cpuid(vp->partition, leaf, ret_regs);
		return;
	}
	x86_cpuid(&vp->partition->model, vp->index, leaf, subleaf, ret_regs);
}

static void bus_tsc_moved(void *owner)
{
	struct vp *vp = owner;

	lapic_on_tsc_moved(&vp->lapic);
	guest_interface_tsc_moved(vp);
}

static u64 bus_tsc_hz(void *owner)
{
	struct vp *vp = owner;

	return vp->partition->config.tsc_hz;
}

const struct x86_bus_ops hv_bus_ops = {
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
	.eoi = bus_eoi,
	.hypercall = bus_hypercall,
	.cpuid = bus_cpuid,
	.tsc_moved = bus_tsc_moved,
	.tsc_hz = bus_tsc_hz,
};
