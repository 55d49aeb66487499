/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of a guest; see connections.h. */
#include "net/connections.h"

#define DNS_PORT 53
#define TCP_OPTION_END 0
#define TCP_OPTION_NOTHING 1
#define TCP_OPTION_SEGMENT 2

/* ---- whose is it? ---------------------------------------------------------------------------- */

static u64 mix(u64 hash, const u8 *bytes, u32 size)
{
	for (u32 k = 0; k < size; k++)
		hash = (hash ^ bytes[k]) * 0x100000001b3ull;
	return hash;
}

/* from_guest: the guest's address and port are the source's. remote: the other side belongs to it. Never 0. */
static u64 key_of(const u8 *frame, const struct net_headers *h, bool from_guest,
		  bool remote)
{
	u32 size = h->version == 4 ? 4 : 16;
	const u8 *source = frame + h->l3 + (h->version == 4 ? 12 : 8);
	const u8 *target = source + size;
	const u8 *ports = frame + h->l4;
	u64 hash = mix(0xcbf29ce484222325ull, &h->proto, 1);

	hash = mix(hash, from_guest ? source : target, size);
	hash = mix(hash, ports + (from_guest ? 0 : 2), 2);
	if (remote) {
		hash = mix(hash, from_guest ? target : source, size);
		hash = mix(hash, ports + (from_guest ? 2 : 0), 2);
	}
	return (hash ^ hash >> 32) | 1;
}

static u32 place_of(u64 key)
{
	return (u32)(key >> 1) % NET_CONNECTIONS;
}

/* ---- segments -------------------------------------------------------------------------------- */

/* The option's two bytes in a SYN; NULL: it has none. */
static u8 *find_segment_option(u8 *frame, const struct net_headers *h)
{
	for (u32 at = h->l4 + 20; at < h->payload;) {
		u32 room = h->payload - at, size;

		if (frame[at] == TCP_OPTION_END)
			return NULL;
		if (frame[at] == TCP_OPTION_NOTHING) {
			at++;
			continue;
		}
		size = room < 2 ? 0 : frame[at + 1];
		if (size < 2 || size > room)
			return NULL;
		if (frame[at] == TCP_OPTION_SEGMENT && size == 4)
			return frame + at + 2;
		at += size;
	}
	return NULL;
}

/* As many whole segments as fit between us and libslirp. */
static u32 large_segment(u32 size)
{
	u32 most = NET_SLIRP_MTU - 60;

	return most - most % size;
}

static void note_segment(struct net_connections *c, u8 *frame,
			 const struct net_headers *h)
{
	u64 key = key_of(frame, h, true, true);
	u32 place = place_of(key), size = NET_DEFAULT_SEGMENT;
	u8 *option = find_segment_option(frame, h), was[2];

	if (option) {
		size = net_get16(option);
		if (size < 64)
			size = 64;
		memcpy(was, option, 2);
		net_put16(option, size > NET_SLIRP_MTU - 60 ? size : large_segment(size));
		/* At an odd address it is two halves of words, and the sum the same but for their order. */
		if ((option - (frame + h->l4)) % 2) {
			u8 a[2] = { was[1], was[0] }, b[2] = { option[1], option[0] };

			net_sum_replace(frame + h->l4 + 16, a, b);
		} else {
			net_sum_replace(frame + h->l4 + 16, was, option);
		}
	}
	c->segment[place].key = key;
	c->segment[place].size = (u16)size;
}

/* ---- name servers ---------------------------------------------------------------------------- */

static void replace_address(u8 *frame, const struct net_headers *h, u8 *address, u32 by)
{
	u8 *sums[2] = { frame + h->l3 + 10,
			frame + h->l4 + (h->proto == IP_PROTO_TCP ? 16 : 6) };
	u8 new[4];

	memcpy(new, &by, 4);
	for (unsigned k = 0; k < 2; k++) {
		if (k == 1 && h->proto == IP_PROTO_UDP && net_get16(sums[1]) == 0)
			break; /* it has none */
		net_sum_replace(sums[k], address, new);
		net_sum_replace(sums[k], address + 2, new + 2);
	}
	memcpy(address, new, 4);
}

static bool is_address(const u8 *address, u32 is)
{
	return memcmp(address, &is, 4) == 0;
}

/* Addresses that no network leads to: 127.0.0.0/8, ::1, and IPv4's inside of IPv6's. */
static bool is_hosts_own(const u8 *frame, const struct net_headers *h)
{
	static const u8 none[10];

	return h->version == 4 ? frame[h->l3 + 16] == 127
			       : memcmp(frame + h->l3 + 24, none, sizeof none) == 0;
}

/* ---- packets --------------------------------------------------------------------------------- */

bool net_connections_out(struct net_connections *c, u8 *frame,
			 const struct net_headers *h)
{
	u8 *target = frame + h->l3 + 16;
	u64 key;

	if (is_hosts_own(frame, h))
		return false;
	if (!h->payload)
		return true;
	if (h->proto == IP_PROTO_TCP && frame[h->l4 + 13] & TCP_FLAG_SYN)
		note_segment(c, frame, h);
	if (h->version != 4 || !is_address(target, c->alias) ||
	    net_get16(frame + h->l4 + 2) != DNS_PORT)
		return true;
	if (!c->resolver)
		return false;
	key = key_of(frame, h, true, false);
	c->asked[place_of(key)] = key;
	replace_address(frame, h, target, c->resolver);
	return true;
}

u32 net_connections_in(struct net_connections *c, u8 *frame, const struct net_headers *h)
{
	u8 *source = frame + h->l3 + 12;
	u64 key;

	if (!h->payload)
		return NET_DEFAULT_SEGMENT;
	if (h->version == 4 && c->resolver && is_address(source, c->resolver) &&
	    net_get16(frame + h->l4) == DNS_PORT) {
		key = key_of(frame, h, false, false);
		if (c->asked[place_of(key)] == key)
			replace_address(frame, h, source, c->alias);
	}
	if (h->proto != IP_PROTO_TCP)
		return NET_DEFAULT_SEGMENT;
	key = key_of(frame, h, false, true);
	return c->segment[place_of(key)].key == key ? c->segment[place_of(key)].size
						    : NET_DEFAULT_SEGMENT;
}
