/* SPDX-License-Identifier: Apache-2.0 */
/* Orders about the guest; see guest.h. */
#include "programs/worker/guest.h"

#include <errno.h>

#include "base/log.h"
#include "machine/desk.h"
#include "machine/direct.h"
#include "machine/nics.h"
#include "machine/screen.h"
#include "programs/worker/owner.h"
#include "vsp/balloon/balloon.h"
#include "vsp/ic/components.h"

/* An order until its answer. */
struct asked {
	int owner;
	u32 id;
};

static void on_done(void *owner, int r, const struct err *err)
{
	struct asked *asked = owner;

	owner_say_guest(asked->owner, asked->id, r, err);
	free(asked);
}

static void on_pair(void *owner, u8 pool, const char *key, const char *value)
{
	struct asked *asked = owner;

	owner_say_pair(asked->owner, asked->id, pool, key, value);
}

static void set_address(struct kvp *kvp, const struct worker_guest_order *o,
			struct asked *asked)
{
	const struct kvp_address address = {
		.adapter = o->name,
		.dhcp = o->yes,
		.address = o->ip.address,
		.mask = o->ip.mask,
		.gateway = o->ip.gateway,
		.dns = o->ip.dns,
	};

	kvp_set_address(kvp, &address, on_done, asked);
}

static void copy(struct fcopy *fcopy, const struct worker_guest_order *o, int fd,
		 struct asked *asked)
{
	const struct fcopy_order order = {
		.name = o->name,
		.folder = o->text,
		.overwrite = o->yes,
		.make_path = true,
		.size = o->size,
	};

	fcopy_copy(fcopy, &order, fd, on_done, asked);
}

static void resume(struct direct *machine, struct asked *asked)
{
	struct err err = { 0 };
	int r = direct_resume(machine, &err);

	on_done(asked, r, &err);
}

static void set_link(struct direct *machine, const struct worker_guest_order *o,
		     struct asked *asked)
{
	struct err err = { 0 };
	int r = nics_link(direct_nics(machine), o->size, o->yes != 0, &err);

	on_done(asked, r, &err);
}

static void change_memory(struct direct *machine, const struct worker_memory_change *c,
			  struct asked *asked)
{
	const struct balloon_change change = {
		.mask = c->mask,
		.size = c->size,
		.limits = { .min = c->limits.min,
			    .max = c->limits.max,
			    .buffer = c->limits.buffer,
			    .weight = c->limits.weight },
	};
	struct err err = { 0 };
	int r = balloon_change(direct_balloon(machine), &change, &err);

	on_done(asked, r, &err);
}

_Static_assert(BALLOON_SIZE == (int)WORKER_MEMORY_SIZE &&
		       BALLOON_MIN == (int)WORKER_MEMORY_MIN &&
		       BALLOON_MAX == (int)WORKER_MEMORY_MAX &&
		       BALLOON_BUFFER == (int)WORKER_MEMORY_BUFFER &&
		       BALLOON_WEIGHT == (int)WORKER_MEMORY_WEIGHT,
	       "one mask");

static void point(struct desk *desk, const struct worker_guest_order *o,
		  struct asked *asked)
{
	const struct mouse_event event = {
		.x = o->pointer.x,
		.y = o->pointer.y,
		.buttons = (u8)min_u64(o->pointer.buttons, UINT8_MAX),
		.wheel = o->pointer.wheel,
	};
	struct err err = { 0 };
	int r = desk_point(desk, &event, &err);

	on_done(asked, r, &err);
}

static void take_picture(struct desk *desk, bool text, int fd, struct asked *asked)
{
	struct err err = { 0 };
	int r = text ? desk_text(desk, fd, &err) : desk_picture(desk, fd, &err);

	close(fd);
	on_done(asked, r, &err);
}

void guest_order(int owner, struct direct *machine, const struct worker_guest_order *o,
		 int fd)
{
	struct components *components = direct_components(machine);
	struct desk *desk = direct_desk(machine);
	struct asked *asked = calloc(1, sizeof *asked);
	struct err err = { 0 };

	if (o->op == WORKER_GUEST_SCREEN) {
		if (screen_show(direct_screen(machine), fd) < 0)
			log_warn("a viewer too many was turned away");
		free(asked);
		return;
	}
	if (!asked) {
		if (fd >= 0)
			close(fd);
		err_set(&err, -ENOMEM, "%s", err_words(-ENOMEM));
		owner_say_guest(owner, o->id, err.code, &err);
		return;
	}
	*asked = (struct asked){ owner, o->id };
	switch ((enum worker_guest_op)o->op) {
	case WORKER_GUEST_PAUSE:
		direct_pause(machine, on_done, asked);
		return;
	case WORKER_GUEST_RESUME:
		resume(machine, asked);
		return;
	case WORKER_GUEST_STOP:
	case WORKER_GUEST_REBOOT:
		shutdown_ask(&components->shutdown, o->op == WORKER_GUEST_REBOOT, on_done,
			     asked);
		return;
	case WORKER_GUEST_KVP_LIST:
		kvp_list(&components->kvp, on_pair, on_done, asked);
		return;
	case WORKER_GUEST_KVP_SET:
		kvp_set(&components->kvp, o->name, o->text, on_done, asked);
		return;
	case WORKER_GUEST_KVP_DELETE:
		kvp_set(&components->kvp, o->name, NULL, on_done, asked);
		return;
	case WORKER_GUEST_ADDRESS:
		set_address(&components->kvp, o, asked);
		return;
	case WORKER_GUEST_FREEZE:
		vss_freeze(&components->vss, on_done, asked);
		return;
	case WORKER_GUEST_THAW:
		vss_thaw(&components->vss, on_done, asked);
		return;
	case WORKER_GUEST_COPY:
		copy(&components->fcopy, o, fd, asked);
		return;
	case WORKER_GUEST_LINK:
		set_link(machine, o, asked);
		return;
	case WORKER_GUEST_MEMORY:
		change_memory(machine, &o->memory, asked);
		return;
	case WORKER_GUEST_TYPE:
		desk_type(desk, o->name, o->text, on_done, asked);
		return;
	case WORKER_GUEST_PRESS:
		desk_press(desk, o->text, on_done, asked);
		return;
	case WORKER_GUEST_POINT:
		point(desk, o, asked);
		return;
	case WORKER_GUEST_PICTURE:
		take_picture(desk, o->yes, fd, asked);
		return;
	case WORKER_GUEST_SCREEN: /* above */
	case WORKER_GUEST_OPS:
		break;
	}
	free(asked);
}
