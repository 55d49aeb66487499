/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMBus protocol: messages of a guest, and the host's events between them. The input is a row
 * of steps: a byte that says what, a byte of size, that many bytes. Whatever came: afterwards an
 * unload is answered once the host has closed what it had open.
 */
#include "vmbus/protocol.h"
#include "wall/guest_memory.h"

struct host {
	struct vmbus_protocol protocol;
	unsigned unloaded;
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void on_output(void *owner, const struct vmbus_output *out)
{
	struct host *h = owner;
	le32 type;

	if (out->kind != VMBUS_OUT_MESSAGE)
		return;
	require(out->size >= 8 && out->size <= VMBUS_MAX_MESSAGE);
	require(out->vp < 4);
	memcpy(&type, out->message, sizeof type);
	h->unloaded += le32_get(type) == VMBUS_UNLOAD_RESPONSE;
}

static void event(struct host *h, u8 what, u8 number)
{
	struct vmbus_offer offer = { .instance = { { number } },
				     .sub_index = number % 4,
				     .primary = number % 8 };
	u32 relid = number % 8;

	switch (what % 8) {
	case 0:
		vmbus_protocol_opened(&h->protocol, relid, number & 8);
		return;
	case 1:
		vmbus_protocol_closed(&h->protocol, relid);
		return;
	case 2:
		vmbus_protocol_revoke(&h->protocol, relid);
		return;
	case 3:
		if (vmbus_protocol_offer(&h->protocol, &offer, &relid) == 0)
			require(vmbus_protocol_slot(&h->protocol, relid) != NULL);
		return;
	default:
		vmbus_protocol_opened(&h->protocol, relid, true);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct host h;
	static const u8 unload[8] = { VMBUS_UNLOAD };
	static struct gm_layout ram;

	h.unloaded = 0;
	gm_layout_init(&ram, 64u << 20, 64u << 20);
	vmbus_protocol_init(&h.protocol, 4, &ram, on_output, &h);
	event(&h, 3, 0);
	event(&h, 3, 4);
	while (size >= 2) {
		u8 what = data[0];
		size_t n = min_u64(data[1], size - 2);

		if (what >= 0xc0) {
			event(&h, what, data[1]);
			n = 0;
		} else {
			vmbus_protocol_message(&h.protocol, what & 4 ? 4 : 1, data + 2,
					       (u32)n);
		}
		require(h.protocol.gpadls.words <= GPADLS_MAX_WORDS);
		require(h.protocol.gpadls.count <= GPADLS_MAX);
		data += 2 + n;
		size -= 2 + n;
	}
	h.unloaded = 0;
	vmbus_protocol_message(&h.protocol, 4, unload, sizeof unload);
	for (u32 relid = 1; relid <= VMBUS_MAX_CHANNELS; relid++) {
		vmbus_protocol_opened(&h.protocol, relid, true);
		vmbus_protocol_closed(&h.protocol, relid);
	}
	require(h.unloaded == 1);
	require(h.protocol.gpadls.count == 0);
	vmbus_protocol_done(&h.protocol);
	return 0;
}
