/* SPDX-License-Identifier: Apache-2.0 */
/* The SynIC and the synthetic timers of a VP, and what they reach; see vp.h. */
#include <errno.h>

#include "base/ipc.h"
#include "base/log.h"
#include "hv/engine_apic.h"
#include "hv/guest_ram.h"
#include "hv/partition.h"
#include "hv/vp.h"

#define NS_PER_UNIT (NS_PER_SEC / HV_TIME_UNITS_PER_SEC)
/* No alarm is set further away: sums stay in range, and it is looked at again then. */
#define FURTHEST_NS (1000000 * NS_PER_SEC)

void vp_interrupt(struct vp *vp, u8 vector)
{
	struct partition *p = vp->partition;
	struct apic_message m = { .destination = vp->index, .vector = vector };

	if (p->config.engine->own_lapic)
		(void)engine_apic_send(&p->chipset, &m);
	else
		(void)lapic_accept(&vp->lapic, &m);
}

/* ---- the SynIC --------------------------------------------------------------------------------- */

static u8 *on_page(void *owner, gpa_t gpa)
{
	struct vp *vp = owner;

	return guest_ram_page(vp->partition, gpa);
}

static void on_wrote(void *owner, gpa_t gpa)
{
	struct vp *vp = owner;

	guest_ram_wrote(vp->partition, gpa);
}

static void on_interrupt(void *owner, u8 vector)
{
	vp_interrupt(owner, vector);
}

/* Guests are told not to use them (HV_HINT_NO_AUTO_EOI), and are served if they do. */
static void on_auto_eoi(void *owner, u8 vector, bool on)
{
	struct vp *vp = owner;
	const struct engine_ops *engine = vp->partition->config.engine;

	/* An engine's own LAPIC is told; the block of a saved one says it all the same. */
	lapic_set_auto_eoi(&vp->lapic, vector, on);
	if (engine->own_lapic && engine->vp_auto_eoi(vp->engine_vp, vector, on) < 0 && on)
		log_guest("vp %u: vector %u is to end by itself, which it does not on "
			  "this host's KVM: the guest stops being interrupted by it",
			  vp->index, vector);
}

static void on_room(void *owner)
{
	struct vp *vp = owner;

	ipc_event_ring(vp->partition->wall.config.access_event);
}

static u64 on_now(void *owner)
{
	return guest_interface_time(owner);
}

static const struct synic_ops synic_ops = {
	.page = on_page,
	.wrote = on_wrote,
	.interrupt = on_interrupt,
	.auto_eoi = on_auto_eoi,
	.room = on_room,
	.now = on_now,
};

bool vp_write_synic(struct vp *vp, u32 index, u64 value)
{
	bool moves = index == HV_MSR_SCONTROL || index == HV_MSR_SIEFP ||
		     index == HV_MSR_SINT0 + HV_SINT_VMBUS;
	bool known;

	if (moves)
		event_lease_take(vp);
	known = synic_msr_write(&vp->synic, index, value);
	if (moves)
		event_lease_lend(vp);
	return known;
}

/* ---- timers ------------------------------------------------------------------------------------ */

static void on_alarm(void *owner, u64 when)
{
	struct vp *vp = owner;
	const struct clock *clock = &vp->partition->clock.clock;
	u64 now = guest_interface_time(vp), ns = FURTHEST_NS;

	if (when == STIMER_NEVER) {
		vp_set_alarm(vp, VP_ALARM_STIMER, CHIP_NO_ALARM);
		return;
	}
	if (when <= now)
		ns = 0;
	else if (when - now < FURTHEST_NS / NS_PER_UNIT)
		ns = (when - now) * NS_PER_UNIT;
	vp_set_alarm(vp, VP_ALARM_STIMER, clock->monotonic_ns(clock) + ns);
}

static bool on_message(void *owner, unsigned timer, unsigned sint, u64 expiry)
{
	struct vp *vp = owner;

	return synic_timer_message(&vp->synic, timer, sint, expiry);
}

static void on_cancel(void *owner, unsigned timer)
{
	struct vp *vp = owner;

	synic_timer_cancel(&vp->synic, timer);
}

static const struct stimer_ops stimer_ops = {
	.now = on_now,
	.alarm = on_alarm,
	.interrupt = on_interrupt,
	.message = on_message,
	.cancel = on_cancel,
};

/* ---- connections ------------------------------------------------------------------------------- */

enum hv_status vp_post_message(struct vp *vp, u32 connection, u32 type,
			       const void *payload, u32 size)
{
	enum hv_status status;

	if (vp->partition->hyperv_test &&
	    hyperv_testdev_message(vp->partition, connection, type, payload, size,
				   &status))
		return status;
	return io_map_post_message(vp, connection, type, payload, size);
}

enum hv_status vp_signal_event(struct vp *vp, u32 connection)
{
	enum hv_status status;

	if (vp->partition->hyperv_test &&
	    hyperv_testdev_event(vp->partition, connection, &status))
		return status;
	return io_map_ring_connection(vp, connection) ? HV_SUCCESS
						      : HV_INVALID_CONNECTION;
}

/* ---- life -------------------------------------------------------------------------------------- */

void vp_synthetic_init(struct vp *vp)
{
	synic_init(&vp->synic, &synic_ops, vp);
	stimer_init(&vp->stimers, &stimer_ops, vp);
	event_lease_init(vp);
}

void vp_synthetic_done(struct vp *vp)
{
	event_lease_done(vp);
	synic_done(&vp->synic);
}

void vp_synthetic_reset(struct vp *vp)
{
	event_lease_drop(vp);
	synic_reset(&vp->synic);
	stimer_reset(&vp->stimers);
	vp_set_assist_page(vp, 0);
}

void vp_set_assist_page(struct vp *vp, u64 value)
{
	const struct engine_ops *engine = vp->partition->config.engine;

	vp->assist_page = value;
	if (engine->vp_assist_page)
		engine->vp_assist_page(vp->engine_vp, value);
}

#define STATE_VERSION 1

struct synthetic_state {
	struct chip_state_head head;
	struct synic_state synic;
	struct stimer_state stimer[HV_STIMERS];
	le64 assist_page;
} PACKED;
_Static_assert(sizeof(struct synthetic_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void vp_save_synthetic(struct vp *vp, void *ret_block)
{
	struct synthetic_state state = { .assist_page = le64_of(vp->assist_page) };

	synic_save(&vp->synic, &state.synic);
	stimer_save(&vp->stimers, state.stimer);
	chip_state_finish(ret_block, STATE_VERSION, &state, sizeof state);
}

int vp_restore_synthetic(struct vp *vp, const void *block)
{
	struct synthetic_state state;
	struct stimers before = vp->stimers;
	int r;

	if (!chip_state_take(block, STATE_VERSION, &state, sizeof state))
		return -EINVAL;
	event_lease_drop(vp);
	r = stimer_restore(&vp->stimers, state.stimer);
	if (r == 0)
		r = synic_restore(&vp->synic, &state.synic);
	if (r < 0)
		vp->stimers = before;
	else
		vp_set_assist_page(vp, le64_get(state.assist_page));
	event_lease_lend(vp);
	return r;
}

void vp_inspect_synthetic(struct vp *vp, struct inspect *out)
{
	synic_inspect(&vp->synic, out);
	inspect_line(out, "event flags", "%s",
		     vp->lease.lent ? "set by the worker" : "set by the hypervisor");
	stimer_inspect(&vp->stimers, out);
	inspect_line(out, "assist page", "0x%llx", (unsigned long long)vp->assist_page);
}
