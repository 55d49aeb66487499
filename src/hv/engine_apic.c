/* SPDX-License-Identifier: Apache-2.0 */
/* Local APICs that are the engine's; see engine_apic.h. */
#include "hv/engine_apic.h"

#include <errno.h>

#include "base/log.h"
#include "hv/partition.h"
#include "hv/vp.h"

static const struct engine_ops *engine_of(const struct chipset *c)
{
	return c->partition->config.engine;
}

/* SDM volume 3, 11.11: what a device would write to send this message. */
struct engine_route engine_apic_message_route(const struct apic_message *m)
{
	u32 destination = m->destination;

	return (struct engine_route){
		.valid = true,
		.address = 0xfee00000u | (u64)(destination & 0xff) << 12 |
			   (m->logical ? 1u << 2 : 0) |
			   (u64)(destination & 0xffffff00u) << 32,
		.data = m->vector | (u32)m->delivery << 8 |
			(m->level ? 1u << 15 | 1u << 14 : 0),
	};
}

unsigned engine_apic_send(struct chipset *c, const struct apic_message *message)
{
	struct engine_route msi = engine_apic_message_route(message);
	int r = engine_of(c)->deliver(c->partition->engine_vm, msi.address, msi.data);

	/* 0 receivers is what a guest gets that names a processor which is not there. */
	return r < 0 ? 0 : 1;
}

bool engine_apic_route(u64 address, u32 data, struct engine_route *ret_route)
{
	struct apic_message message;

	if (!apic_message_of_msi(address, data, &message))
		return false;
	*ret_route = engine_apic_message_route(&message);
	return true;
}

void engine_apic_routes(struct chipset *c)
{
	struct engine_route routes[IOAPIC_PINS] = { 0 };

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		struct apic_message m;

		if (ioapic_message(&c->ioapic, pin, &m) && m.level)
			routes[pin] = engine_apic_message_route(&m);
	}
	if (memcmp(routes, c->routes, sizeof routes) == 0)
		return;
	memcpy(c->routes, routes, sizeof routes);
	if (engine_of(c)->set_routes(c->partition->engine_vm, routes, IOAPIC_PINS) < 0)
		log_warn("the engine takes no interrupt routes; level-triggered "
			 "interrupts may "
			 "come once only");
}

int engine_apic_save(struct vp *vp, void *ret_block)
{
	const struct engine_ops *engine = vp->partition->config.engine;
	u8 page[ENGINE_LAPIC_PAGE];
	struct vp_state state;
	int r = engine->lapic_get(vp->engine_vp, page);

	if (r == 0)
		r = engine->vp_get_state(vp->engine_vp, &state);
	if (r < 0)
		return r;
	lapic_from_page(&vp->lapic, page, state.apic_base, state.tsc_deadline);
	lapic_save(&vp->lapic, ret_block);
	return 0;
}

int engine_apic_restore(struct vp *vp, const void *block)
{
	const struct engine_ops *engine = vp->partition->config.engine;
	u8 page[ENGINE_LAPIC_PAGE];
	struct vp_state state;
	struct err err = { 0 };
	s64 offset = engine->vp_tsc_offset(vp->engine_vp);
	int r = lapic_restore(&vp->lapic, block);

	if (r == 0)
		r = engine->vp_get_state(vp->engine_vp, &state);
	if (r < 0)
		return r;
	/* The base decides how the page is read, so it goes first. */
	state.apic_base = atomic_load(&vp->lapic.base);
	state.tsc_deadline = vp->lapic.deadline;
	r = engine->vp_set_state(vp->engine_vp, &state, &err);
	lapic_to_page(&vp->lapic, page);
	if (r == 0)
		r = engine->lapic_set(vp->engine_vp, page);
	/* The deadline again: it is taken only where the timer is in that mode, as the page says. */
	if (r == 0)
		r = engine->vp_set_state(vp->engine_vp, &state, &err);
	if (r == 0)
		engine->vp_set_tsc_offset(vp->engine_vp, offset);
	return r;
}

int engine_apic_reset(struct vp *vp)
{
	u8 page[ENGINE_LAPIC_PAGE];

	lapic_reset(&vp->lapic);
	lapic_to_page(&vp->lapic, page);
	return vp->partition->config.engine->lapic_set(vp->engine_vp, page);
}
