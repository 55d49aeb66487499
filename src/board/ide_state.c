/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an IDE channel keeps, as a record "ide" each, and what `inspect` shows of it; see ide.h. Saved
 * while no disk works: a command that has more to ask of its disk stands in IDE_NEXT.
 */
#include <errno.h>
#include <stdio.h>

#include "board/ide_channel.h"
#include "state/record.h"

enum {
	STATE_NUMBER = 1,
	STATE_DEVICE,
	STATE_CONTROL,
	STATE_IRQ,
	STATE_PHASE,
	STATE_WORK,
	STATE_WORKER,
	STATE_FLAGS, /* DMA, FUA, reading a CD */
	STATE_SECTOR,
	STATE_LEFT,
	STATE_BLOCK,
	STATE_AT,
	STATE_END,
	STATE_SIZE,
	STATE_CDB,
	STATE_BUFFER, /* the bytes that count: size of them */
	STATE_BM,     /* command, status */
	STATE_BM_TABLE,
	STATE_BM_NEXT,
	STATE_BM_BASE,
	STATE_BM_LEFT,
	STATE_BM_LAST,
	STATE_DRIVE, /* one for each, in order: struct drive_state */
};

struct drive_state {
	u8 present;
	u8 task[10]; /* feature, count, low, mid, high: now, before */
	u8 status, error, multiple, heads, sectors, has_sense;
	u8 sense[SCSI_SENSE_SIZE];
} PACKED;

static void save_drive(const struct ide_drive *d, struct state_writer *w)
{
	const struct ide_pair *pair[] = { &d->feature, &d->count, &d->low, &d->mid,
					  &d->high };
	struct drive_state s = {
		.present = d->unit != NULL,
		.status = d->status,
		.error = d->error,
		.multiple = d->multiple,
		.heads = d->heads,
		.sectors = d->sectors,
		.has_sense = d->has_sense,
	};

	for (unsigned k = 0; k < ARRAY_COUNT(pair); k++) {
		s.task[2 * k] = pair[k]->now;
		s.task[2 * k + 1] = pair[k]->before;
	}
	memcpy(s.sense, d->sense, sizeof s.sense);
	state_bytes(w, STATE_DRIVE, &s, sizeof s);
}

static void save_channel(const struct ide_channel *c, struct state_writer *w)
{
	state_begin(w, "ide", 1);
	state_number(w, STATE_NUMBER, c->number);
	state_number(w, STATE_DEVICE, c->device);
	state_number(w, STATE_CONTROL, c->control);
	state_number(w, STATE_IRQ, c->irq);
	state_number(w, STATE_PHASE, c->phase);
	state_number(w, STATE_WORK, c->work);
	state_number(w, STATE_WORKER, c->worker == &c->drive[1]);
	state_number(w, STATE_FLAGS, c->dma | c->fua << 1 | c->reading_cd << 2);
	state_number(w, STATE_SECTOR, c->sector);
	state_number(w, STATE_LEFT, c->left);
	state_number(w, STATE_BLOCK, c->block);
	state_number(w, STATE_AT, c->at);
	state_number(w, STATE_END, c->end);
	state_number(w, STATE_SIZE, c->size);
	state_bytes(w, STATE_CDB, c->cdb, sizeof c->cdb);
	state_bytes(w, STATE_BUFFER, c->buffer, c->size);
	state_number(w, STATE_BM, c->bm_command | c->bm_status << 8);
	state_number(w, STATE_BM_TABLE, c->bm_table);
	state_number(w, STATE_BM_NEXT, c->bm_next);
	state_number(w, STATE_BM_BASE, c->bm_base);
	state_number(w, STATE_BM_LEFT, c->bm_left);
	state_number(w, STATE_BM_LAST, c->bm_last);
	for (unsigned k = 0; k < IDE_DRIVES; k++)
		save_drive(&c->drive[k], w);
	state_end(w);
}

void ide_save(const struct ide *ide, struct state_writer *w)
{
	for (unsigned n = 0; n < IDE_CHANNELS; n++)
		save_channel(&ide->channel[n], w);
}

/* ---- restore --------------------------------------------------------------------------------- */

/* All that was in a record, to be checked as a whole. */
struct restored {
	u64 number[STATE_DRIVE + 1];
	struct ide_channel *to;
	struct drive_state drive[IDE_DRIVES];
	unsigned drives;
	const u8 *cdb, *buffer;
	size_t buffer_size;
};

static int take_field(struct restored *s, const struct state_field *f)
{
	if (f->id == STATE_DRIVE) {
		if (s->drives == IDE_DRIVES || f->size != sizeof s->drive[0])
			return -EPROTO;
		memcpy(&s->drive[s->drives++], f->bytes, f->size);
	} else if (f->id == STATE_CDB) {
		if (f->size != ATA_CDB_SIZE)
			return -EPROTO;
		s->cdb = f->bytes;
	} else if (f->id == STATE_BUFFER) {
		s->buffer = f->bytes;
		s->buffer_size = f->size;
	} else if (f->id < STATE_DRIVE) {
		s->number[f->id] = f->number;
	}
	return 0;
}

/* A phase and a work that go together, with a drive that does such work. */
static bool makes_sense(const struct restored *s, const struct ide_channel *c)
{
	u64 phase = s->number[STATE_PHASE], work = s->number[STATE_WORK];
	u64 worker = s->number[STATE_WORKER];
	const struct ide_drive *d;

	if (phase >= IDE_PHASES || phase == IDE_DISK || work >= IDE_WORKS ||
	    worker >= IDE_DRIVES)
		return false;
	d = &c->drive[worker];
	if ((phase == IDE_IDLE) != (work == IDE_NOTHING))
		return false;
	if (phase == IDE_IDLE)
		return true;
	if (!d->unit)
		return false;
	switch ((enum ide_work)work) {
	case IDE_NOTHING:
		return false;
	case IDE_ANSWER:
		return phase == IDE_IN;
	case IDE_READ:
		return !ide_is_packet(d) && phase != IDE_OUT;
	case IDE_WRITE:
		return !ide_is_packet(d) && phase != IDE_IN;
	case IDE_FLUSH:
		return !ide_is_packet(d) && phase == IDE_NEXT;
	case IDE_PACKET:
		return ide_is_packet(d) && phase == IDE_OUT &&
		       s->number[STATE_SIZE] == ATA_CDB_SIZE;
	case IDE_PACKET_DATA:
		return ide_is_packet(d) && phase != IDE_OUT;
	case IDE_WORKS:
		break;
	}
	return false;
}

/* Positions inside the buffer, in whole sectors where the disk is meant. */
static bool numbers_fit(const struct restored *s)
{
	u64 size = s->number[STATE_SIZE], at = s->number[STATE_AT];
	u64 end = s->number[STATE_END], left = s->number[STATE_LEFT];
	u64 phase = s->number[STATE_PHASE], work = s->number[STATE_WORK];
	bool moving = phase == IDE_IN || phase == IDE_OUT;

	if (size > IDE_BUFFER || s->buffer_size != size || at > size || end > size ||
	    (moving && at >= end) || left > UINT32_MAX || !s->cdb ||
	    s->number[STATE_BLOCK] > 0x10000 || (moving && s->number[STATE_BLOCK] == 0) ||
	    s->number[STATE_BM_LEFT] > 0x10000)
		return false;
	if (work == IDE_READ || work == IDE_WRITE)
		return left % ATA_SECTOR == 0 && size % ATA_SECTOR == 0 &&
		       s->number[STATE_SECTOR] < UINT64_MAX / ATA_SECTOR - UINT32_MAX &&
		       (work == IDE_READ || phase != IDE_OUT ||
			size == min_u64(left, IDE_BUFFER)) &&
		       (phase == IDE_IN || left > 0);
	return true;
}

static void restore_drive(struct ide_drive *d, const struct drive_state *s)
{
	struct ide_pair *pair[] = { &d->feature, &d->count, &d->low, &d->mid, &d->high };

	for (unsigned k = 0; k < ARRAY_COUNT(pair); k++)
		*pair[k] = (struct ide_pair){ .now = s->task[2 * k],
					      .before = s->task[2 * k + 1] };
	d->status = s->status;
	d->error = s->error;
	d->multiple = s->multiple <= 16 ? s->multiple : 16;
	d->heads = s->heads;
	d->sectors = s->sectors;
	d->has_sense = s->has_sense;
	memcpy(d->sense, s->sense, sizeof d->sense);
}

static int restore_channel(struct ide_channel *c, const struct restored *s)
{
	const u64 *n = s->number;

	for (unsigned k = 0; k < IDE_DRIVES; k++)
		if (s->drives != IDE_DRIVES ||
		    s->drive[k].present != (c->drive[k].unit != NULL))
			return -EPROTO;
	if (!makes_sense(s, c) || !numbers_fit(s))
		return -EPROTO;
	c->device = (u8)n[STATE_DEVICE];
	c->control = (u8)n[STATE_CONTROL];
	c->irq = n[STATE_IRQ] != 0;
	c->phase = (enum ide_phase)n[STATE_PHASE];
	c->work = (enum ide_work)n[STATE_WORK];
	c->worker = &c->drive[n[STATE_WORKER]];
	c->dma = n[STATE_FLAGS] & 1;
	c->fua = n[STATE_FLAGS] & 2;
	c->reading_cd = n[STATE_FLAGS] & 4;
	c->sector = n[STATE_SECTOR];
	c->left = (u32)n[STATE_LEFT];
	c->block = (u32)n[STATE_BLOCK];
	c->at = (u32)n[STATE_AT];
	c->end = (u32)n[STATE_END];
	c->size = (u32)n[STATE_SIZE];
	memcpy(c->cdb, s->cdb, sizeof c->cdb);
	if (c->size)
		memcpy(c->buffer, s->buffer, c->size);
	c->bm_command = (u8)n[STATE_BM];
	c->bm_status = (u8)(n[STATE_BM] >> 8);
	c->bm_table = (u32)n[STATE_BM_TABLE];
	c->bm_next = (u32)n[STATE_BM_NEXT];
	c->bm_base = (u32)n[STATE_BM_BASE];
	c->bm_left = (u32)n[STATE_BM_LEFT];
	c->bm_last = n[STATE_BM_LAST] != 0;
	for (unsigned k = 0; k < IDE_DRIVES; k++)
		restore_drive(&c->drive[k], &s->drive[k]);
	return 0;
}

int ide_restore(struct ide *ide, const u8 *bytes, size_t size)
{
	struct state_record record;
	struct state_field f;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1) {
		struct restored s = { 0 };

		if (strcmp(record.name, "ide") != 0)
			continue;
		while ((r = state_next_field(&record, &f)) == 1)
			if (take_field(&s, &f) < 0)
				return -EPROTO;
		if (r == 0 && s.number[STATE_NUMBER] >= IDE_CHANNELS)
			r = -EPROTO;
		if (r == 0)
			r = restore_channel(&ide->channel[s.number[STATE_NUMBER]], &s);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- inspect --------------------------------------------------------------------------------- */

static void inspect_drive(const struct ide_drive *d, const char *branch,
			  struct inspect *out)
{
	inspect_words(out, branch, "kind", "%s", ide_is_packet(d) ? "DVD" : "disk");
	inspect_words(out, branch, "status", "0x%02x", d->status);
	inspect_words(out, branch, "error", "0x%02x", d->error);
	inspect_number(out, branch, "commands", d->counts.commands);
	inspect_number(out, branch, "failures", d->counts.failures);
	inspect_number(out, branch, "packets", d->counts.packets);
	inspect_number(out, branch, "sectors_read", d->counts.read_sectors);
	inspect_number(out, branch, "sectors_written", d->counts.written_sectors);
}

void ide_inspect(const struct ide *ide, struct inspect *out)
{
	static const char *const phases[IDE_PHASES] = { "idle", "in",	"out",
							"disk", "next", "dma" };
	char name[16];

	for (unsigned n = 0; n < IDE_CHANNELS; n++) {
		const struct ide_channel *c = &ide->channel[n];

		snprintf(name, sizeof name, "ide.%u", n);
		inspect_words(out, name, "phase", "%s", phases[c->phase]);
		inspect_words(out, name, "bus_master", "0x%02x 0x%02x table 0x%08x",
			      c->bm_command, c->bm_status, c->bm_table);
		inspect_number(out, name, "interrupts", c->counts.interrupts);
		inspect_number(out, name, "bytes_by_port", c->counts.pio_bytes);
		inspect_number(out, name, "bytes_by_master", c->counts.dma_bytes);
		inspect_number(out, name, "bad_tables", c->counts.dma_errors);
		for (unsigned k = 0; k < IDE_DRIVES; k++) {
			snprintf(name, sizeof name, "ide.%u.%u", n, k);
			if (c->drive[k].unit)
				inspect_drive(&c->drive[k], name, out);
		}
	}
}
