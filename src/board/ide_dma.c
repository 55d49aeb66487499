/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus master of an IDE channel: a table of entries (base, size) in RAM says where data goes. It may
 * lie anywhere, point anywhere, have entries without size (64 KiB) and no end: each step moves data
 * of one buffer, and an entry moves at least two bytes, so a walk ends. SFF-8038i.
 */
#include "board/ide_channel.h"
#include "wall/guest_memory.h"

static void walk_from_the_top(struct ide_channel *c)
{
	c->bm_next = c->bm_table & ~3u;
	c->bm_left = 0;
	c->bm_last = false;
}

/* The next entry is the one that counts. False: there is none, or it is not in RAM. */
static bool next_entry(struct ide_channel *c)
{
	struct bm_entry e;

	if (c->bm_last || gm_read(c->ide->config.gm, c->bm_next, &e, sizeof e) < 0)
		return false;
	c->bm_next += sizeof e;
	c->bm_base = le32_get(e.base) & ~1u;
	c->bm_left = le16_get(e.size) & ~1u;
	if (c->bm_left == 0)
		c->bm_left = 0x10000;
	c->bm_last = le16_get(e.flags) & BM_ENTRY_LAST;
	return true;
}

static bool fail(struct ide_channel *c)
{
	c->bm_status |= BM_STATUS_ERROR;
	c->bm_status &= (u8)~BM_STATUS_ACTIVE;
	c->counts.dma_errors++;
	return false;
}

bool ide_dma_copy(struct ide_channel *c, u32 size, bool to_memory)
{
	struct guest_memory *gm = c->ide->config.gm;
	u64 ticket = 0;
	u32 at = 0;

	while (at < size) {
		u32 n;
		int r;

		if (c->bm_left == 0 && !next_entry(c))
			return fail(c);
		n = (u32)min_u64(c->bm_left, size - at);
		r = to_memory ? gm_write(gm, c->bm_base, c->buffer + at, n, &ticket)
			      : gm_read(gm, c->bm_base, c->buffer + at, n);
		if (r < 0)
			return fail(c);
		c->bm_base += n;
		c->bm_left -= n;
		at += n;
	}
	c->counts.dma_bytes += size;
	/* Nobody executes what was there before when the guest hears of it. */
	return gm_wait_published(gm, ticket) == 0 || fail(c);
}

/* Data and table end together, or the table is longer and the master stays active. */
void ide_dma_done(struct ide_channel *c)
{
	if (c->bm_last && c->bm_left == 0)
		c->bm_status &= (u8)~BM_STATUS_ACTIVE;
}

void ide_dma_wait(struct ide_channel *c)
{
	c->worker->status = ATA_STATUS_DRDY | ATA_STATUS_BSY;
	c->phase = IDE_DMA;
	if (ide_dma_runs(c))
		ide_start_disk(c);
}

/* ---- registers ---- */

static void write_command(struct ide_channel *c, u8 value)
{
	u8 before = c->bm_command;

	c->bm_command = value & (BM_COMMAND_START | BM_COMMAND_TO_MEMORY);
	if (value & ~before & BM_COMMAND_START) {
		walk_from_the_top(c);
		c->bm_status |= BM_STATUS_ACTIVE;
		if (c->phase == IDE_DMA)
			ide_start_disk(c);
	} else if (before & ~value & BM_COMMAND_START) {
		c->bm_status &= (u8)~BM_STATUS_ACTIVE;
	}
}

static void write_status(struct ide_channel *c, u8 value)
{
	u8 cleared = value & (BM_STATUS_ERROR | BM_STATUS_IRQ);

	c->bm_status = (u8)((c->bm_status & ~cleared & ~BM_STATUS_DRIVES) |
			    (value & BM_STATUS_DRIVES));
}

static u8 read_byte(const struct ide_channel *c, unsigned reg)
{
	if (reg == BM_COMMAND)
		return c->bm_command;
	if (reg == BM_STATUS)
		return c->bm_status;
	if (reg >= BM_TABLE)
		return (u8)(c->bm_table >> 8 * (reg - BM_TABLE));
	return 0;
}

static void write_byte(struct ide_channel *c, unsigned reg, u8 value)
{
	unsigned shift = 8 * (reg & 3);

	if (reg == BM_COMMAND)
		write_command(c, value);
	else if (reg == BM_STATUS)
		write_status(c, value);
	else if (reg >= BM_TABLE)
		c->bm_table = (c->bm_table & ~(0xffu << shift)) | (u32)value << shift;
}

u32 ide_bm_read(struct ide *ide, unsigned offset, unsigned size)
{
	u32 value = 0;

	for (unsigned k = 0; k < size && offset + k < IDE_CHANNELS * BM_CHANNEL_SIZE; k++)
		value |= (u32)read_byte(&ide->channel[(offset + k) / BM_CHANNEL_SIZE],
					(offset + k) % BM_CHANNEL_SIZE)
			 << 8 * k;
	return value;
}

void ide_bm_write(struct ide *ide, unsigned offset, unsigned size, u32 value)
{
	for (unsigned k = 0; k < size && offset + k < IDE_CHANNELS * BM_CHANNEL_SIZE; k++)
		write_byte(&ide->channel[(offset + k) / BM_CHANNEL_SIZE],
			   (offset + k) % BM_CHANNEL_SIZE, (u8)(value >> 8 * k));
}
