/* SPDX-License-Identifier: Apache-2.0 */
/* Receive side scaling; see rss.h. */
#include "vsp/netvsp/rss.h"

#include "base/checked.h"
#include "net/frame.h"

/* ---- hashes ---- */

u32 rss_toeplitz(const u8 key[NDIS_RSS_KEY], const u8 *bytes, unsigned size)
{
	/* The key's bits that lie below the byte at hand and the 32 behind its first. */
	u64 window = (u64)net_get32(key) << 32 | net_get32(key + 4);
	u32 hash = 0;

	for (unsigned k = 0; k < size && k + 8 <= NDIS_RSS_KEY; k++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			if (bytes[k] & 0x80 >> bit)
				hash ^= (u32)(window >> 32);
			window <<= 1;
		}
		if (k + 8 < NDIS_RSS_KEY)
			window |= key[k + 8];
	}
	return hash;
}

bool rss_hash(const struct rss *rss, const u8 *frame, u32 size, u32 *ret_hash)
{
	u16 type = net_ether_type(frame, size);
	bool is_ip4 = type == ETH_TYPE_IP4;
	u32 addresses = is_ip4 ? ETH_HEADER + 12 : ETH_HEADER + 8;
	u32 address_bytes = is_ip4 ? 8 : 32, ports;
	u8 input[36];
	bool tcp;

	if ((!is_ip4 && type != ETH_TYPE_IP6) || size < addresses + address_bytes)
		return false;
	if (is_ip4) {
		ports = ETH_HEADER + (frame[ETH_HEADER] & 15u) * 4;
		/* Fragments: all of a packet goes one way. */
		tcp = frame[ETH_HEADER + 9] == IP_PROTO_TCP &&
		      (net_get16(frame + ETH_HEADER + 6) & 0x3fff) == 0;
	} else {
		ports = ETH_HEADER + 40;
		tcp = frame[ETH_HEADER + 6] == IP_PROTO_TCP;
	}
	tcp = tcp && rss->types & (is_ip4 ? NDIS_HASH_TCP4 : NDIS_HASH_TCP6) &&
	      size >= ports + 4;
	if (!tcp && !(rss->types & (is_ip4 ? NDIS_HASH_IPV4 : NDIS_HASH_IPV6)))
		return false;
	memcpy(input, frame + addresses, address_bytes);
	if (tcp)
		memcpy(input + address_bytes, frame + ports, 4);
	*ret_hash = rss_toeplitz(rss->key, input, address_bytes + (tcp ? 4 : 0));
	return true;
}

/* ---- what the guest sets ---- */

static u32 set_table(struct rss *rss, const u8 *bytes, u32 size, u32 offset,
		     u32 table_size, u32 channels)
{
	u32 entries = table_size / 4;

	if (entries == 0 || entries > NDIS_RSS_ENTRIES || (entries & (entries - 1)) != 0)
		return RNDIS_INVALID_LENGTH;
	if (!range_inside(offset, table_size, size))
		return RNDIS_INVALID_DATA;
	for (u32 k = 0; k < entries; k++) {
		le32 entry;

		memcpy(&entry, bytes + offset + 4 * k, sizeof entry);
		if (le32_get(entry) >= channels)
			return RNDIS_INVALID_DATA;
		rss->table[k] = (u16)le32_get(entry);
	}
	rss->entries = entries;
	return RNDIS_OK;
}

u32 rss_set(struct rss *rss, const u8 *bytes, u32 size, u32 channels)
{
	struct ndis_rss_parameters p;
	struct rss next = *rss;
	u32 flags, key_size;

	if (size < sizeof p)
		return RNDIS_INVALID_LENGTH;
	memcpy(&p, bytes, sizeof p);
	if (p.header.type != NDIS_RSS_PARAMETERS)
		return RNDIS_INVALID_DATA;
	flags = le16_get(p.flags);
	if (flags & NDIS_RSS_DISABLE) {
		rss->on = false;
		return RNDIS_OK;
	}
	if (!(flags & NDIS_RSS_SAME_HASH)) {
		u32 hash = le32_get(p.hash);

		if ((hash & 0xff) != NDIS_RSS_TOEPLITZ)
			return RNDIS_INVALID_DATA;
		next.types = hash & ~0xffu;
	}
	if (!(flags & NDIS_RSS_SAME_TABLE)) {
		u32 status = set_table(&next, bytes, size, le32_get(p.table_offset),
				       le16_get(p.table_size), channels);

		if (status != RNDIS_OK)
			return status;
	}
	if (!(flags & NDIS_RSS_SAME_KEY)) {
		key_size = le16_get(p.key_size);
		if (key_size != NDIS_RSS_KEY)
			return RNDIS_INVALID_LENGTH;
		if (!range_inside(le32_get(p.key_offset), key_size, size))
			return RNDIS_INVALID_DATA;
		memcpy(next.key, bytes + le32_get(p.key_offset), key_size);
	}
	next.on = next.entries > 0 && next.types != 0;
	*rss = next;
	return RNDIS_OK;
}
