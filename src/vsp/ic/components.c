/* SPDX-License-Identifier: Apache-2.0 */
/* All integration components of a machine; see components.h. */
#include "vsp/ic/components.h"

#include <errno.h>

/* ---- time ------------------------------------------------------------------------------------ */

static void on_wake(void *owner)
{
	struct components *c = owner;
	u64 when = UINT64_MAX;

	for (unsigned k = 0; k < COMPONENTS; k++)
		if (c->channel[k])
			when = min_u64(when, ic_channel_when(c->channel[k]));
	c->config.wake_at(c->config.owner, when);
}

void components_due(struct components *c)
{
	u64 now = c->config.clock->monotonic_ns(c->config.clock);

	for (unsigned k = 0; k < COMPONENTS; k++)
		ic_channel_due(c->channel[k], now);
	on_wake(c);
}

static bool reference_time(void *owner, u64 *ret_time)
{
	struct components *c = owner;

	return c->config.reference_time(c->config.owner, ret_time);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* The order of the offers: numbers of channels follow from it, and saved states know them. */
static int offer_all(struct components *c)
{
	int r = heartbeat_offer(&c->heartbeat, &c->host);

	if (r == 0)
		r = shutdown_offer(&c->shutdown, &c->host);
	if (r == 0)
		r = timesync_offer(&c->timesync, &c->host);
	if (r == 0)
		r = kvp_offer(&c->kvp, &c->host);
	if (r == 0)
		r = vss_offer(&c->vss, &c->host);
	if (r == 0)
		r = fcopy_offer(&c->fcopy, &c->host);
	return r;
}

int components_new(const struct components_config *config,
		   struct components **ret_components)
{
	struct components *c = calloc(1, sizeof *c);
	int r = c ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	c->config = *config;
	c->host = (struct ic_host){
		.server = config->server,
		.clock = config->clock,
		.loop = config->loop,
		.wake = on_wake,
		.reference_time = reference_time,
		.owner = c,
	};
	r = offer_all(c);
	if (r < 0) {
		free(c);
		return r;
	}
	memcpy(c->channel,
	       (struct ic_channel *[COMPONENTS]){
		       &c->heartbeat.channel,
		       &c->shutdown.channel,
		       &c->timesync.channel,
		       &c->kvp.channel,
		       &c->vss.channel,
		       &c->fcopy.channel,
	       },
	       sizeof c->channel);
	*ret_components = c;
	return 0;
}

void components_free(struct components *c)
{
	if (c)
		fcopy_done(&c->fcopy);
	free(c);
}

/* ---- going on, here or elsewhere ------------------------------------------------------------- */

void components_pause(struct components *c)
{
	c->host.paused = true;
	on_wake(c);
}

void components_resume(struct components *c)
{
	c->host.paused = false;
	for (unsigned k = 0; k < COMPONENTS; k++)
		ic_channel_resume(c->channel[k]);
	on_wake(c);
}

void components_save(const struct components *c, struct state_writer *w)
{
	for (unsigned k = 0; k < COMPONENTS; k++)
		ic_channel_save(c->channel[k], w);
}

int components_restore(struct components *c, const u8 *bytes, size_t size)
{
	int r = 0;

	for (unsigned k = 0; r == 0 && k < COMPONENTS; k++)
		r = ic_channel_restore(c->channel[k], bytes, size);
	return r;
}

void components_inspect(const struct components *c, struct inspect *out)
{
	for (unsigned k = 0; k < COMPONENTS; k++)
		ic_channel_inspect(c->channel[k], out);
}
