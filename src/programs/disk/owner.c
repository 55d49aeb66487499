/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with the owner; see owner.h. */
#include "programs/disk/owner.h"

#include <errno.h>
#include <stdio.h>

#include "base/ipc.h"
#include "wall/wall.h"

static bool terminated(const struct disk_image_name *n)
{
	return memchr(n->name, 0, sizeof n->name) &&
	       memchr(n->nbd_export, 0, sizeof n->nbd_export) && n->format < DISK_FORMATS;
}

/* The owner is trusted, but one of another build would be worse than none. */
static const char *wrong_with(const struct disk_message *m, size_t size, unsigned fds)
{
	const struct disk_order *o = &m->u.order;

	if (size != sizeof *m || m->kind != DISK_ORDER ||
	    o->version != DISK_ORDER_VERSION)
		return "version";
	if ((o->has_source != 0) + (o->has_target != 0) != (int)fds)
		return "descriptors";
	if (!terminated(&o->source) || !terminated(&o->target) ||
	    !memchr(o->parent_relative, 0, sizeof o->parent_relative) ||
	    !memchr(o->parent_absolute, 0, sizeof o->parent_absolute))
		return "names";
	return NULL;
}

int owner_receive_order(struct disk_order *ret_order, int *ret_source, int *ret_target,
			struct err *err)
{
	static struct disk_message m;
	int fds[2] = { -1, -1 };
	unsigned count = 0, n = 0;
	const char *wrong;
	size_t size = 0;
	int r = ipc_receive(OWNER_FD, &m, sizeof m, &size, fds, 2, &count);

	if (r < 0)
		return err_set(err, r, "order: %s", err_words(r));
	wrong = wrong_with(&m, size, count);
	if (wrong) {
		err_set(err, -EPROTO, "order: wrong %s", wrong);
		return err_fix(err, "use programs of one version together");
	}
	*ret_order = m.u.order;
	*ret_source = m.u.order.has_source ? fds[n++] : -1;
	*ret_target = m.u.order.has_target ? fds[n++] : -1;
	return 0;
}

/* Nobody waits for the end of work whose owner is gone; images stand that. */
static int send(const struct disk_message *m)
{
	int r = ipc_send(OWNER_FD, m, sizeof *m, NULL, 0);

	if (r == -EPIPE)
		_exit(1);
	return r;
}

int owner_ask_parent(const struct disk_parent *parent, struct disk_image_name *ret_name,
		     int *ret_fd, struct err *err)
{
	static struct disk_message m;
	unsigned count = 0;
	size_t size = 0;
	int r;

	m = (struct disk_message){ .kind = DISK_NEED_PARENT };
	memcpy(m.u.need.relative, parent->relative, sizeof m.u.need.relative);
	memcpy(m.u.need.absolute, parent->absolute, sizeof m.u.need.absolute);
	r = send(&m);
	if (r == 0)
		r = ipc_receive(OWNER_FD, &m, sizeof m, &size, ret_fd, 1, &count);
	if (r < 0)
		return err_set(err, r, "parent: %s", err_words(r));
	if (size != sizeof m || m.kind != DISK_PARENT || count != 1 ||
	    !terminated(&m.u.parent))
		return err_set(err, -EPROTO, "parent: a wrong message");
	*ret_name = m.u.parent;
	return 0;
}

void owner_say_progress(u64 done, u64 total)
{
	struct disk_message m = { .kind = DISK_PROGRESS };

	m.u.progress.done = done;
	m.u.progress.total = total;
	(void)!send(&m);
}

void owner_say_finding(bool error, const char *text)
{
	struct disk_message m = { .kind = DISK_FINDING, .error = error };

	snprintf(m.u.text, sizeof m.u.text, "%s", text);
	(void)!send(&m);
}

void owner_say_facts(const struct disk_facts *facts)
{
	struct disk_message m = { .kind = DISK_FACTS };

	m.u.facts = *facts;
	(void)!send(&m);
}

void owner_say_done(void)
{
	struct disk_message m = { .kind = DISK_DONE };

	(void)!send(&m);
}

void owner_say_failed(const struct err *err)
{
	struct disk_message m = { .kind = DISK_FAILED };

	m.u.failed.code = err->code;
	memcpy(m.u.failed.text, err->text, sizeof m.u.failed.text);
	memcpy(m.u.failed.fix, err->fix, sizeof m.u.failed.fix);
	(void)!send(&m);
}
