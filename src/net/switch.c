/* SPDX-License-Identifier: Apache-2.0 */
/* Which ports a frame goes to; see switch.h. */
#include "net/switch.h"

#include "net/frame.h"

static const u8 bridges_own[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };

void net_switch_init(struct net_switch *sw, bool isolated, bool spoofing)
{
	*sw = (struct net_switch){ .isolated = isolated, .spoofing = spoofing };
}

int net_switch_connect(struct net_switch *sw)
{
	int port = __builtin_ffsll((long long)~sw->up) - 1;

	if (port >= 0)
		sw->up |= BIT64(port);
	return port;
}

void net_switch_disconnect(struct net_switch *sw, unsigned port)
{
	sw->up &= ~BIT64(port);
	sw->own[port].known = false;
	for (u32 k = 0; k < SWITCH_PLACES; k++)
		if (sw->place[k].port == port)
			sw->place[k].used = false;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static struct switch_place *place_of(struct net_switch *sw, const u8 *address)
{
	u64 hash = 0xcbf29ce484222325ull;

	for (u32 k = 0; k < 6; k++)
		hash = (hash ^ address[k]) * 0x100000001b3ull;
	return &sw->place[(hash ^ hash >> 32) % SWITCH_PLACES];
}

static bool same(const u8 *a, const u8 *b)
{
	return memcmp(a, b, 6) == 0;
}

/* Does another port that is up have it? */
static bool is_anothers(const struct net_switch *sw, unsigned port, const u8 *address)
{
	for (unsigned k = 0; k < SWITCH_PORTS; k++)
		if (k != port && sw->own[k].known && same(sw->own[k].address, address))
			return true;
	return false;
}

/* May this port send from there? */
static bool may_send(struct net_switch *sw, unsigned port, const u8 *source)
{
	if (sw->spoofing)
		return true;
	if (!sw->own[port].known && !is_anothers(sw, port, source)) {
		sw->own[port].known = true;
		memcpy(sw->own[port].address, source, 6);
	}
	return sw->own[port].known && same(sw->own[port].address, source);
}

static void learn(struct net_switch *sw, unsigned port, const u8 *source, u64 now_ns)
{
	struct switch_place *p = place_of(sw, source);

	memcpy(p->address, source, 6);
	p->port = (u8)port;
	p->used = true;
	p->seen_ns = now_ns;
}

/* -1: not known. Guarded ports are found whatever the table holds. */
static int find(struct net_switch *sw, const u8 *address, u64 now_ns)
{
	const struct switch_place *p = place_of(sw, address);

	if (p->used && same(p->address, address) && now_ns - p->seen_ns < SWITCH_AGE_NS)
		return p->port;
	for (unsigned k = 0; k < SWITCH_PORTS && !sw->spoofing; k++)
		if (sw->own[k].known && same(sw->own[k].address, address))
			return (int)k;
	return -1;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* The ports that this one may reach. */
static u64 reach(const struct net_switch *sw, unsigned port)
{
	u64 others = sw->up & ~BIT64(port), first = sw->up & -sw->up;

	return !sw->isolated || BIT64(port) == first ? others : others & first;
}

u64 net_switch_forward(struct net_switch *sw, unsigned port, const u8 *frame, u32 size,
		       u64 now_ns)
{
	const u8 *target = frame, *source = frame + 6;
	int to;

	if (size < ETH_HEADER || source[0] & 1) {
		sw->malformed++;
		return 0;
	}
	if (!may_send(sw, port, source)) {
		sw->spoofed++;
		return 0;
	}
	learn(sw, port, source, now_ns);
	if (memcmp(target, bridges_own, sizeof bridges_own) == 0 && target[5] < 16)
		return 0;
	to = target[0] & 1 ? -1 : find(sw, target, now_ns);
	if (to < 0) {
		sw->flooded++;
		return reach(sw, port);
	}
	sw->forwarded++;
	return reach(sw, port) & BIT64(to);
}
