/* SPDX-License-Identifier: Apache-2.0 */
/* hv_storvsc of the mini-guest; see ministor.h. */
#include "ministor.h"

#include <sys/mman.h>

#define DATA_PAGES (STORVSP_MAX_TRANSFER / VMBUS_PAGE + 1)

static void require(bool ok)
{
	if (!ok)
		abort();
}

struct ministor *ministor_new(u16 max_sub_channels)
{
	struct ministor *s = calloc(1, sizeof *s);
	const struct disk_pool_config pool = { .threads = 2 };
	struct err err = { 0 };

	require(s != NULL);
	s->mini = mini_new();
	const struct storvsp_config config = {
		.server = s->mini->server,
		.gm = s->mini->gm,
		.instance = { { 0x5c, 0x51 } },
		.max_sub_channels = max_sub_channels,
	};
	require(storvsp_new(&config, &s->storvsp) == 0);
	require(disk_pool_new(s->mini->loop, &pool, &s->pool, &err) == 0);
	s->data_page = mini_alloc(s->mini, DATA_PAGES);
	/* What is allocated again and again leaves the data alone. */
	s->mini->first_page = s->mini->next_page;
	return s;
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

static bool is_true(void *owner)
{
	return *(bool *)owner;
}

void ministor_free(struct ministor *s)
{
	bool closed = false;

	if (!s)
		return;
	vmbus_server_close_all(s->mini->server, on_closed, &closed);
	require(mini_until(s->mini, is_true, &closed));
	for (unsigned lun = 0; lun < SCSI_BUS_UNITS; lun++) {
		struct scsi_unit *unit = storvsp_unit(s->storvsp, lun);

		if (!unit)
			continue;
		if (unit->disk)
			require(disk_close(unit->disk) == 0);
		scsi_unit_free(unit);
	}
	storvsp_free(s->storvsp);
	disk_pool_free(s->pool);
	mini_free(s->mini);
	free(s);
}

static struct disk *open_disk(struct ministor *s, u64 size, bool read_only,
			      enum disk_format format, int *ret_fd)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	const struct disk_level level = { .fd = fd, .name = "mini", .format = format };
	const struct disk_open open = { .level = &level,
					.level_count = 1,
					.read_only = read_only };
	struct err err = { 0 };
	struct disk *disk;

	require(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	if (ret_fd)
		*ret_fd = dup(fd);
	require(disk_open(s->pool, &open, &disk, &err) == 0);
	return disk;
}

struct disk *ministor_disk(struct ministor *s, u64 size, bool read_only, int *ret_fd)
{
	return open_disk(s, size, read_only, DISK_RAW, ret_fd);
}

struct disk *ministor_disc(struct ministor *s, u64 size, int *ret_fd)
{
	return open_disk(s, size, true, DISK_ISO, ret_fd);
}

struct scsi_unit *ministor_add(struct ministor *s, unsigned lun, u64 size)
{
	const struct scsi_unit_config config = {
		.disk = ministor_disk(s, size, false, NULL),
		.id = { 0xd1, (u8)lun },
	};
	struct scsi_unit *unit;

	require(scsi_unit_new(&config, &unit) == 0);
	require(storvsp_attach(s->storvsp, lun, unit) == 0);
	return unit;
}

/* ---- the protocol ---- */

u32 ministor_step(struct ministor *s, u32 operation, struct storvsp_packet *io_packet)
{
	u8 bytes[128];

	io_packet->operation = le32_of(operation);
	io_packet->flags = le32_of(STORVSP_WANTS_COMPLETION);
	if (!mini_send(&s->channel, VMBUS_PACKET_INBAND, VMBUS_PACKET_WANTS_COMPLETION,
		       ++s->transaction, io_packet, sizeof *io_packet, 16) ||
	    mini_wait(&s->channel, bytes, sizeof bytes) != 80)
		return UINT32_MAX;
	memcpy(io_packet, bytes + 16, sizeof *io_packet);
	if (bytes[0] != VMBUS_PACKET_COMPLETION || bytes[8] != (u8)s->transaction ||
	    le32_get(io_packet->operation) != STORVSP_COMPLETE_IO)
		return UINT32_MAX;
	return le32_get(io_packet->status);
}

bool ministor_start(struct ministor *s)
{
	static const u32 steps[] = { STORVSP_BEGIN_INIT, STORVSP_QUERY_VERSION,
				     STORVSP_QUERY_PROPERTIES, STORVSP_END_INIT };
	struct vmbus_offer_message offer;

	if (!mini_connect(s->mini, VMBUS_5_3) || !mini_take_offer(s->mini, &offer))
		return false;
	mini_forget(s->mini);
	if (!mini_open(s->mini, le32_get(offer.relid), 32, 32, &s->channel))
		return false;
	for (unsigned k = 0; k < ARRAY_COUNT(steps); k++) {
		struct storvsp_packet packet = { 0 };

		if (steps[k] == STORVSP_QUERY_VERSION)
			packet.version.version = le16_of(STORVSP_WIN10);
		if (ministor_step(s, steps[k], &packet) != STORVSP_OK)
			return false;
	}
	return true;
}

/* ---- commands ---- */

bool ministor_send(struct mini_channel *channel, u64 transaction, u8 lun, const void *cdb,
		   u32 cdb_size, u8 data_in, u64 first_page, u32 size)
{
	u8 bytes[16 + 8 * DATA_PAGES + sizeof(struct storvsp_packet)];
	u32 pages = (size + VMBUS_PAGE - 1) / VMBUS_PAGE, at = 0;
	struct storvsp_packet packet = {
		.operation = le32_of(STORVSP_EXECUTE_SRB),
		.flags = le32_of(STORVSP_WANTS_COMPLETION),
		.request = { .size = le16_of(0x34),
			     .lun = lun,
			     .cdb_size = (u8)cdb_size,
			     .sense_size = STORVSP_SENSE_SIZE,
			     .data_in = data_in,
			     .transfer = le32_of(size) },
	};

	memcpy(packet.request.cdb, cdb, cdb_size <= 16 ? cdb_size : 16);
	if (size > 0) {
		const struct vmbus_gpa_direct h = { .range_count = le32_of(1) };
		const struct vmbus_range range = { .size = le32_of(size) };

		memcpy(bytes, &h, sizeof h);
		memcpy(bytes + 8, &range, sizeof range);
		at = 16;
		for (u32 k = 0; k < pages; k++, at += 8)
			memcpy(bytes + at, &(u64){ first_page + k }, 8);
	}
	memcpy(bytes + at, &packet, sizeof packet);
	return mini_send(channel,
			 size > 0 ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_INBAND,
			 VMBUS_PACKET_WANTS_COMPLETION, transaction, bytes,
			 at + (u32)sizeof packet, 16 + at);
}

struct ministor_result ministor_command(struct ministor *s, u8 lun, const void *cdb,
					u32 cdb_size, u8 data_in, u32 size)
{
	struct ministor_result result = { 0 };
	struct storvsp_packet packet;
	u64 transaction = ++s->transaction;
	u8 bytes[128];
	u32 got;

	if (!ministor_send(&s->channel, transaction, lun, cdb, cdb_size, data_in,
			   s->data_page, size))
		return result;
	/* What the host says unasked in between is not the answer. */
	do {
		got = mini_wait(&s->channel, bytes, sizeof bytes);
	} while (got == 80 && bytes[0] == VMBUS_PACKET_INBAND);
	memcpy(&packet, bytes + 16, sizeof packet);
	if (got != 80 || bytes[8] != (u8)transaction)
		return result;
	result.answered = le32_get(packet.operation) == STORVSP_COMPLETE_IO &&
			  le32_get(packet.status) == STORVSP_OK;
	result.srb_status = packet.request.srb_status;
	result.scsi_status = packet.request.scsi_status;
	result.moved = le32_get(packet.request.transfer);
	if (result.srb_status & SRB_AUTOSENSE_VALID && packet.request.sense_size >= 14) {
		result.key = packet.request.sense[2] & 0xf;
		result.additional = be16_at(packet.request.sense + 12);
	}
	return result;
}

static bool move_blocks(struct ministor *s, u8 lun, u8 opcode, u8 flags, u32 lba,
			u32 size)
{
	u8 cdb[10] = { opcode, flags };
	struct ministor_result r;

	be32_put(cdb + 2, lba);
	be16_put(cdb + 7, (u16)(size / 512));
	r = ministor_command(s, lun, cdb, sizeof cdb,
			     opcode == SCSI_READ_10 ? STORVSP_READ : STORVSP_WRITE, size);
	return r.answered && r.srb_status == SRB_SUCCESS && r.moved == size;
}

bool ministor_read(struct ministor *s, u8 lun, u32 lba, u32 size)
{
	return move_blocks(s, lun, SCSI_READ_10, 0, lba, size);
}

bool ministor_write(struct ministor *s, u8 lun, u32 lba, u32 size, bool fua)
{
	return move_blocks(s, lun, SCSI_WRITE_10, fua ? 8 : 0, lba, size);
}

bool ministor_flush(struct ministor *s, u8 lun)
{
	static const u8 cdb[10] = { SCSI_SYNCHRONIZE_CACHE_10 };
	struct ministor_result r =
		ministor_command(s, lun, cdb, sizeof cdb, STORVSP_NO_DATA, 0);

	return r.answered && r.srb_status == SRB_SUCCESS;
}

u8 *ministor_data(struct ministor *s)
{
	return mini_page(s->mini, s->data_page);
}
