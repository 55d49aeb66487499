/* SPDX-License-Identifier: Apache-2.0 */
/* Orders about the guest; see guest.h. */
#include "programs/worker/guest.h"

#include <errno.h>

#include "machine/direct.h"
#include "programs/worker/owner.h"
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

static void resume(struct direct *machine, struct asked *asked)
{
	struct err err = { 0 };
	int r = direct_resume(machine, &err);

	on_done(asked, r, &err);
}

void guest_order(int owner, struct direct *machine, const struct worker_guest_order *o)
{
	struct components *components = direct_components(machine);
	struct asked *asked = calloc(1, sizeof *asked);
	struct err err = { 0 };

	if (!asked) {
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
	case WORKER_GUEST_OPS:
		break;
	}
	free(asked);
}
