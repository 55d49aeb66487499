/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ports of a switch do, byte by byte: connect, disconnect, send from and to few addresses, let time
 * pass. A frame never goes back, nor to a port that is down; guarded, nobody gets what is another's.
 */
#include "net/switch.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void send(struct net_switch *sw, unsigned port, u8 from, u8 to, u64 now)
{
	u8 frame[14] = { (u8)(to & 1),	 0x80, 0xc2, 0, 0, (u8)(to >> 1), 0, 1, 2, 3, 4,
			 (u8)(from & 15) };
	u64 out;

	frame[6] = from >> 7;
	if (!(to & 1))
		memcpy(frame, (u8[6]){ 0, 1, 2, 3, 4, (u8)(to >> 1 & 15) }, 6);
	out = net_switch_forward(sw, port, frame, (u32)(from == 64 ? 13 : 14), now);
	require((out & ~sw->up) == 0 && !(out & BIT64(port)));
	if (sw->spoofing || out == 0 || !sw->own[port].known)
		return;
	require(memcmp(sw->own[port].address, frame + 6, 6) == 0);
	for (unsigned k = 0; k < SWITCH_PORTS && !(to & 1); k++)
		if (sw->own[k].known && memcmp(sw->own[k].address, frame, 6) == 0)
			require(out == BIT64(k));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct net_switch sw;
	u64 now = 0;

	if (size < 1)
		return 0;
	net_switch_init(&sw, data[0] & 1, data[0] & 2);
	for (size_t k = 1; k + 3 < size; k += 4) {
		unsigned port = data[k + 1] % SWITCH_PORTS;

		now += (u64)data[k] << 30;
		if (data[k] % 8 == 0)
			(void)net_switch_connect(&sw);
		else if (data[k] % 64 == 1)
			net_switch_disconnect(&sw, port);
		else if (sw.up & BIT64(port))
			send(&sw, port, data[k + 2], data[k + 3], now);
	}
	return 0;
}
