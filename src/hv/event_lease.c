/* SPDX-License-Identifier: Apache-2.0 */
/* A VP's event flags, lent to the worker; see event_lease.h. */
#include "hv/event_lease.h"

#include <errno.h>
#include <unistd.h>

#include "hv/engine_apic.h"
#include "hv/partition.h"
#include "hv/vp.h"

static const struct engine_ops *engine_of(const struct vp *vp)
{
	return vp->partition->config.engine;
}

static unsigned number_of(const struct vp *vp)
{
	return ENGINE_VP_EVENT + vp->index;
}

void event_lease_init(struct vp *vp)
{
	vp->lease = (struct event_lease){ .event = -1 };
}

void event_lease_done(struct vp *vp)
{
	struct event_lease *lease = &vp->lease;

	if (lease->event < 0)
		return;
	engine_of(vp)->msi_event_remove(vp->partition->engine_vm, number_of(vp),
					lease->event);
	close(lease->event);
	lease->event = -1;
}

int event_lease_ask(struct vp *vp, int *io_fd)
{
	static const struct engine_route nowhere;
	struct event_lease *lease = &vp->lease;
	int r;

	if (!engine_of(vp)->msi_event_route)
		return -EOPNOTSUPP;
	if (lease->event >= 0)
		return -EEXIST;
	if (*io_fd < 0)
		return -EINVAL;
	r = engine_of(vp)->msi_event_add(vp->partition->engine_vm, number_of(vp),
					 &nowhere, *io_fd);
	if (r < 0)
		return r;
	lease->event = take_fd(io_fd);
	event_lease_lend(vp);
	return 0;
}

void event_lease_lend(struct vp *vp)
{
	struct partition *p = vp->partition;
	struct event_lease *lease = &vp->lease;
	struct apic_message message = { .destination = vp->index };
	struct engine_route route;
	gpa_t flags;

	if (lease->event < 0 || lease->lent ||
	    !synic_events_at(&vp->synic, HV_SINT_VMBUS, &flags, &message.vector))
		return;
	route = engine_apic_message_route(&message);
	if (engine_of(vp)->msi_event_route(p->engine_vm, number_of(vp), &route) < 0)
		return;
	lease->lent = true;
	/* The vector first: who sees the place may ring. */
	wall_hv_lend_events(&p->wall, vp->index, flags);
}

/* Who rings all the same interrupts nobody. */
static void end_route(struct vp *vp)
{
	static const struct engine_route nowhere;

	vp->lease.lent = false;
	(void)engine_of(vp)->msi_event_route(vp->partition->engine_vm, number_of(vp),
					     &nowhere);
}

void event_lease_take(struct vp *vp)
{
	if (!vp->lease.lent)
		return;
	wall_hv_lend_events(&vp->partition->wall, vp->index, WALL_NOT_LENT);
	io_map_ask_events_back(vp);
	end_route(vp);
}

void event_lease_drop(struct vp *vp)
{
	if (!vp->lease.lent)
		return;
	wall_hv_lend_events(&vp->partition->wall, vp->index, WALL_NOT_LENT);
	end_route(vp);
}
