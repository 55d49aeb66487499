/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets on the channel of a network adapter, and frames from outside. Rows: a byte of kind, a byte of
 * size, the bytes. Kind: 0 a packet in the ring, 1 RNDIS in a section, 2 RNDIS in pages, 3 a frame that
 * arrives. At the end the guest leaves, and everything that was held comes back.
 */
#include "miniguest/mininic.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void do_row(struct mininic *m, u8 kind, const u8 *data, u32 size)
{
	u8 bytes[2048];
	struct nvsp_message message = { .type = le32_of(NVSP_RNDIS),
					.rndis = { le32_of(kind >> 7), le32_of(0),
						   le32_of(size) } };
	struct virtio_net_hdr todo = { 0 };

	memcpy(bytes, data, size);
	switch (kind & 3) {
	case 0:
		mini_send(&m->channel,
			  kind & 4 ? VMBUS_PACKET_COMPLETION : VMBUS_PACKET_INBAND, 1,
			  kind >> 3, bytes, size & ~7u, 16);
		break;
	case 1:
		memcpy(mini_page(m->mini, m->send_page), bytes, size);
		mini_send(&m->channel, VMBUS_PACKET_INBAND, 1, 1, &message,
			  sizeof message, 16);
		break;
	case 2:
		if (kind & 0x80) {
			u8 reply[512];

			(void)mininic_control(m, bytes, size, reply);
		} else {
			(void)mininic_send_pages(m, bytes, size);
		}
		break;
	case 3:
		memcpy(&todo, data, min_u64(size, sizeof todo));
		(void)mininic_arrive(m, &todo, data, size);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct mininic *m;
	static struct mininic_frame got[16];
	struct vmbus_header h;
	u8 bytes[4096];
	unsigned n;

	if (!m)
		m = mininic_new(2, false);
	require(mininic_start(m));
	while (size >= 2) {
		u32 length = (u32)min_u64(data[1] * 4u, size - 2);

		do_row(m, data[0], data + 2, length);
		if (data[0] & 0x40)
			while ((n = mininic_take(m, &m->channel, got, 16)) > 0)
				mininic_return(&m->channel, got[n - 1].transaction);
		while (mini_receive(&m->channel, bytes, sizeof bytes))
			;
		data += 2 + length;
		size -= 2 + length;
	}
	mini_post(m->mini, VMBUS_UNLOAD, &h, sizeof h);
	mininic_turn(m);
	require(vmbus_server_protocol(m->mini->server)->state == VMBUS_DISCONNECTED);
	require(vmbus_server_protocol(m->mini->server)->gpadls.count == 0);
	mini_forget(m->mini);
	netvsp_reset(m->netvsp);
	while (mininic_wire(m, bytes, sizeof bytes))
		;
	return 0;
}
