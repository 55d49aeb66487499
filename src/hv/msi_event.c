/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts by eventfd; see msi_event.h. */
#include "hv/msi_event.h"

#include <errno.h>
#include <unistd.h>

#include "hv/engine_apic.h"
#include "hv/partition.h"

static int remove_event(struct partition *p, u32 number)
{
	struct msi_events *events = &p->msi_events;

	if (!events->used[number])
		return -ENOENT;
	p->config.engine->msi_event_remove(p->engine_vm, number, events->event[number]);
	close(events->event[number]);
	events->used[number] = false;
	return 0;
}

int msi_event_set(struct partition *p, const struct wall_request *request, int *io_fd)
{
	const struct engine_ops *engine = p->config.engine;
	struct msi_events *events = &p->msi_events;
	u32 number = request->u.msi_event.number;
	struct engine_route route;
	int r;

	if (!engine->msi_event_add)
		return -EOPNOTSUPP;
	if (number >= WALL_MAX_MSI_EVENTS || request->u.msi_event.remove > 1)
		return -EINVAL;
	if (request->u.msi_event.remove)
		return remove_event(p, number);
	if (events->used[number])
		return -EEXIST;
	if (*io_fd < 0 || !engine_apic_route(request->u.msi_event.address,
					     request->u.msi_event.data, &route))
		return -EINVAL;
	r = engine->msi_event_add(p->engine_vm, number, &route, *io_fd);
	if (r < 0)
		return r;
	events->event[number] = take_fd(io_fd);
	events->used[number] = true;
	return 0;
}

void msi_events_done(struct msi_events *events)
{
	for (unsigned k = 0; k < WALL_MAX_MSI_EVENTS; k++) {
		if (events->used[k])
			close(events->event[k]);
		events->used[k] = false;
	}
}
