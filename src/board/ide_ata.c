/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of an ATA disk, ATA/ATAPI-6 chapter 8; see ide_channel.h. Loop thread. */
#include <errno.h>
#include <stdio.h>

#include "board/ide_channel.h"

#define MAX_MULTIPLE 16u
#define LBA28_MAX 0x0fffffffu

static struct disk *disk_of(const struct ide_channel *c)
{
	return c->worker->unit->disk;
}

static u64 sectors_of(const struct ide_drive *d)
{
	return disk_info(d->unit->disk)->size / ATA_SECTOR;
}

/* ---- reads, writes, flushes ------------------------------------------------------------------ */

static void on_moved(struct ide_channel *c, int r)
{
	u32 size = (u32)c->request.size;

	if (c->work == IDE_FLUSH) {
		ide_finish(c, r < 0 ? ATA_ERROR_ABRT : 0);
		return;
	}
	if (r < 0) {
		ide_finish(c, r == -EIO ? ATA_ERROR_UNC : ATA_ERROR_ABRT);
		return;
	}
	c->sector += size / ATA_SECTOR;
	c->left -= size;
	if (c->work == IDE_READ) {
		c->worker->counts.read_sectors += size / ATA_SECTOR;
		if (!c->dma) {
			c->at = 0;
			c->size = size;
			ide_offer(c, IDE_IN, true);
			return;
		}
		if (!ide_dma_copy(c, size, true)) {
			ide_finish(c, ATA_ERROR_ABRT);
			return;
		}
	} else {
		c->worker->counts.written_sectors += size / ATA_SECTOR;
	}
	if (c->left == 0) {
		if (c->dma)
			ide_dma_done(c);
		ide_finish(c, 0);
	} else if (c->dma) {
		ide_start_disk(c);
	} else {
		c->at = 0;
		c->size = (u32)min_u64(c->left, IDE_BUFFER);
		ide_offer(c, IDE_OUT, true);
	}
}

static void on_disk_done(struct disk_request *request, int r)
{
	struct ide_channel *c = request->owner;

	if (ide_came_back(c))
		return;
	on_moved(c, r);
	ide_disk_done(c);
}

void ide_ata_next(struct ide_channel *c)
{
	u32 size = c->work == IDE_FLUSH ? 0 : (u32)min_u64(c->left, IDE_BUFFER);

	/* A bus master that was stopped meanwhile: the data waits for it. */
	if (c->dma && !ide_dma_runs(c)) {
		c->phase = IDE_DMA;
		return;
	}
	if (c->dma && c->work == IDE_WRITE && !ide_dma_copy(c, size, false)) {
		ide_finish(c, ATA_ERROR_ABRT);
		return;
	}
	c->iov = (struct iovec){ .iov_base = c->buffer, .iov_len = size };
	c->request = (struct disk_request){
		.op = c->work == IDE_FLUSH   ? DISK_FLUSH
		      : c->work == IDE_WRITE ? DISK_WRITE
					     : DISK_READ,
		.flags = c->fua ? DISK_FUA : 0,
		.offset = c->sector * ATA_SECTOR,
		.size = size,
		.iov = &c->iov,
		.iov_count = 1,
		.done = on_disk_done,
		.owner = c,
	};
	if (c->work == IDE_FLUSH) {
		c->request.offset = 0;
		c->request.iov_count = 0;
	} else if (disk_do_now(disk_of(c), &c->request)) {
		on_moved(c, 0);
		return;
	}
	disk_submit(disk_of(c), &c->request);
}

/* A DRQ block is through. */
void ide_ata_block_done(struct ide_channel *c)
{
	if (c->at < c->size)
		ide_offer(c, c->phase, true);
	else if (c->work == IDE_ANSWER || (c->work == IDE_READ && c->left == 0)) {
		/* The last block of what was read is the end, without an interrupt. */
		c->phase = IDE_IDLE;
		c->work = IDE_NOTHING;
		c->worker->status = ATA_STATUS_DRDY | ATA_STATUS_DSC;
	} else {
		ide_start_disk(c);
	}
}

/* ---- addresses ------------------------------------------------------------------------------- */

struct span {
	u64 sector;
	u32 count;
};

static struct span span_48(const struct ide_drive *d)
{
	u32 count = (u32)d->count.before << 8 | d->count.now;

	return (struct span){
		.sector = (u64)d->high.before << 40 | (u64)d->mid.before << 32 |
			  (u64)d->low.before << 24 | (u64)d->high.now << 16 |
			  (u64)d->mid.now << 8 | d->low.now,
		.count = count ? count : 65536,
	};
}

static struct span span_28(const struct ide_channel *c)
{
	const struct ide_drive *d = c->worker;
	u32 head = c->device & 0xf, cylinder = (u32)d->high.now << 8 | d->mid.now;
	u32 count = d->count.now ? d->count.now : 256;

	if (c->device & ATA_DEVICE_LBA)
		return (struct span){ .sector = (u64)head << 24 | (u64)cylinder << 8 |
						d->low.now,
				      .count = count };
	/* Sectors are counted from 1: 0 is none. */
	if (d->low.now == 0)
		return (struct span){ .sector = UINT64_MAX / ATA_SECTOR, .count = count };
	return (struct span){ .sector = ((u64)cylinder * d->heads + head) * d->sectors +
					d->low.now - 1,
			      .count = count };
}

static bool inside(const struct ide_drive *d, const struct span *s)
{
	u64 sectors = sectors_of(d);

	return s->sector < sectors && s->count <= sectors - s->sector;
}

/* ---- commands -------------------------------------------------------------------------------- */

struct transfer {
	u8 command;
	bool write, dma, wide, multiple, fua;
};
static const struct transfer transfers[] = {
	{ ATA_READ },
	{ ATA_READ_ONCE },
	{ ATA_READ_EXT, .wide = true },
	{ ATA_READ_MULTIPLE, .multiple = true },
	{ ATA_READ_MULTIPLE_EXT, .multiple = true, .wide = true },
	{ ATA_READ_DMA, .dma = true },
	{ ATA_READ_DMA_ONCE, .dma = true },
	{ ATA_READ_DMA_EXT, .dma = true, .wide = true },
	{ ATA_WRITE, .write = true },
	{ ATA_WRITE_ONCE, .write = true },
	{ ATA_WRITE_EXT, .write = true, .wide = true },
	{ ATA_WRITE_MULTIPLE, .write = true, .multiple = true },
	{ ATA_WRITE_MULTIPLE_EXT, .write = true, .multiple = true, .wide = true },
	{ ATA_WRITE_DMA, .write = true, .dma = true },
	{ ATA_WRITE_DMA_ONCE, .write = true, .dma = true },
	{ ATA_WRITE_DMA_EXT, .write = true, .dma = true, .wide = true },
	{ ATA_WRITE_DMA_FUA_EXT, .write = true, .dma = true, .wide = true, .fua = true },
};

static void start_transfer(struct ide_channel *c, const struct transfer *t)
{
	const struct ide_drive *d = c->worker;
	struct span s = t->wide ? span_48(d) : span_28(c);

	if ((t->multiple && d->multiple == 0) ||
	    (t->write && disk_info(d->unit->disk)->read_only)) {
		ide_finish(c, ATA_ERROR_ABRT);
		return;
	}
	if (!inside(d, &s)) {
		ide_finish(c, ATA_ERROR_IDNF);
		return;
	}
	c->work = t->write ? IDE_WRITE : IDE_READ;
	c->dma = t->dma;
	c->fua = t->fua;
	c->sector = s.sector;
	c->left = s.count * ATA_SECTOR;
	c->block = (t->multiple ? d->multiple : 1) * ATA_SECTOR;
	if (t->dma) {
		ide_dma_wait(c);
	} else if (t->write) {
		c->size = (u32)min_u64(c->left, IDE_BUFFER);
		ide_offer(c, IDE_OUT, false);
	} else {
		ide_start_disk(c);
	}
}

static void put_word(u8 *words, unsigned n, u32 value)
{
	words[2 * n] = (u8)value;
	words[2 * n + 1] = (u8)(value >> 8);
}

/* Text in ATA's order: the first letter of a pair in the upper byte, spaces behind. */
static void put_text(u8 *words, unsigned n, unsigned count, const char *text)
{
	bool over = false;

	for (unsigned k = 0; k < 2 * count; k++) {
		over = over || !text[k];
		words[2 * n + (k ^ 1)] = over ? ' ' : (u8)text[k];
	}
}

/* What disk and drive have in common. */
void ide_identify_drive(u8 *w, const struct ide_drive *d, const char *model)
{
	char serial[21];
	const u8 *id = d->unit->id;

	if (!d->unit->dvd)
		id = disk_info(d->unit->disk)->id;
	for (unsigned k = 0; k < 10; k++)
		snprintf(serial + 2 * k, 3, "%02x", id[k]);
	put_text(w, 10, 10, serial);
	put_text(w, 23, 4, "1.0");
	put_text(w, 27, 20, model);
	put_word(w, 49, 1u << 9 | 1u << 8); /* LBA, DMA */
	put_word(w, 53, 6);		    /* words 64-70 and 88 count */
	put_word(w, 63, 0x0407);	    /* multi-word DMA 2 is on */
	put_word(w, 64, 3);		    /* PIO 4 */
	for (unsigned n = 65; n <= 68; n++)
		put_word(w, n, 120);
	put_word(w, 80, 0x7e);	 /* up to ATA/ATAPI-6 */
	put_word(w, 88, 0x043f); /* Ultra DMA 5 is known, 2 is on */
}

static void identify(struct ide_channel *c)
{
	const struct ide_drive *d = c->worker;
	const struct disk_info *info = disk_info(d->unit->disk);
	u64 sectors = sectors_of(d), cylinders = sectors / (16 * 63);
	u32 low = (u32)min_u64(sectors, LBA28_MAX);
	u8 *w = c->buffer;

	memset(w, 0, ATA_SECTOR);
	put_word(w, 0, 0x40); /* fixed */
	put_word(w, 1, (u32)min_u64(cylinders, 16383));
	put_word(w, 3, 16);
	put_word(w, 6, 63);
	ide_identify_drive(w, d, "Virtual HD");
	put_word(w, 47, 0x8000 | MAX_MULTIPLE);
	put_word(w, 53, 7); /* and words 54-58 */
	put_word(w, 54, (u32)min_u64(cylinders, 16383));
	put_word(w, 55, d->heads);
	put_word(w, 56, d->sectors);
	put_word(w, 57, (u32)min_u64(cylinders, 16383) * 16 * 63);
	put_word(w, 58, ((u32)min_u64(cylinders, 16383) * 16 * 63) >> 16);
	put_word(w, 59, d->multiple ? 0x100u | d->multiple : 0);
	put_word(w, 60, low);
	put_word(w, 61, low >> 16);
	/* Write cache, look-ahead; flushes, 48 bits, FUA. */
	put_word(w, 82, 1u << 5 | 1u << 6 | 1u << 14);
	put_word(w, 83, 1u << 14 | 1u << 13 | 1u << 12 | 1u << 10);
	put_word(w, 84, 1u << 14 | 1u << 6);
	put_word(w, 85, 1u << 5 | 1u << 6 | 1u << 14);
	put_word(w, 86, 1u << 13 | 1u << 12 | 1u << 10);
	put_word(w, 87, 1u << 14 | 1u << 6);
	put_word(w, 93, 0x400b | (d == &c->drive[1] ? 0x200u : 0)); /* 80 wires */
	for (unsigned k = 0; k < 4; k++)
		put_word(w, 100 + k, (u32)(sectors >> (16 * k)));
	if (info->physical_block > ATA_SECTOR)
		put_word(w, 106,
			 0x6000u | (unsigned)__builtin_ctz(info->physical_block /
							   ATA_SECTOR));
	c->work = IDE_ANSWER;
	c->size = c->block = ATA_SECTOR;
	ide_offer(c, IDE_IN, true);
}

/* The drive's last sector, in its registers. */
static void native_max(struct ide_channel *c, bool wide)
{
	struct ide_drive *d = c->worker;
	u64 last = sectors_of(d) - 1;

	if (!wide)
		last = min_u64(last, LBA28_MAX - 1);
	d->low.now = (u8)last;
	d->mid.now = (u8)(last >> 8);
	d->high.now = (u8)(last >> 16);
	if (wide) {
		d->low.before = (u8)(last >> 24);
		d->mid.before = (u8)(last >> 32);
		d->high.before = (u8)(last >> 40);
	} else {
		c->device = (u8)((c->device & 0xf0) | (last >> 24));
	}
	ide_finish(c, 0);
}

static void flush(struct ide_channel *c)
{
	c->work = IDE_FLUSH;
	ide_start_disk(c);
}

void ide_ata_set_features(struct ide_channel *c)
{
	switch (c->worker->feature.now) {
	case ATA_WRITE_CACHE_OFF:
		/* What is cached goes out; later writes stay cached: guests flush anyway. */
		if (!ide_is_packet(c->worker)) {
			flush(c);
			return;
		}
		ide_finish(c, 0);
		return;
	case ATA_WRITE_CACHE_ON:
	case ATA_TRANSFER_MODE:
	case ATA_LOOK_AHEAD_OFF:
	case ATA_LOOK_AHEAD_ON:
		ide_finish(c, 0);
		return;
	default:
		ide_finish(c, ATA_ERROR_ABRT);
	}
}

static void set_multiple(struct ide_channel *c)
{
	u8 count = c->worker->count.now;
	bool good = count <= MAX_MULTIPLE && (count & (count - 1)) == 0;

	if (good)
		c->worker->multiple = count;
	ide_finish(c, good ? 0 : ATA_ERROR_ABRT);
}

static void set_parameters(struct ide_channel *c)
{
	c->worker->heads = (u8)((c->device & 0xf) + 1);
	if (c->worker->count.now)
		c->worker->sectors = c->worker->count.now;
	ide_finish(c, c->worker->count.now ? 0 : ATA_ERROR_ABRT);
}

static void verify(struct ide_channel *c, bool wide)
{
	struct span s = wide ? span_48(c->worker) : span_28(c);

	ide_finish(c, inside(c->worker, &s) ? 0 : ATA_ERROR_IDNF);
}

void ide_ata_command(struct ide_channel *c, u8 command)
{
	for (unsigned k = 0; k < ARRAY_COUNT(transfers); k++) {
		if (transfers[k].command == command) {
			start_transfer(c, &transfers[k]);
			return;
		}
	}
	if (command >= ATA_RECALIBRATE && command < ATA_RECALIBRATE + 16) {
		ide_finish(c, 0);
		return;
	}
	switch (command) {
	case ATA_IDENTIFY:
		identify(c);
		return;
	case ATA_FLUSH:
	case ATA_FLUSH_EXT:
	case ATA_STANDBY_NOW:
	case ATA_STANDBY:
		flush(c);
		return;
	case ATA_VERIFY:
	case ATA_VERIFY_ONCE:
		verify(c, false);
		return;
	case ATA_VERIFY_EXT:
		verify(c, true);
		return;
	case ATA_SEEK:
	case ATA_IDLE_NOW:
	case ATA_IDLE:
	case ATA_SLEEP:
		ide_finish(c, 0);
		return;
	case ATA_CHECK_POWER:
		c->worker->count.now = 0xff; /* it spins */
		ide_finish(c, 0);
		return;
	case ATA_SET_MULTIPLE:
		set_multiple(c);
		return;
	case ATA_PARAMETERS:
		set_parameters(c);
		return;
	case ATA_SET_FEATURES:
		ide_ata_set_features(c);
		return;
	case ATA_NATIVE_MAX:
	case ATA_NATIVE_MAX_EXT:
		native_max(c, command == ATA_NATIVE_MAX_EXT);
		return;
	default: /* among them IDENTIFY PACKET DEVICE */
		ide_finish(c, ATA_ERROR_ABRT);
	}
}
