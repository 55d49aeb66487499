/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters of a VM that runs; see live_nics.h. */
#include "programs/cli/live_nics.h"

#include <errno.h>
#include <stdio.h>

#include "programs/cli/live_guest.h"
#include "programs/cli/words.h"

bool live_nics_find(const struct live_nics *live, const char *id, unsigned *ret_nic)
{
	const char *rest;
	u64 nic;

	if (strncmp(id, "nic", 3) != 0 || !parse_number(id + 3, &nic, &rest) || *rest ||
	    nic >= live->nics->count)
		return false;
	*ret_nic = (unsigned)nic;
	return true;
}

json_t *live_nics_show(const struct live_nics *live, unsigned nic)
{
	const struct run_nic *n = &live->nics->nic[nic];
	json_t *forwards = json_array();
	char id[16], mac[18], network[sizeof n->name + 16];

	snprintf(id, sizeof id, "nic%u", nic);
	snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1],
		 n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
	run_nic_network(n, network, sizeof network);
	for (unsigned k = 0; k < n->forward_count; k++) {
		char text[64];

		nat_forward_text(&n->forward[k], text, sizeof text);
		json_array_append_new(forwards, json_string(text));
	}
	return json_pack("{s:s, s:s, s:s, s:i, s:b, s:s, s:o}", "id", id, "network",
			 network, "mac", mac, "mtu", (int)n->mtu, "spoofing",
			 (int)n->spoofing, "link", live->out[nic] ? "down" : "up",
			 "forwards", forwards);
}

json_t *live_nics_list(const struct live_nics *live)
{
	json_t *list = json_array();

	for (unsigned k = 0; k < live->nics->count; k++)
		json_array_append_new(list, live_nics_show(live, k));
	return list;
}

/* An order about a cable, until its answer. */
struct pulling {
	struct live_nics *live;
	unsigned nic;
	bool up;
	live_nic_fn done;
	void *owner;
};

static void on_answered(void *owner, int r, json_t *pairs, const struct err *err)
{
	AUTO_FREE struct pulling *p = owner;

	if (r == 0)
		p->live->out[p->nic] = !p->up;
	p->done(p->owner, r, r == 0 ? live_nics_show(p->live, p->nic) : NULL, err);
}

void live_nics_set_link(struct live_nics *live, unsigned nic, bool up, live_nic_fn done,
			void *owner)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_LINK,
					    .size = nic,
					    .yes = up };
	struct pulling *p = calloc(1, sizeof *p);
	struct err err = { 0 };

	if (!p) {
		err_set(&err, -ENOMEM, "%s", err_words(-ENOMEM));
		done(owner, err.code, NULL, &err);
		return;
	}
	*p = (struct pulling){ live, nic, up, done, owner };
	live_guest_ask(live->guest, &order, -1, on_answered, p);
}
