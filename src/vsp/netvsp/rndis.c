/* SPDX-License-Identifier: Apache-2.0 */
/* RNDIS control messages; see rndis.h. */
#include "vsp/netvsp/rndis.h"

#include <stdio.h>

#include "base/checked.h"
#include "net/port.h"

#define SPEED_100BIT 100000000u /* 10 Gbit/s */
#define MAX_TRANSFER 0x4000000u
#define VENDOR "Tabique"
#define FRIENDLY_NAME "Network Adapter"

void rndis_init(struct rndis *r)
{
	memcpy(r->mac, r->permanent, sizeof r->mac);
	r->channels = 1;
	rndis_reset(r);
}

void rndis_reset(struct rndis *r)
{
	r->begun_before |= r->initialized;
	r->initialized = false;
	r->offloads_set = false;
	r->filter = 0;
	r->coalesce4 = r->coalesce6 = true;
	memset(&r->rss, 0, sizeof r->rss);
}

void rndis_forget(struct rndis *r)
{
	rndis_init(r);
	r->begun_before = false;
}

/* ---- what is asked ---- */

static const u32 supported[] = {
	OID_SUPPORTED_LIST,
	OID_HARDWARE_STATUS,
	OID_MEDIA_SUPPORTED,
	OID_MEDIA_IN_USE,
	OID_MAXIMUM_FRAME_SIZE,
	OID_LINK_SPEED,
	OID_TRANSMIT_BLOCK_SIZE,
	OID_RECEIVE_BLOCK_SIZE,
	OID_VENDOR_ID,
	OID_VENDOR_DESCRIPTION,
	OID_PACKET_FILTER,
	OID_MAXIMUM_TOTAL_SIZE,
	OID_MAC_OPTIONS,
	OID_MEDIA_CONNECT_STATUS,
	OID_VENDOR_DRIVER_VERSION,
	OID_RSS_CAPABILITIES,
	OID_RSS_PARAMETERS,
	OID_CONFIG_PARAMETER,
	OID_SENT_OK,
	OID_RECEIVED_OK,
	OID_SEND_ERRORS,
	OID_RECEIVE_ERRORS,
	OID_RECEIVE_NO_BUFFER,
	OID_FRIENDLY_NAME,
	OID_PERMANENT_ADDRESS,
	OID_CURRENT_ADDRESS,
	OID_MULTICAST_LIST,
	OID_MULTICAST_LIST_SIZE,
	(u32)OID_OFFLOAD_CURRENT,
	(u32)OID_OFFLOAD_PARAMETERS,
	(u32)OID_OFFLOAD_CAPABILITIES,
};

static u32 put_number(u8 *out, u32 number)
{
	le32 n = le32_of(number);

	memcpy(out, &n, sizeof n);
	return sizeof n;
}

/* Ours are one word, too: a guest that wants 64 bits asks for 8 bytes and gets 4. */
static u32 put_count(u8 *out, u64 count)
{
	return put_number(out, (u32)count);
}

static u32 put_supported(u8 *out)
{
	u32 size = 0;

	for (unsigned k = 0; k < ARRAY_COUNT(supported); k++)
		size += put_number(out + size, supported[k]);
	return size;
}
_Static_assert(sizeof supported + sizeof(struct rndis_query_complete) <= RNDIS_MAX_REPLY,
	       "the list fits");

static u32 put_utf16(u8 *out, const char *text)
{
	u32 size = 0;

	for (; *text; text++) {
		out[size++] = (u8)*text;
		out[size++] = 0;
	}
	return size;
}

static u32 put_offloads(const struct rndis *r, u8 *out, u8 revision)
{
	static const u16 sizes[] = { 112, 144, 156 };
	const u32 sum4 = NDIS_SUM_EXTENSIONS | NDIS_SUM_TCP_OPTIONS | NDIS_SUM_TCP |
			 NDIS_SUM_UDP | NDIS_SUM_IP;
	const u32 sum6 = NDIS_SUM_EXTENSIONS | NDIS_SUM_TCP_OPTIONS | NDIS_SUM_TCP |
			 NDIS_SUM_UDP;
	struct ndis_offload o = { .header = { .type = NDIS_OFFLOAD } };

	/* An old guest gets what it knows. */
	o.header.revision = revision < 1 ? 1 : revision > 3 ? 3 : revision;
	o.header.size = le16_of(sizes[o.header.revision - 1]);
	o.sum_ipv4.send_encapsulation = o.sum_ipv4.receive_encapsulation =
		o.sum_ipv6.send_encapsulation = o.sum_ipv6.receive_encapsulation =
			le32_of(NDIS_ENCAPSULATION_8023);
	o.sum_ipv4.send = o.sum_ipv4.receive = le32_of(sum4);
	o.sum_ipv6.send = o.sum_ipv6.receive = le32_of(sum6);
	o.lso_ipv4.encapsulation = o.lso_ipv6.encapsulation =
		le32_of(NDIS_ENCAPSULATION_8023);
	/* What a port takes of IP, headers included. */
	o.lso_ipv4.max_size = o.lso_ipv6.max_size = le32_of(NET_MAX_FRAME - 18);
	o.lso_ipv4.min_segments = o.lso_ipv6.min_segments = le32_of(2);
	o.lso_ipv6.options = le32_of(NDIS_LSO_IPV6_OPTIONS);
	o.rsc_ipv4 = o.rsc_ipv6 = r->parts;
	memcpy(out, &o, le16_get(o.header.size));
	return le16_get(o.header.size);
}

static u32 put_rss(const struct rndis *r, u8 *out)
{
	const struct ndis_rss_capabilities c = {
		.header = { .type = NDIS_RSS_CAPABILITIES,
			    .revision = 2,
			    .size = le16_of(sizeof c) },
		.flags = le32_of(NDIS_RSS_CAN_TCP4 | NDIS_RSS_CAN_TCP6 |
				 NDIS_RSS_TOEPLITZ),
		.messages = le32_of(r->queues),
		.queues = le32_of(r->queues),
		.entries = le16_of(NDIS_RSS_ENTRIES),
	};

	memcpy(out, &c, sizeof c);
	return sizeof c;
}

/* in: what came with the question. False: there is no such object. */
static bool query(const struct rndis *r, u32 oid, const u8 *in, u32 in_size, u8 *out,
		  u32 *ret_size)
{
	const struct rndis_counts *n = r->counts;

	*ret_size = 0;
	switch (oid) {
	case OID_SUPPORTED_LIST:
		*ret_size = put_supported(out);
		return true;
	case OID_HARDWARE_STATUS: /* ready */
	case OID_MEDIA_SUPPORTED: /* 802.3 */
	case OID_MEDIA_IN_USE:
		*ret_size = put_number(out, 0);
		return true;
	case OID_MAXIMUM_FRAME_SIZE:
		*ret_size = put_number(out, r->mtu);
		return true;
	case OID_TRANSMIT_BLOCK_SIZE:
	case OID_RECEIVE_BLOCK_SIZE:
	case OID_MAXIMUM_TOTAL_SIZE:
		*ret_size = put_number(out, r->mtu + 14u);
		return true;
	case OID_LINK_SPEED:
		*ret_size = put_number(out, SPEED_100BIT);
		return true;
	case OID_VENDOR_ID:
		*ret_size = put_number(out, 0xffffff); /* of no vendor */
		return true;
	case OID_VENDOR_DESCRIPTION:
		memcpy(out, VENDOR, sizeof VENDOR);
		*ret_size = sizeof VENDOR;
		return true;
	case OID_VENDOR_DRIVER_VERSION:
		*ret_size = put_number(out, 0x00010000);
		return true;
	case OID_PACKET_FILTER:
		*ret_size = put_number(out, r->filter);
		return true;
	case OID_MAC_OPTIONS:
		*ret_size = put_number(out, 0);
		return true;
	case OID_MEDIA_CONNECT_STATUS:
		*ret_size = put_number(out, !r->link_up);
		return true;
	case OID_RSS_CAPABILITIES:
		*ret_size = put_rss(r, out);
		return true;
	case OID_SENT_OK:
		*ret_size = put_count(out, n->frames_out);
		return true;
	case OID_RECEIVED_OK:
		*ret_size = put_count(out, n->frames_in);
		return true;
	case OID_SEND_ERRORS:
		*ret_size = put_count(out, n->errors_out);
		return true;
	case OID_RECEIVE_ERRORS:
		*ret_size = put_count(out, n->errors_in);
		return true;
	case OID_RECEIVE_NO_BUFFER:
		*ret_size = put_count(out, n->no_buffer);
		return true;
	case OID_FRIENDLY_NAME:
		*ret_size = put_utf16(out, FRIENDLY_NAME);
		return true;
	case OID_PERMANENT_ADDRESS:
	case OID_CURRENT_ADDRESS:
		memcpy(out, oid == OID_PERMANENT_ADDRESS ? r->permanent : r->mac, 6);
		*ret_size = 6;
		return true;
	case OID_MULTICAST_LIST_SIZE:
		*ret_size = put_number(out, 32);
		return true;
	case (u32)OID_OFFLOAD_CAPABILITIES:
	case (u32)OID_OFFLOAD_CURRENT:
		*ret_size = put_offloads(r, out, in_size >= 2 ? in[1] : 1);
		return true;
	}
	return false;
}

/* ---- what is set ---- */

static bool is_name(const u8 *utf16, u32 size, const char *name)
{
	if (size != 2 * strlen(name))
		return false;
	for (u32 k = 0; k < size / 2; k++)
		if (utf16[2 * k] != (u8)name[k] || utf16[2 * k + 1] != 0)
			return false;
	return true;
}

static int digit_of(const u8 *utf16)
{
	u8 c = utf16[0];

	if (utf16[1] != 0)
		return -1;
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "NetworkAddress" and twelve digits: what the guest wants to be called. */
static u32 set_config(struct rndis *r, const u8 *bytes, u32 size)
{
	struct rndis_config_parameter p;
	u32 name, name_size, value, value_size;
	u8 mac[6];

	if (size < sizeof p)
		return RNDIS_INVALID_LENGTH;
	memcpy(&p, bytes, sizeof p);
	name = le32_get(p.name_offset);
	name_size = le32_get(p.name_size);
	value = le32_get(p.value_offset);
	value_size = le32_get(p.value_size);
	if (!range_inside(name, name_size, size) ||
	    !range_inside(value, value_size, size))
		return RNDIS_INVALID_DATA;
	if (!is_name(bytes + name, name_size, "NetworkAddress"))
		return RNDIS_NOT_SUPPORTED;
	if (le32_get(p.type) != RNDIS_CONFIG_TEXT || value_size != 24)
		return RNDIS_INVALID_DATA;
	for (unsigned k = 0; k < 6; k++) {
		int high = digit_of(bytes + value + 4 * k);
		int low = digit_of(bytes + value + 4 * k + 2);

		if (high < 0 || low < 0)
			return RNDIS_INVALID_DATA;
		mac[k] = (u8)(high << 4 | low);
	}
	if (mac[0] & 1)
		return RNDIS_INVALID_DATA;
	/* Frames from another address than its own would be dropped. */
	if (!r->spoofing && memcmp(mac, r->permanent, sizeof mac) != 0)
		return RNDIS_FAILED;
	memcpy(r->mac, mac, sizeof mac);
	return RNDIS_OK;
}

/*
 * When Linux (6.1) starts its driver, it switches coalescing off and shows it to its user as on: it looks
 * at the user's wish before there is one. What it says later, or when it starts the driver again, is
 * meant. It is known by leaving IPv4's own sum to itself.
 */
static bool is_not_meant(const struct rndis *r, const u8 *bytes)
{
	return !r->begun_before && !r->offloads_set &&
	       bytes[NDIS_SET_SUM_IPV4] == NDIS_OFF && bytes[NDIS_SET_RSC4] == NDIS_OFF &&
	       bytes[NDIS_SET_RSC6] == NDIS_OFF;
}

static u32 set_offloads(struct rndis *r, const u8 *bytes, u32 size)
{
	/* What is sent says for each frame what is to be done; there is nothing to switch. */
	if (size < NDIS_OFFLOAD_PARAMETERS_MIN)
		return RNDIS_INVALID_LENGTH;
	if (size > NDIS_SET_RSC6 && !is_not_meant(r, bytes)) {
		if (bytes[NDIS_SET_RSC4] != 0)
			r->coalesce4 = bytes[NDIS_SET_RSC4] == NDIS_RSC_ON;
		if (bytes[NDIS_SET_RSC6] != 0)
			r->coalesce6 = bytes[NDIS_SET_RSC6] == NDIS_RSC_ON;
	}
	r->offloads_set = true;
	return RNDIS_OK;
}

static u32 set(struct rndis *r, u32 oid, const u8 *bytes, u32 size)
{
	le32 number;

	switch (oid) {
	case OID_PACKET_FILTER:
		if (size < sizeof number)
			return RNDIS_INVALID_LENGTH;
		memcpy(&number, bytes, sizeof number);
		r->filter = le32_get(number);
		return RNDIS_OK;
	case OID_MULTICAST_LIST: /* all of them are passed on */
		return size % 6 == 0 ? RNDIS_OK : RNDIS_INVALID_LENGTH;
	case OID_CONFIG_PARAMETER:
		return set_config(r, bytes, size);
	case OID_RSS_PARAMETERS:
		return rss_set(&r->rss, bytes, size, r->queues);
	case (u32)OID_OFFLOAD_PARAMETERS:
		return set_offloads(r, bytes, size);
	}
	return RNDIS_NOT_SUPPORTED;
}

/* ---- messages ---- */

static u32 end_reply(u8 *reply, u32 type, u32 size)
{
	const struct rndis_header h = { le32_of(type | RNDIS_COMPLETE), le32_of(size) };

	memcpy(reply, &h, sizeof h);
	return size;
}

static u32 take_initialize(struct rndis *r, const u8 *message, u32 size, u8 *reply)
{
	struct rndis_initialize m;
	struct rndis_initialize_complete c = { 0 };
	bool good;

	if (size < sizeof m)
		return 0;
	memcpy(&m, message, sizeof m);
	good = le32_get(m.major) == 1;
	r->initialized = good;
	c.id = m.id;
	c.status = le32_of(good ? RNDIS_OK : RNDIS_NOT_SUPPORTED);
	c.major = le32_of(1);
	c.flags = le32_of(1); /* without connections */
	c.max_packets = le32_of(RNDIS_MAX_PACKETS);
	c.max_transfer = le32_of(MAX_TRANSFER);
	c.alignment = le32_of(RNDIS_ALIGNMENT);
	memcpy(reply, &c, sizeof c);
	return end_reply(reply, RNDIS_INITIALIZE, sizeof c);
}

/* Query and set: a buffer goes with them. */
static u32 take_request(struct rndis *r, u32 type, const u8 *message, u32 size, u8 *reply)
{
	struct rndis_request m;
	struct rndis_query_complete c = { 0 };
	const u32 data_at = sizeof c;
	u32 status = RNDIS_INVALID_DATA, out_size = 0;
	u64 offset;

	if (size < sizeof m)
		return 0;
	memcpy(&m, message, sizeof m);
	offset = (u64)RNDIS_OFFSET_BASE + le32_get(m.offset);
	if (le32_get(m.length) == 0)
		offset = 0;
	if (range_inside(offset, le32_get(m.length), size)) {
		const u8 *bytes = message + offset;
		u32 length = le32_get(m.length), oid = le32_get(m.oid);

		if (type == RNDIS_SET)
			status = set(r, oid, bytes, length);
		else
			status = query(r, oid, bytes, length, reply + data_at, &out_size)
					 ? RNDIS_OK
					 : RNDIS_NOT_SUPPORTED;
	} else {
		r->malformed++;
	}
	r->refused += status != RNDIS_OK;
	c.id = m.id;
	c.status = le32_of(status);
	if (type == RNDIS_SET) {
		memcpy(reply, &c, sizeof(struct rndis_set_complete));
		return end_reply(reply, type, sizeof(struct rndis_set_complete));
	}
	c.length = le32_of(out_size);
	c.offset = le32_of(out_size > 0 ? data_at - RNDIS_OFFSET_BASE : 0);
	memcpy(reply, &c, sizeof c);
	return end_reply(reply, type, data_at + out_size);
}

static u32 take_keep_alive(const u8 *message, u32 size, u8 *reply)
{
	struct rndis_keep_alive m;
	struct rndis_set_complete c = { .status = le32_of(RNDIS_OK) };

	if (size < sizeof m)
		return 0;
	memcpy(&m, message, sizeof m);
	c.id = m.id;
	memcpy(reply, &c, sizeof c);
	return end_reply(reply, RNDIS_KEEP_ALIVE, sizeof c);
}

static u32 take_reset(struct rndis *r, u8 *reply)
{
	const struct rndis_reset_complete c = { .status = le32_of(RNDIS_OK),
						.addressing_reset = le32_of(1) };
	bool initialized = r->initialized;

	/* The filter goes, and the guest is told to set it again. */
	rndis_reset(r);
	r->initialized = initialized;
	memcpy(reply, &c, sizeof c);
	return end_reply(reply, RNDIS_RESET, sizeof c);
}

u32 rndis_take(struct rndis *r, const u8 *message, u32 size, u8 reply[RNDIS_MAX_REPLY])
{
	struct rndis_header h;
	u32 type, replied = 0;

	r->requests++;
	if (size < sizeof h) {
		r->malformed++;
		return 0;
	}
	memcpy(&h, message, sizeof h);
	type = le32_get(h.type);
	/* What it says of its size may be less than what there is, not more. */
	if (le32_get(h.size) < sizeof h || le32_get(h.size) > size) {
		r->malformed++;
		return 0;
	}
	size = le32_get(h.size);
	switch (type) {
	case RNDIS_INITIALIZE:
		replied = take_initialize(r, message, size, reply);
		break;
	case RNDIS_QUERY:
	case RNDIS_SET:
		replied = take_request(r, type, message, size, reply);
		break;
	case RNDIS_KEEP_ALIVE:
		replied = take_keep_alive(message, size, reply);
		break;
	case RNDIS_RESET:
		replied = take_reset(r, reply);
		break;
	case RNDIS_HALT: /* nobody waits */
		rndis_reset(r);
		return 0;
	}
	r->malformed += replied == 0;
	return replied;
}

u32 rndis_indicate(u32 status, u8 message[RNDIS_MAX_REPLY])
{
	const struct rndis_indicate m = {
		.header = { le32_of(RNDIS_INDICATE), le32_of(sizeof m) },
		.status = le32_of(status),
	};

	memcpy(message, &m, sizeof m);
	return sizeof m;
}

bool rndis_wants(const struct rndis *r, const u8 destination[6])
{
	static const u8 everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (r->filter & RNDIS_FILTER_PROMISCUOUS)
		return true;
	if (!(destination[0] & 1))
		return r->filter & RNDIS_FILTER_DIRECTED &&
		       memcmp(destination, r->mac, 6) == 0;
	if (memcmp(destination, everybody, 6) == 0)
		return r->filter & RNDIS_FILTER_BROADCAST;
	return r->filter & (RNDIS_FILTER_MULTICAST | RNDIS_FILTER_ALL_MULTICAST);
}
