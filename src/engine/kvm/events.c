/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts into a VM on KVM, and the eventfds at its edges; see kvm.h.
 *
 *	deliver		a message: at once
 *	routes		the IOAPIC's pins, and after them the MSI events, in one table of KVM's
 *	doorbell	ioeventfd: a write that KVM answers by raising an eventfd, no exit
 *	MSI event	irqfd: an eventfd that KVM answers by a message, no thread of ours
 *
 * Threads: deliver, set_routes and msi_event_route any; the others the loop's. route_lock guards the table, is taken
 * last and held over KVM's taking it, so that the newest one wins.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"

int kvm_deliver(struct engine_vm *vm, u64 address, u32 data)
{
	struct kvm_msi msi = {
		.address_lo = (u32)address,
		.address_hi = (u32)(address >> 32),
		.data = data,
	};

	return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

/* ---- the routing table ------------------------------------------------------------------------ */

struct route_table {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry entry[KVM_PINS + ENGINE_MSI_EVENTS];
};

static void add_route(struct route_table *table, u32 gsi,
		      const struct engine_route *route)
{
	if (!route->valid)
		return;
	table->entry[table->head.nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {
			.address_lo = (u32)route->address,
			.address_hi = (u32)(route->address >> 32),
			.data = route->data,
		},
	};
}

/* Under route_lock. */
static int load_routes(struct engine_vm *vm)
{
	struct route_table table = { 0 };

	for (u32 k = 0; k < KVM_PINS; k++)
		add_route(&table, k, &vm->pin[k]);
	for (u32 k = 0; k < ENGINE_MSI_EVENTS; k++)
		add_route(&table, KVM_PINS + k, &vm->msi_event[k]);
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table) < 0 ? -errno : 0;
}

/* Of the pins KVM only wants to know which vectors' EOIs to report: level-triggered ones. */
int kvm_set_routes(struct engine_vm *vm, const struct engine_route *routes,
		   unsigned count)
{
	int r;

	if (count > KVM_PINS)
		return -E2BIG;
	pthread_mutex_lock(&vm->route_lock);
	memset(vm->pin, 0, sizeof vm->pin);
	memcpy(vm->pin, routes, count * sizeof vm->pin[0]);
	r = load_routes(vm);
	pthread_mutex_unlock(&vm->route_lock);
	return r;
}

/* ---- MSI events ------------------------------------------------------------------------------- */

int kvm_msi_event_route(struct engine_vm *vm, unsigned number,
			const struct engine_route *route)
{
	int r;

	pthread_mutex_lock(&vm->route_lock);
	vm->msi_event[number] = *route;
	r = load_routes(vm);
	if (r < 0)
		vm->msi_event[number].valid = false;
	pthread_mutex_unlock(&vm->route_lock);
	return r;
}

static int set_irqfd(struct engine_vm *vm, unsigned number, int event, u32 flags)
{
	struct kvm_irqfd irqfd = {
		.fd = (u32)event,
		.gsi = KVM_PINS + number,
		.flags = flags,
	};

	return ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int kvm_msi_event_add(struct engine_vm *vm, unsigned number,
		      const struct engine_route *route, int event)
{
	static const struct engine_route none;
	int r = kvm_msi_event_route(vm, number, route);

	if (r < 0)
		return r;
	r = set_irqfd(vm, number, event, 0);
	if (r < 0)
		(void)kvm_msi_event_route(vm, number, &none);
	return r;
}

void kvm_msi_event_remove(struct engine_vm *vm, unsigned number, int event)
{
	static const struct engine_route none;

	(void)set_irqfd(vm, number, event, KVM_IRQFD_FLAG_DEASSIGN);
	(void)kvm_msi_event_route(vm, number, &none);
}

/* ---- doorbells -------------------------------------------------------------------------------- */

static int set_ioeventfd(struct engine_vm *vm, const struct engine_doorbell *doorbell,
			 int event, u32 flags)
{
	struct kvm_ioeventfd io = {
		.addr = doorbell->address,
		.len = doorbell->size,
		.fd = event,
		.datamatch = doorbell->any_value ? 0 : doorbell->match,
		.flags = flags |
			 (doorbell->any_value ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH) |
			 (doorbell->mmio ? 0 : KVM_IOEVENTFD_FLAG_PIO),
	};

	/* A value without a width KVM cannot compare. */
	if (doorbell->size == 0 && !doorbell->any_value)
		return -EOPNOTSUPP;
	return ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}

int kvm_doorbell_add(struct engine_vm *vm, const struct engine_doorbell *doorbell,
		     int event)
{
	return set_ioeventfd(vm, doorbell, event, 0);
}

void kvm_doorbell_remove(struct engine_vm *vm, const struct engine_doorbell *doorbell,
			 int event)
{
	(void)set_ioeventfd(vm, doorbell, event, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
