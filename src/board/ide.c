/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, phases and resets of the IDE controller; see ide.h and ide_channel.h. Loop thread. */
#include "board/ide.h"

#include <errno.h>

#include "abi/board.h"
#include "board/ide_channel.h"
#include "wall/worker_end.h"

/* ---- phases ---------------------------------------------------------------------------------- */

static void set_line(struct ide_channel *c)
{
	bool level = c->irq && !(c->control & ATA_CONTROL_NIEN);

	c->ide->config.set_line(c->ide->config.owner, c->number, level);
}

void ide_interrupt(struct ide_channel *c)
{
	c->counts.interrupts++;
	c->irq = true;
	c->bm_status |= BM_STATUS_IRQ; /* it watches the line, whoever moves the data */
	set_line(c);
}

static void clear_interrupt(struct ide_channel *c)
{
	if (!c->irq)
		return;
	c->irq = false;
	set_line(c);
}

void ide_finish(struct ide_channel *c, u8 error)
{
	struct ide_drive *d = c->worker;

	c->phase = IDE_IDLE;
	c->work = IDE_NOTHING;
	d->status = ATA_STATUS_DRDY | ATA_STATUS_DSC | (error ? ATA_STATUS_ERR : 0);
	d->error = error;
	d->counts.failures += error != 0;
	ide_interrupt(c);
}

void ide_offer(struct ide_channel *c, enum ide_phase phase, bool interrupt)
{
	c->phase = phase;
	c->end = (u32)min_u64(c->at + c->block, c->size);
	c->worker->status = ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_DRQ;
	if (interrupt)
		ide_interrupt(c);
}

/* Not by recursion: a request that is done at once may want another one. */
void ide_start_disk(struct ide_channel *c)
{
	c->again = true;
	if (c->starting)
		return;
	c->starting = true;
	while (c->again) {
		c->again = false;
		c->worker->status = ATA_STATUS_DRDY | ATA_STATUS_BSY;
		c->phase = c->ide->paused ? IDE_NEXT : IDE_DISK;
		if (c->phase == IDE_NEXT)
			break;
		if (c->work == IDE_PACKET_DATA)
			ide_atapi_next(c);
		else
			ide_ata_next(c);
	}
	c->starting = false;
}

static bool any_at_disk(const struct ide *ide)
{
	return ide->channel[0].phase == IDE_DISK || ide->channel[1].phase == IDE_DISK;
}

static void tell_quiet(struct ide *ide)
{
	void (*quiet)(void *owner) = ide->quiet;

	if (!quiet || any_at_disk(ide))
		return;
	ide->quiet = NULL;
	quiet(ide->quiet_owner);
}

static void reset_done(struct ide_channel *c);

bool ide_came_back(struct ide_channel *c)
{
	if (!c->abandoned)
		return false;
	c->abandoned = false;
	reset_done(c);
	tell_quiet(c->ide);
	return true;
}

void ide_disk_done(struct ide_channel *c)
{
	tell_quiet(c->ide);
}

/* ---- resets ---------------------------------------------------------------------------------- */

void ide_signature(struct ide_drive *d)
{
	bool packet = ide_is_packet(d);

	d->count = d->low = (struct ide_pair){ .now = 1 };
	d->mid = (struct ide_pair){ .now = packet ? ATA_SIGNATURE_PACKET_MID : 0 };
	d->high = (struct ide_pair){ .now = packet ? ATA_SIGNATURE_PACKET_HIGH : 0 };
	d->error = 1; /* diagnostics found nothing */
	/* A packet device is ready when it has been asked something. */
	d->status = !d->unit ? 0 : packet ? 0 : ATA_STATUS_DRDY | ATA_STATUS_DSC;
}

static void reset_done(struct ide_channel *c)
{
	c->phase = IDE_IDLE;
	c->work = IDE_NOTHING;
	for (unsigned k = 0; k < IDE_DRIVES; k++)
		ide_signature(&c->drive[k]);
}

static void soft_reset(struct ide_channel *c)
{
	c->device = 0;
	clear_interrupt(c);
	for (unsigned k = 0; k < IDE_DRIVES; k++)
		if (c->drive[k].unit)
			c->drive[k].status = ATA_STATUS_BSY;
	if (c->phase == IDE_DISK) {
		c->abandoned = true;
		return;
	}
	c->phase = IDE_IDLE;
	c->work = IDE_NOTHING;
}

static void power_on(struct ide_channel *c)
{
	clear_interrupt(c);
	c->device = c->control = 0;
	c->abandoned = false;
	c->bm_command = c->bm_status = 0;
	c->bm_table = 0;
	c->worker = &c->drive[0];
	for (unsigned k = 0; k < IDE_DRIVES; k++) {
		struct ide_drive *d = &c->drive[k];

		d->feature = (struct ide_pair){ 0 };
		d->multiple = 16;
		d->heads = 16;
		d->sectors = 63;
		d->has_sense = false;
	}
	reset_done(c);
}

/* ---- registers ------------------------------------------------------------------------------- */

static struct ide_drive *selected(struct ide_channel *c)
{
	return &c->drive[(c->device & ATA_DEVICE_SECOND) != 0];
}

static void put(struct ide_pair *p, u8 value)
{
	p->before = p->now;
	p->now = value;
}

static u8 get(const struct ide_channel *c, const struct ide_pair *p)
{
	return c->control & ATA_CONTROL_HOB ? p->before : p->now;
}

u8 ide_read_status(struct ide *ide, unsigned channel)
{
	return selected(&ide->channel[channel])->status;
}

/* One element from the data port; short of the block's end there is nothing. */
static u32 read_data(struct ide_channel *c, unsigned size)
{
	u32 value = 0;

	if (c->phase != IDE_IN)
		return 0;
	size = (unsigned)min_u64(size, c->end - c->at);
	memcpy(&value, c->buffer + c->at, size);
	c->at += size;
	c->counts.pio_bytes += size;
	if (c->at == c->end) {
		if (c->work == IDE_PACKET_DATA)
			ide_atapi_block_done(c);
		else
			ide_ata_block_done(c);
	}
	return value;
}

static void write_data(struct ide_channel *c, unsigned size, u32 value)
{
	if (c->phase != IDE_OUT)
		return;
	size = (unsigned)min_u64(size, c->end - c->at);
	memcpy(c->buffer + c->at, &value, size);
	c->at += size;
	c->counts.pio_bytes += size;
	if (c->at < c->end)
		return;
	if (c->work == IDE_PACKET)
		ide_atapi_block_done(c);
	else
		ide_ata_block_done(c);
}

u32 ide_read(struct ide *ide, unsigned channel, unsigned reg, unsigned size)
{
	struct ide_channel *c = &ide->channel[channel];
	struct ide_drive *d = selected(c);
	u8 status = d->status;

	if (reg == ATA_DATA)
		return read_data(c, size);
	if (!d->unit)
		return 0;
	switch ((enum ata_register)reg) {
	case ATA_ERROR:
		return d->error;
	case ATA_COUNT:
		return get(c, &d->count);
	case ATA_LOW:
		return get(c, &d->low);
	case ATA_MID:
		return get(c, &d->mid);
	case ATA_HIGH:
		return get(c, &d->high);
	case ATA_DEVICE:
		return c->device | 0xa0;
	case ATA_STATUS:
		clear_interrupt(c);
		return status;
	case ATA_DATA:
		break;
	}
	return UINT32_MAX;
}

static void command(struct ide_channel *c, u8 value)
{
	struct ide_drive *d = selected(c);

	/* A drive at work takes none, but for a reset of a packet device. */
	if (value == ATA_DEVICE_RESET && ide_is_packet(d)) {
		u8 device = c->device;

		soft_reset(c);
		c->device = device;
		if (!c->abandoned)
			reset_done(c);
		return;
	}
	if (!d->unit || c->phase == IDE_DISK || c->phase == IDE_NEXT ||
	    c->phase == IDE_DMA || (c->control & ATA_CONTROL_SRST))
		return;
	clear_interrupt(c);
	c->worker = d;
	c->dma = c->fua = c->reading_cd = false;
	c->at = c->size = c->left = 0;
	d->error = 0;
	d->counts.commands++;
	/* The one that both drives answer. */
	if (value == ATA_DIAGNOSTIC) {
		c->device = 0;
		reset_done(c);
		ide_interrupt(c);
	} else if (ide_is_packet(d)) {
		ide_atapi_command(c, value);
	} else {
		ide_ata_command(c, value);
	}
}

static void write_pair(struct ide_channel *c, unsigned reg, u8 value)
{
	for (unsigned k = 0; k < IDE_DRIVES; k++) {
		struct ide_drive *d = &c->drive[k];
		struct ide_pair *const pair[] = {
			[ATA_FEATURE] = &d->feature, [ATA_COUNT] = &d->count,
			[ATA_LOW] = &d->low,	     [ATA_MID] = &d->mid,
			[ATA_HIGH] = &d->high,
		};

		put(pair[reg], value);
	}
	/* Any write of the command block shows the last bytes again. */
	c->control &= (u8)~ATA_CONTROL_HOB;
}

void ide_write(struct ide *ide, unsigned channel, unsigned reg, unsigned size, u32 value)
{
	struct ide_channel *c = &ide->channel[channel];

	if (reg == ATA_DATA) {
		write_data(c, size, value);
	} else if (reg == ATA_COMMAND) {
		c->control &= (u8)~ATA_CONTROL_HOB;
		command(c, (u8)value);
	} else if (selected(c)->status & ATA_STATUS_BSY) {
		return; /* the registers are the drive's */
	} else if (reg == ATA_DEVICE) {
		c->control &= (u8)~ATA_CONTROL_HOB;
		/* Data under way belongs to the drive that was asked. */
		if (c->phase == IDE_IDLE || c->phase == IDE_IN || c->phase == IDE_OUT)
			c->device = (u8)value;
	} else {
		write_pair(c, reg, (u8)value);
	}
}

void ide_write_control(struct ide *ide, unsigned channel, u8 value)
{
	struct ide_channel *c = &ide->channel[channel];
	u8 before = c->control;

	c->control = value & (ATA_CONTROL_NIEN | ATA_CONTROL_SRST | ATA_CONTROL_HOB);
	if (value & ~before & ATA_CONTROL_SRST)
		soft_reset(c);
	else if (before & ~value & ATA_CONTROL_SRST && !c->abandoned)
		reset_done(c);
	set_line(c);
}

/* ---- the ports ------------------------------------------------------------------------------- */

static u64 on_read(void *owner, u64 offset, unsigned size)
{
	struct ide_channel *c = owner;

	return ide_read(c->ide, c->number, (unsigned)offset, size);
}

static void on_write(void *owner, u64 offset, unsigned size, u64 value)
{
	struct ide_channel *c = owner;

	ide_write(c->ide, c->number, (unsigned)offset, size, (u32)value);
}

/* What the guest reads by one instruction comes over the wall at once. */
static void on_read_string(void *owner, u64 offset, unsigned size, unsigned count,
			   u8 *ret_data)
{
	struct ide_channel *c = owner;

	for (unsigned k = 0; k < count; k++) {
		u32 value = ide_read(c->ide, c->number, (unsigned)offset, size);

		memcpy(ret_data + (size_t)k * size, &value, min_u64(size, sizeof value));
	}
}

static void on_write_string(void *owner, u64 offset, unsigned size, unsigned count,
			    const u8 *data)
{
	struct ide_channel *c = owner;

	for (unsigned k = 0; k < count; k++) {
		u32 value = 0;

		memcpy(&value, data + (size_t)k * size, min_u64(size, sizeof value));
		ide_write(c->ide, c->number, (unsigned)offset, size, value);
	}
}

static u64 on_read_control(void *owner, u64 offset, unsigned size)
{
	struct ide_channel *c = owner;

	return ide_read_status(c->ide, c->number);
}

static void on_write_control(void *owner, u64 offset, unsigned size, u64 value)
{
	struct ide_channel *c = owner;

	ide_write_control(c->ide, c->number, (u8)value);
}

static const struct worker_range_ops command_ops = {
	.read = on_read,
	.write = on_write,
	.read_string = on_read_string,
	.write_string = on_write_string,
};
static const struct worker_range_ops control_ops = {
	.read = on_read_control,
	.write = on_write_control,
};

int ide_connect(struct ide *ide, struct worker_end *end, struct err *err)
{
	static const u16 command_port[IDE_CHANNELS] = { BOARD_PORT_IDE0,
							BOARD_PORT_IDE1 };
	static const u16 control_port[IDE_CHANNELS] = { BOARD_PORT_IDE0_CONTROL,
							BOARD_PORT_IDE1_CONTROL };
	int r = 0;

	for (unsigned n = 0; r == 0 && n < IDE_CHANNELS; n++) {
		struct ide_channel *c = &ide->channel[n];

		r = worker_add_range(end,
				     &(struct worker_range){ .base = command_port[n],
							     .size = 8,
							     .ops = &command_ops,
							     .owner = c },
				     err);
		if (r == 0)
			r = worker_add_range(
				end,
				&(struct worker_range){ .base = control_port[n],
							.size = 1,
							.ops = &control_ops,
							.owner = c },
				err);
	}
	return r;
}

/* ---- life ------------------------------------------------------------------------------------ */

int ide_new(const struct ide_config *config, struct ide **ret_ide)
{
	struct ide *ide = calloc(1, sizeof *ide);

	if (!ide)
		return -ENOMEM;
	ide->config = *config;
	for (unsigned n = 0; n < IDE_CHANNELS; n++) {
		struct ide_channel *c = &ide->channel[n];

		c->ide = ide;
		c->number = n;
		c->buffer = calloc(1, IDE_BUFFER);
		if (!c->buffer) {
			ide_free(ide);
			return -ENOMEM;
		}
		power_on(c);
	}
	*ret_ide = ide;
	return 0;
}

void ide_free(struct ide *ide)
{
	if (!ide)
		return;
	for (unsigned n = 0; n < IDE_CHANNELS; n++)
		free(ide->channel[n].buffer);
	free(ide);
}

int ide_attach(struct ide *ide, unsigned channel, unsigned drive, struct scsi_unit *unit)
{
	struct ide_drive *d = &ide->channel[channel].drive[drive];

	if (d->unit)
		return -EBUSY;
	if (!unit->dvd && disk_info(unit->disk)->logical_block != ATA_SECTOR)
		return -EMEDIUMTYPE;
	d->unit = unit;
	ide_signature(d);
	return 0;
}

void ide_pause(struct ide *ide, void (*done)(void *owner), void *owner)
{
	ide->paused = true;
	ide->quiet = done;
	ide->quiet_owner = owner;
	tell_quiet(ide);
}

void ide_resume(struct ide *ide)
{
	ide->paused = false;
	for (unsigned n = 0; n < IDE_CHANNELS; n++) {
		struct ide_channel *c = &ide->channel[n];

		set_line(c);
		if (c->phase == IDE_NEXT)
			ide_start_disk(c);
	}
}

void ide_reset(struct ide *ide)
{
	for (unsigned n = 0; n < IDE_CHANNELS; n++)
		power_on(&ide->channel[n]);
	ide_resume(ide);
}
