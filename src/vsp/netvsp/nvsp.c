/* SPDX-License-Identifier: Apache-2.0 */
/* NVSP; see nvsp.h. */
#include "vsp/netvsp/nvsp.h"

#include "vsp/netvsp/receive_buffer.h"

/* How many sub-allocations there should be at the least, however small they get. */
#define SUBS_WANTED 512

void nvsp_init(struct nvsp *n, u16 max_sub_channels)
{
	*n = (struct nvsp){ .max_sub_channels = max_sub_channels };
}

void nvsp_reset(struct nvsp *n)
{
	u64 malformed = n->malformed;

	nvsp_init(n, n->max_sub_channels);
	n->malformed = malformed;
}

/* ---- messages ---- */

static u32 agree(struct nvsp *n, u32 min, u32 max)
{
	static const u32 versions[] = { NVSP_6_1, NVSP_6, NVSP_5, NVSP_4, NVSP_2, NVSP_1 };

	/* The guest asks from the newest down. Once it has given buffers nothing changes. */
	if (n->receive.size > 0 || n->send.size > 0)
		return NVSP_FAILED;
	for (unsigned k = 0; k < ARRAY_COUNT(versions); k++) {
		if (versions[k] < min || versions[k] > max)
			continue;
		n->version = versions[k];
		return NVSP_OK;
	}
	return max < NVSP_1 ? NVSP_TOO_OLD : NVSP_TOO_NEW;
}

static void take_init(struct nvsp *n, const struct nvsp_message *m,
		      struct nvsp_output *out)
{
	u32 status = agree(n, le32_get(m->init.min), le32_get(m->init.max));

	n->malformed += status == NVSP_FAILED;
	out->action = NVSP_DO_ANSWER;
	out->reply.type = le32_of(NVSP_INIT_COMPLETE);
	out->reply.init_complete.status = le32_of(status);
	if (status == NVSP_OK) {
		out->reply.init_complete.version = le32_of(n->version);
		out->reply.init_complete.max_mdl_chain = le32_of(34);
	}
}

static void take_buffer(struct nvsp *n, const struct nvsp_message *m, bool receive,
			struct nvsp_output *out)
{
	u32 have = receive ? n->receive.size : n->send.size;

	/* One of each, and it does not change while it is in use. */
	if (n->version != 0 && have == 0) {
		out->gpadl = le32_get(m->buffer.gpadl);
		out->action = receive ? NVSP_DO_RECEIVE_BUFFER : NVSP_DO_SEND_BUFFER;
		return;
	}
	n->malformed++;
	out->action = NVSP_DO_ANSWER;
	out->reply.type = le32_of(receive ? NVSP_RECEIVE_BUFFER_COMPLETE
					  : NVSP_SEND_BUFFER_COMPLETE);
	out->reply.send_buffer_complete.status = le32_of(NVSP_FAILED);
}

static void take_sub_channels(struct nvsp *n, const struct nvsp_message *m,
			      struct nvsp_output *out)
{
	bool good = n->version >= NVSP_5 && n->receive.size > 0 && n->sub_channels == 0 &&
		    le32_get(m->sub_channels.operation) == NVSP_SUB_CHANNELS_ALLOCATE;

	/* The guest waits until exactly as many as we promise are open. */
	if (good)
		n->sub_channels = (u32)min_u64(le32_get(m->sub_channels.count),
					       n->max_sub_channels);
	else
		n->malformed++;
	out->action = good ? NVSP_DO_SUB_CHANNELS : NVSP_DO_ANSWER;
	out->count = good ? n->sub_channels : 0;
	out->reply.type = le32_of(NVSP_SUB_CHANNELS);
	out->reply.sub_channels_complete.status = le32_of(good ? NVSP_OK : NVSP_FAILED);
	out->reply.sub_channels_complete.count = le32_of(out->count);
}

static void take_ndis_config(struct nvsp *n, const struct nvsp_message *m)
{
	u32 mtu = le32_get(m->ndis_config.mtu);

	/* The buffer is divided by what was said before it came. */
	if (n->version == 0 || n->receive.size > 0) {
		n->malformed++;
		return;
	}
	/* Out of all bounds: as if it had not been said. */
	n->mtu = mtu >= 68 + 14 && mtu <= NVSP_MAX_MTU ? mtu : 0;
	n->can = le64_get(m->ndis_config.can);
}

void nvsp_take(struct nvsp *n, const void *message, u32 size,
	       struct nvsp_output *ret_output)
{
	struct nvsp_message m = { 0 };

	*ret_output = (struct nvsp_output){ .action = NVSP_DO_NOTHING };
	if (size < NVSP_MIN_MESSAGE) {
		n->malformed++;
		return;
	}
	memcpy(&m, message, min_u64(size, sizeof m));
	switch (le32_get(m.type)) {
	case NVSP_INIT:
		take_init(n, &m, ret_output);
		return;
	case NVSP_NDIS_VERSION:
		n->ndis_major = le32_get(m.ndis_version.major);
		n->ndis_minor = le32_get(m.ndis_version.minor);
		return;
	case NVSP_NDIS_CONFIG:
		take_ndis_config(n, &m);
		return;
	case NVSP_RECEIVE_BUFFER:
		take_buffer(n, &m, true, ret_output);
		return;
	case NVSP_SEND_BUFFER:
		take_buffer(n, &m, false, ret_output);
		return;
	case NVSP_REVOKE_RECEIVE_BUFFER:
		ret_output->action = NVSP_DO_DROP_RECEIVE_BUFFER;
		memset(&n->receive, 0, sizeof n->receive);
		return;
	case NVSP_REVOKE_SEND_BUFFER:
		ret_output->action = NVSP_DO_DROP_SEND_BUFFER;
		memset(&n->send, 0, sizeof n->send);
		return;
	case NVSP_RNDIS:
		ret_output->action = NVSP_DO_RNDIS;
		ret_output->channel = le32_get(m.rndis.channel);
		ret_output->section = le32_get(m.rndis.section);
		ret_output->size = le32_get(m.rndis.section_size);
		return;
	case NVSP_SUB_CHANNELS:
		take_sub_channels(n, &m, ret_output);
		return;
	case NVSP_RNDIS_COMPLETE:
	case NVSP_SWITCH_DATA_PATH: /* there is one path */
		return;
	}
	n->malformed++;
}

/* ---- buffers ---- */

/*
 * Large sub-allocations make few parts of a large frame; but there shall be enough of them, and a
 * frame of the guest's size must lie in one.
 */
static u32 sub_size_for(const struct nvsp *n, u64 size)
{
	u32 frame = (n->mtu ? n->mtu : 1500 + 14) + 4, sub = NVSP_SUB_MAX;

	while (sub > NVSP_SUB_MIN && size / sub < SUBS_WANTED &&
	       sub / 2 >= RECEIVE_HEADROOM + frame)
		sub /= 2;
	return sub;
}

void nvsp_receive_buffer(struct nvsp *n, u32 gpadl, u64 size,
			 struct nvsp_message *ret_reply)
{
	u32 sub = sub_size_for(n, size);
	u32 count = (u32)min_u64(size / sub, NVSP_SUB_COUNT_MAX);
	bool good = size <= UINT32_MAX && count > 0;

	*ret_reply =
		(struct nvsp_message){ .type = le32_of(NVSP_RECEIVE_BUFFER_COMPLETE) };
	ret_reply->receive_buffer_complete.status = le32_of(good ? NVSP_OK : NVSP_FAILED);
	if (!good) {
		n->malformed++;
		return;
	}
	n->receive.gpadl = gpadl;
	n->receive.size = (u32)size;
	n->receive.sub_size = sub;
	n->receive.count = count;
	ret_reply->receive_buffer_complete.sections = le32_of(1);
	ret_reply->receive_buffer_complete.size = le32_of(sub);
	ret_reply->receive_buffer_complete.count = le32_of(count);
	ret_reply->receive_buffer_complete.end = le32_of(sub * count);
}

void nvsp_send_buffer(struct nvsp *n, u32 gpadl, u64 size, struct nvsp_message *ret_reply)
{
	bool good = size <= UINT32_MAX && size >= NVSP_SECTION_SIZE;

	*ret_reply = (struct nvsp_message){ .type = le32_of(NVSP_SEND_BUFFER_COMPLETE) };
	ret_reply->send_buffer_complete.status = le32_of(good ? NVSP_OK : NVSP_FAILED);
	if (!good) {
		n->malformed++;
		return;
	}
	n->send.gpadl = gpadl;
	n->send.size = (u32)size;
	n->send.section_size = NVSP_SECTION_SIZE;
	n->send.count = (u32)size / NVSP_SECTION_SIZE;
	ret_reply->send_buffer_complete.section_size = le32_of(NVSP_SECTION_SIZE);
}

bool nvsp_takes_parts(const struct nvsp *n)
{
	return n->version >= NVSP_6_1 && n->can & NVSP_CAN_RSC;
}
