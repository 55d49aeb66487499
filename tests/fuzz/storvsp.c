/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets on the channel of a SCSI controller with a disk and an empty DVD drive. The input is a row
 * of packets: a byte of kind, a byte of size, then bytes. At the end everything is answered: the
 * channel closes and the guest's list of pages comes back.
 */
#include "miniguest/ministor.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static bool never(void *owner)
{
	unsigned *turns = owner;

	return (*turns)++ > 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct ministor *s;
	static struct scsi_unit *dvd;
	u8 bytes[1024];
	u64 transaction = 1000;
	unsigned turns = 0;

	if (!s) {
		s = ministor_new(2);
		ministor_add(s, 0, 1 << 20);
		require(scsi_unit_new(&(struct scsi_unit_config){ .dvd = true }, &dvd) ==
			0);
		require(storvsp_attach(s->storvsp, 1, dvd) == 0);
	}
	require(ministor_start(s));
	while (size >= 4) {
		u8 kind = data[0];
		u32 n = (u32)min_u64(data[1], size - 4), header = 16;
		struct storvsp_packet packet = { 0 };
		u32 at = 0;

		memset(bytes, 0, sizeof bytes);
		if (kind & 1) { /* one or two pages of data, or what the input says */
			u64 word[4] = { 1, (u64)(data[2] & 7) * 512, s->data_page,
					s->data_page + (kind & 2 ? 1u << 20 : 1) };

			word[0] = (u64)(kind >> 6) << 32;
			memcpy(bytes, word, sizeof word);
			at = sizeof word;
			header += at;
		}
		memcpy(&packet, data + 4, min_u64(n, sizeof packet));
		if (kind & 4)
			packet.operation = le32_of(STORVSP_EXECUTE_SRB);
		if (kind & 8) {
			packet.request.path = packet.request.target = 0;
			packet.request.lun &= 1;
			packet.request.cdb_size = 16;
			packet.request.transfer =
				le32_of(le32_get(packet.request.transfer) & 0xfff);
		}
		memcpy(bytes + at, &packet, sizeof packet);
		if (!mini_send(&s->channel,
			       kind & 0x10 ? data[3]
			       : kind & 1  ? VMBUS_PACKET_GPA_DIRECT
					   : VMBUS_PACKET_INBAND,
			       1, transaction++, bytes,
			       at + (kind & 0x20 ? n : (u32)sizeof packet), header))
			break;
		while (mini_receive(&s->channel, bytes, sizeof bytes))
			;
		data += 4 + n;
		size -= 4 + n;
	}
	(void)mini_until(s->mini, never, &turns);
	while (mini_receive(&s->channel, bytes, sizeof bytes))
		;
	mini_forget(s->mini);
	require(mini_unload(s->mini) || (mini_close(&s->channel), true));
	/* What was in flight ends, whatever it was. */
	while (s->mini->connected[s->channel.relid] ||
	       vmbus_server_protocol(s->mini->server)->state != VMBUS_DISCONNECTED) {
		turns = 0;
		(void)mini_until(s->mini, never, &turns);
		loop_stop(s->mini->loop);
		require(loop_run(s->mini->loop) == 0);
	}
	mini_forget(s->mini);
	require(storvsp_unit(s->storvsp, 0)->in_flight == 0);
	require(dvd->in_flight == 0);
	storvsp_unit(s->storvsp, 0)->attention_count = 0;
	return 0;
}
