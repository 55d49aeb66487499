/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVSP's state machine: rows of a byte that says how long the message is, the message; between them
 * buffers of sizes that the input chooses. What it promises holds after each.
 */
#include "vsp/netvsp/nvsp.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct nvsp n;

	nvsp_init(&n, 3);
	while (size >= 2) {
		u32 length = (u32)min_u64(data[0] % 48, size - 2);
		u64 bytes = (u64)data[1] << (data[0] >> 3);
		struct nvsp_output out;
		struct nvsp_message reply;

		nvsp_take(&n, data + 2, length, &out);
		if (out.action == NVSP_DO_RECEIVE_BUFFER) {
			require(n.receive.size == 0 && n.version != 0);
			nvsp_receive_buffer(&n, out.gpadl, bytes, &reply);
		} else if (out.action == NVSP_DO_SEND_BUFFER) {
			require(n.send.size == 0 && n.version != 0);
			nvsp_send_buffer(&n, out.gpadl, bytes, &reply);
		}
		require((u64)n.receive.sub_size * n.receive.count <= n.receive.size);
		require((u64)n.send.section_size * n.send.count <= n.send.size);
		require(n.receive.count <= NVSP_SUB_COUNT_MAX);
		require(n.sub_channels <= 3 && n.mtu <= NVSP_MAX_MTU);
		data += 2 + length;
		size -= 2 + length;
	}
	nvsp_reset(&n);
	return 0;
}
