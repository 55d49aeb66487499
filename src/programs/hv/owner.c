/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's owner; see owner.h. */
#include "programs/hv/owner.h"

#include <errno.h>
#include <stdio.h>

#include "base/ipc.h"
#include "base/log.h"
#include "hv/vp.h"

static void tell(int socket, const struct owner_message *m)
{
	/* An owner that is gone is noticed by the loop. */
	if (ipc_send(socket, m, sizeof *m, NULL, 0) < 0)
		log_debug("the owner did not take message %u", m->kind);
}

int owner_receive_config(int socket, struct hv_config *ret_config,
			 int ret_fds[HV_FD_COUNT], struct err *err)
{
	struct owner_message m = { 0 };
	int fds[HV_FD_COUNT];
	unsigned count = 0, used = 0;
	size_t size = 0;
	int r = ipc_receive(socket, &m, sizeof m, &size, fds, HV_FD_COUNT, &count);

	if (r < 0)
		return err_set(err, r, "no configuration came: %s", err_words(r));
	if (size != sizeof m || m.kind != OWNER_HV_CONFIG ||
	    m.u.hv.version != WALL_VERSION)
		return err_set(err, -EPROTO,
			       "the configuration is not of this version of Tabique");
	for (unsigned k = 0; k < HV_FD_COUNT; k++) {
		ret_fds[k] = -1;
		if ((m.u.hv.fd_mask & BIT(k)) && used < count)
			ret_fds[k] = fds[used++];
	}
	if (used != count || used != (unsigned)__builtin_popcount(m.u.hv.fd_mask))
		return err_set(err, -EPROTO,
			       "the configuration's descriptors do not fit it");
	*ret_config = m.u.hv;
	return 0;
}

void owner_tell_ready(struct owner *owner, const char *report)
{
	struct owner_message m = { .kind = OWNER_READY, .size = sizeof m.u.ready };

	snprintf(m.u.ready.text, sizeof m.u.ready.text, "%s", report);
	tell(owner->socket, &m);
}

void owner_tell_failed(int socket, const struct err *err)
{
	struct owner_message m = { .kind = OWNER_FAILED, .size = sizeof m.u.failed };

	m.u.failed.code = err->code;
	snprintf(m.u.failed.text, sizeof m.u.failed.text, "%s", err->text);
	snprintf(m.u.failed.fix, sizeof m.u.failed.fix, "%s", err->fix);
	tell(socket, &m);
}

/* ---- what the partition says ----------------------------------------------------------------- */

static void on_first_entry(void *owner, u64 monotonic_ns)
{
	struct owner *o = owner;
	struct owner_message m = { .kind = OWNER_FIRST_ENTRY, .size = sizeof m.u.stats };

	m.u.stats.first_entry_ns = monotonic_ns;
	tell(o->socket, &m);
}

static void on_ended(void *owner, enum vm_end end, u32 code, const char *text)
{
	struct owner *o = owner;
	struct owner_message m = { .kind = OWNER_ENDED, .size = sizeof m.u.ended };

	m.u.ended.end = end;
	m.u.ended.code = code;
	snprintf(m.u.ended.text, sizeof m.u.ended.text, "%s", text);
	tell(o->socket, &m);
	/* The owner may still ask for figures; when it has closed its end, so do we. */
}

static void on_guest_reset(void *owner)
{
	struct owner *o = owner;
	struct owner_message m = { .kind = OWNER_GUEST_RESET };

	tell(o->socket, &m);
}

const struct partition_events owner_events = {
	.first_entry = on_first_entry,
	.ended = on_ended,
	.guest_reset = on_guest_reset,
};

/* ---- what the owner asks --------------------------------------------------------------------- */

static void send_inspect(struct owner *o, const char *path)
{
	struct owner_message m = { .kind = OWNER_INSPECT };
	size_t size, at = 0, piece;

	partition_inspect(o->partition, path, o->text, OWNER_INSPECT_SIZE);
	size = strlen(o->text);
	do {
		piece = min_u64(size - at, sizeof m.u.text - 1);
		memset(m.u.text, 0, sizeof m.u.text);
		memcpy(m.u.text, o->text + at, piece);
		m.size = (u32)piece;
		tell(o->socket, &m);
		at += piece;
	} while (piece > 0); /* the last one is empty */
}

static void handle(struct owner *o, struct owner_message *m)
{
	switch ((enum owner_kind)m->kind) {
	case OWNER_POWER_BUTTON:
		chipset_power_button(&o->partition->chipset);
		return;
	case OWNER_NMI:
		vp_nmi(o->partition->vp[0]);
		return;
	case OWNER_STATS_ASK: {
		struct owner_message answer = { .kind = OWNER_STATS,
						.size = sizeof answer.u.stats };

		partition_stats(o->partition, &answer.u.stats);
		tell(o->socket, &answer);
		return;
	}
	case OWNER_INSPECT_ASK:
		m->u.path[sizeof m->u.path - 1] = '\0';
		send_inspect(o, m->u.path);
		return;
	case OWNER_HV_CONFIG:
	case OWNER_WORKER_CONFIG:
	case OWNER_READY:
	case OWNER_LOADED:
	case OWNER_FAILED:
	case OWNER_ENDED:
	case OWNER_FIRST_ENTRY:
	case OWNER_RESET:
	case OWNER_HOST_MEMORY:
	case OWNER_MEMORY:
	case OWNER_STATS:
	case OWNER_INSPECT:
	case OWNER_GUEST_RESET:
	case OWNER_DISK:
	case OWNER_DISK_DONE:
	case OWNER_GUEST:
	case OWNER_GUEST_PAIR:
	case OWNER_GUEST_DONE:
	case OWNER_DISK_EJECTED:
		break; /* not for us */
	}
	log_warn("message %u of the owner ignored", m->kind);
}

static void on_socket(void *owner, unsigned events)
{
	struct owner *o = owner;
	struct owner_message m = { 0 };
	unsigned fd_count;
	size_t size;
	int r;

	(void)events;
	r = ipc_receive(o->socket, &m, sizeof m, &size, NULL, 0, &fd_count);
	if (r == -EAGAIN)
		return;
	if (r < 0) { /* gone: nobody wants this VM any more */
		loop_watch_remove(o->watch);
		o->watch = NULL;
		loop_stop(o->loop);
		return;
	}
	handle(o, &m);
}

int owner_watch(struct owner *o, struct err *err)
{
	int r = loop_watch_add(o->loop, o->socket, LOOP_READ, on_socket, o, &o->watch);

	return r < 0 ? err_set(err, r, "cannot watch the owner: %s", err_words(r)) : 0;
}
