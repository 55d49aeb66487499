/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings whose every byte the guest has chosen, and changes between the host's steps. The first
 * bytes of the input are steps, the rest fills the rings, over and over.
 */
#include <errno.h>

#include "vmbus/ring.h"
#include "wall/fake_hv.h"
#include "wall/guest_memory.h"

#define RAM (1ull << 20)
#define PAGES 3

static void require(bool ok)
{
	if (!ok)
		abort();
}

static u32 word_of(struct fake_hv *hv, u64 page, u32 field)
{
	u32 value;

	memcpy(&value, hv->ram + page * VMBUS_PAGE + field, sizeof value);
	return value;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct fake_hv *hv;
	static struct guest_memory *gm;
	static const u64 page[2][PAGES] = { { 16, 19, 17 }, { 32, 33, 40 } };
	struct vmbus_ring in, out;
	struct vmbus_packet packet;
	u8 buffer[600];
	bool wanted;

	if (!gm) {
		require(fake_hv_new(RAM, 65536, 1, &hv) == 0);
		require(gm_open(hv->ram_fd, RAM, hv->dirty_fd, hv->code_fd, hv->control,
				hv->hv_event, &gm) == 0);
	}
	if (size < 64)
		return 0;
	for (unsigned k = 0; k < PAGES; k++)
		for (unsigned n = 0; n < VMBUS_PAGE; n++)
			hv->ram[page[0][k] * VMBUS_PAGE + n] =
				data[32 + (k * VMBUS_PAGE + n) % (size - 32)];
	memset(hv->ram + page[1][0] * VMBUS_PAGE, 0, VMBUS_PAGE);
	vmbus_ring_init(&in, gm, page[0], PAGES);
	vmbus_ring_init(&out, gm, page[1], PAGES);
	for (unsigned k = 0; k < 32; k++) {
		u32 value = (u32)data[32 + k % (size - 32)] * 8 * (data[k] >> 3);
		u64 ticket = 0;
		int r = 0;

		switch (data[k] & 7) {
		case 0: /* a good index, mostly */
			require(gm_store32(gm, page[0][0] * VMBUS_PAGE, value % in.size,
					   &ticket) == 0);
			break;
		case 1:
			require(gm_store32(gm, page[1][0] * VMBUS_PAGE + 4,
					   data[k] & 0x80 ? value : out.at,
					   &ticket) == 0);
			break;
		case 2:
		case 3:
			r = vmbus_ring_read(&in, buffer, sizeof buffer, &packet);
			if (r == 1)
				require(packet.size <= sizeof buffer &&
					packet.header_size >= 16 &&
					packet.header_size <= packet.size);
			break;
		case 4:
			r = vmbus_ring_read_done(&in, &wanted);
			if (r == 0)
				require(word_of(hv, page[0][0], VMBUS_RING_READ) ==
						in.at ||
					in.at == 0);
			break;
		case 5:
			r = vmbus_ring_mask(&in, data[k] & 0x80);
			break;
		default:
			r = vmbus_ring_write(&out, 6, 0, k, buffer, data[k] * 3u % 500,
					     &wanted);
			require(r == 0 || r == -EAGAIN || out.broken);
			require(word_of(hv, page[1][0], VMBUS_RING_WRITE) == out.at);
		}
		require(in.at < in.size && in.at % 8 == 0);
		require(out.at < out.size && out.at % 8 == 0);
	}
	return 0;
}
