/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of an ATAPI DVD drive: packets go to the SCSI unit behind it (SFF-8020i, ATA/ATAPI-6 8.21).
 * What reads blocks goes in pieces of the buffer; everything else is one answer of at most a
 * buffer. Nothing that sends data to the drive is known but what needs none of it.
 */
#include "board/ide_channel.h"

#define BLOCKS_A_PIECE (IDE_BUFFER / ATA_CD_BLOCK)
/* What one packet may read: more than any guest does, less than keeps us busy for long. */
#define MAX_BLOCKS 65536u

static u32 be32(const u8 *at)
{
	return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3];
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void finish(struct ide_channel *c, u8 sense_key)
{
	c->worker->count.now = ATA_REASON_COMMAND | ATA_REASON_IN;
	if (sense_key)
		ide_finish(c, (u8)(sense_key << 4 | ATA_ERROR_ABRT));
	else
		ide_finish(c, 0);
}

static void fail(struct ide_channel *c, enum scsi_sense_key key)
{
	struct ide_drive *d = c->worker;

	memset(d->sense, 0, sizeof d->sense);
	d->sense[2] = (u8)key;
	d->has_sense = true;
	finish(c, (u8)key);
}

/* The next DRQ block: as much as the guest's limit allows. */
static void offer(struct ide_channel *c)
{
	u32 n = (u32)min_u64(c->block, c->size - c->at);

	c->worker->mid.now = (u8)n;
	c->worker->high.now = (u8)(n >> 8);
	c->worker->count.now = ATA_REASON_IN;
	ide_offer(c, IDE_IN, true);
}

static void on_data(struct ide_channel *c, u32 size)
{
	c->at = 0;
	c->size = size;
	if (size == 0) {
		finish(c, 0);
	} else if (!c->dma) {
		offer(c);
	} else if (!ide_dma_copy(c, size, true)) {
		fail(c, SENSE_ABORTED);
	} else if (c->left > 0) {
		ide_start_disk(c);
	} else {
		ide_dma_done(c);
		finish(c, 0);
	}
}

static void on_unit_done(struct scsi_command *command)
{
	struct ide_channel *c = command->owner;
	struct ide_drive *d = c->worker;

	if (ide_came_back(c))
		return;
	if (command->status != SCSI_GOOD) {
		memset(d->sense, 0, sizeof d->sense);
		memcpy(d->sense, command->sense,
		       min_u64(sizeof d->sense, command->sense_size));
		d->has_sense = true;
		finish(c, d->sense[2] & 0xf ? d->sense[2] & 0xf : SENSE_ABORTED);
	} else {
		if (c->reading_cd)
			d->counts.read_sectors += command->moved / ATA_CD_BLOCK;
		on_data(c, command->moved);
	}
	ide_disk_done(c);
}

/* ---- the unit's commands --------------------------------------------------------------------- */

/* READ of the blocks that fit the buffer. */
static void put_piece(struct ide_channel *c, u8 *cdb)
{
	u32 blocks = (u32)min_u64(c->left, BLOCKS_A_PIECE);
	u32 at = (u32)c->sector;

	memset(cdb, 0, 16);
	cdb[0] = SCSI_READ_10;
	for (unsigned k = 0; k < 4; k++)
		cdb[2 + k] = (u8)(at >> (24 - 8 * k));
	cdb[7] = (u8)(blocks >> 8);
	cdb[8] = (u8)blocks;
	c->sector += blocks;
	c->left -= blocks;
}

/* The drive remembers why the last packet failed; a transport that tells at once has no need to. */
static void request_sense(struct ide_channel *c)
{
	struct ide_drive *d = c->worker;
	u32 size = (u32)min_u64(SCSI_SENSE_SIZE, c->cdb[4]);

	memset(c->buffer, 0, SCSI_SENSE_SIZE);
	if (d->has_sense)
		memcpy(c->buffer, d->sense, sizeof d->sense);
	c->buffer[0] = 0x70;
	c->buffer[7] = SCSI_SENSE_SIZE - 8;
	d->has_sense = false;
	on_data(c, size);
}

void ide_atapi_next(struct ide_channel *c)
{
	struct scsi_command *command = &c->command;

	if (c->dma && !ide_dma_runs(c)) {
		c->phase = IDE_DMA;
		return;
	}
	if (c->cdb[0] == SCSI_REQUEST_SENSE) {
		request_sense(c);
		return;
	}
	c->iov = (struct iovec){ .iov_base = c->buffer, .iov_len = IDE_BUFFER };
	*command = (struct scsi_command){
		.cdb_size = ATA_CDB_SIZE,
		.direction = SCSI_FROM_UNIT,
		.size = IDE_BUFFER,
		.iov = &c->iov,
		.iov_count = 1,
		.done = on_unit_done,
		.owner = c,
	};
	if (c->reading_cd) {
		put_piece(c, command->cdb);
		command->cdb_size = 10;
	} else {
		memcpy(command->cdb, c->cdb, ATA_CDB_SIZE);
	}
	scsi_unit_execute(c->worker->unit, command);
}

static void packet(struct ide_channel *c)
{
	u8 op;

	memcpy(c->cdb, c->buffer, ATA_CDB_SIZE);
	op = c->cdb[0];
	c->worker->counts.packets++;
	c->work = IDE_PACKET_DATA;
	if (op == SCSI_READ_10 || op == SCSI_READ_12) {
		c->reading_cd = true;
		c->sector = be32(c->cdb + 2);
		c->left = op == SCSI_READ_12 ? be32(c->cdb + 6)
					     : (u32)c->cdb[7] << 8 | c->cdb[8];
	}
	if (c->reading_cd && c->left == 0)
		finish(c, 0);
	else if (c->left > MAX_BLOCKS)
		fail(c, SENSE_ILLEGAL_REQUEST);
	else if (c->dma)
		ide_dma_wait(c);
	else
		ide_start_disk(c);
}

void ide_atapi_block_done(struct ide_channel *c)
{
	if (c->work == IDE_PACKET)
		packet(c);
	else if (c->at < c->size)
		offer(c);
	else if (c->reading_cd && c->left > 0)
		ide_start_disk(c);
	else
		finish(c, 0);
}

/* ---- ATA's own commands ---------------------------------------------------------------------- */

static void begin_packet(struct ide_channel *c)
{
	struct ide_drive *d = c->worker;
	u32 limit = (u32)d->high.now << 8 | d->mid.now;

	c->dma = d->feature.now & ATA_FEATURE_DMA;
	/* The most of one DRQ block: even, and 0 stands for all. */
	limit &= ~1u;
	c->block = ATA_CDB_SIZE;
	c->size = ATA_CDB_SIZE;
	c->work = IDE_PACKET;
	d->count.now = ATA_REASON_COMMAND;
	ide_offer(c, IDE_OUT, false);
	c->block = limit ? limit : 0xfffe;
}

static void identify(struct ide_channel *c)
{
	memset(c->buffer, 0, ATA_SECTOR);
	ide_identify_drive(c->buffer, c->worker, "Virtual CD");
	/* Packets of 12 bytes, removable, a CD-ROM, DRQ within 50 us. */
	c->buffer[0] = 0xc0;
	c->buffer[1] = 0x85;
	c->work = IDE_ANSWER;
	c->size = c->block = ATA_SECTOR;
	ide_offer(c, IDE_IN, true);
}

void ide_atapi_command(struct ide_channel *c, u8 command)
{
	switch (command) {
	case ATA_PACKET:
		begin_packet(c);
		return;
	case ATA_IDENTIFY_PACKET:
		identify(c);
		return;
	case ATA_IDENTIFY:
	case ATA_READ:
		/* Who asks a packet device as if it were a disk finds out by its signature. */
		ide_signature(c->worker);
		ide_finish(c, ATA_ERROR_ABRT);
		return;
	case ATA_SET_FEATURES:
		ide_ata_set_features(c);
		return;
	case ATA_STANDBY_NOW:
	case ATA_IDLE_NOW:
	case ATA_FLUSH:
		ide_finish(c, 0);
		return;
	case ATA_CHECK_POWER:
		c->worker->count.now = 0xff;
		ide_finish(c, 0);
		return;
	default:
		ide_finish(c, ATA_ERROR_ABRT);
	}
}
