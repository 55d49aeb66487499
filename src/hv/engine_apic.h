/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APICs that are the engine's (engine_ops.own_lapic): the board's messages go to the
 * engine, and an APIC's register page becomes the same state block that chips/lapic.h makes, so
 * that a guest can move between engines.
 *
 * Threads: send and routes under the chipset lock; the others while the VP stands.
 */
#pragma once

#include "base/types.h"
#include "hv/chips/apic_bus.h"

struct chipset;
struct engine_route;
struct vp;

/* Returns to how many it was given: 1, or 0 when the engine refused it. */
unsigned engine_apic_send(struct chipset *chipset, const struct apic_message *message);

/* A message as the engine takes it. */
struct engine_route engine_apic_message_route(const struct apic_message *message);
/* What a device's write sends, as the engine takes it; false: that is no interrupt. */
bool engine_apic_route(u64 address, u32 data, struct engine_route *ret_route) MUST_CHECK;

/* The IOAPIC's entries may have changed: tell the engine, if they did. */
void engine_apic_routes(struct chipset *chipset);

/* State blocks as lapic_save and lapic_restore have them; through vp->lapic, which is unused else. */
int engine_apic_save(struct vp *vp, void *ret_block) MUST_CHECK;
int engine_apic_restore(struct vp *vp, const void *block) MUST_CHECK;
int engine_apic_reset(struct vp *vp) MUST_CHECK;
