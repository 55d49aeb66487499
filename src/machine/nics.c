/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's network adapters; see nics.h. */
#include "machine/nics.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/loop.h"
#include "vsp/netvsp/netvsp.h"
#include "wall/worker_config.h"

struct nic {
	struct netvsp *netvsp;
	struct loop_alarm alarm;
	bool plugged;
};

struct nics {
	u32 count;
	bool moved; /* restored, and not resumed yet */
	struct nic nic[WORKER_MAX_NICS];
};

static void on_alarm(void *owner)
{
	struct nic *nic = owner;

	netvsp_due(nic->netvsp);
}

static void wake_at(void *owner, u64 when_ns)
{
	struct nic *nic = owner;

	loop_alarm_set(&nic->alarm, when_ns);
}

/* The same in each life of the VM: by this the guest names its adapter. */
static struct guid instance_of(u32 number)
{
	return (struct guid)GUID(0x7ab19e00 + number, 0x6e6e, 0x4e49, 0x81, 0x1c, 0x74,
				 0x61, 0x62, 0x69, 0x71, (u8)number);
}

static int new_nic(struct nics *n, u32 k, const struct nics_config *config, int fd,
		   struct err *err)
{
	const struct worker_nic *c = &config->config->nic[k];
	struct nic *nic = &n->nic[k];
	struct netvsp_config nc = {
		.server = config->server,
		.gm = config->gm,
		.loop = config->loop,
		.clock = &host_clock,
		.wake_at = wake_at,
		.owner = nic,
		.instance = instance_of(k),
		.mtu = c->mtu,
		.spoofing = c->spoofing != 0,
		.max_sub_channels = (u16)min_u64(config->config->vp_count - 1,
						 NETVSP_MAX_SUB_CHANNELS),
	};
	int r;

	memcpy(nc.mac, c->mac, sizeof nc.mac);
	loop_alarm_init(config->loop, &nic->alarm, on_alarm, nic);
	r = netvsp_new(&nc, &nic->netvsp);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return err_set(err, r, "network adapter %u: %s", k, err_words(r));
	}
	nic->plugged = fd >= 0;
	if (!nic->plugged)
		return 0;
	return netvsp_plug(nic->netvsp,
			   c->port == WORKER_NIC_TAP ? NET_PORT_TAP : NET_PORT_SOCKET, fd,
			   err);
}

int nics_new(const struct nics_config *config, const int *fd, struct nics **ret_nics,
	     struct err *err)
{
	struct nics *n = calloc(1, sizeof *n);
	int r = n ? 0 : err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));

	for (u32 k = 0; k < config->config->nic_count; k++) {
		if (r == 0)
			r = new_nic(n, n->count++, config, fd[k], err);
		else if (fd[k] >= 0)
			close(fd[k]);
	}
	if (r < 0) {
		nics_free(n);
		return r;
	}
	*ret_nics = n;
	return 0;
}

void nics_free(struct nics *n)
{
	if (!n)
		return;
	for (u32 k = 0; k < n->count; k++) {
		loop_alarm_set(&n->nic[k].alarm, UINT64_MAX);
		netvsp_free(n->nic[k].netvsp);
	}
	free(n);
}

int nics_link(struct nics *n, u64 nic, bool in, struct err *err)
{
	if (nic >= n->count || !n->nic[nic].plugged) {
		err_set(err, -ENOENT,
			nic >= n->count ? "there is no network adapter %llu"
					: "network adapter %llu has nothing to be "
					  "plugged "
					  "into",
			(unsigned long long)nic);
		return err_fix(err, "see which there are: tabique vm show");
	}
	netvsp_link(n->nic[nic].netvsp, in);
	return 0;
}

void nics_reset(struct nics *n)
{
	for (u32 k = 0; k < n->count; k++)
		netvsp_reset(n->nic[k].netvsp);
}

void nics_pause(struct nics *n)
{
	for (u32 k = 0; k < n->count; k++)
		netvsp_pause(n->nic[k].netvsp);
}

void nics_resume(struct nics *n)
{
	for (u32 k = 0; k < n->count; k++)
		netvsp_resume(n->nic[k].netvsp, n->moved);
	n->moved = false;
}

int nics_save(const struct nics *n, struct state_writer *w)
{
	int r = 0;

	for (u32 k = 0; r == 0 && k < n->count; k++)
		r = netvsp_save(n->nic[k].netvsp, w);
	return r;
}

int nics_restore(struct nics *n, const u8 *bytes, size_t size)
{
	int r = 0;

	for (u32 k = 0; r == 0 && k < n->count; k++)
		r = netvsp_restore(n->nic[k].netvsp, bytes, size);
	n->moved = true;
	return r;
}

void nics_inspect(const struct nics *n, struct inspect *out)
{
	char branch[32];

	for (u32 k = 0; k < n->count; k++) {
		snprintf(branch, sizeof branch, "nic.%u", k);
		netvsp_inspect(n->nic[k].netvsp, branch, out);
	}
}
