/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit keeps between commands, as a record "scsiunit"; see unit.h. Modes cannot be changed, so
 * there are none to keep; the medium is the owner's, but that a guest has pressed eject is kept.
 */
#include <errno.h>

#include "scsi/unit.h"
#include "state/record.h"

enum {
	STATE_PLACE = 1,
	STATE_ATTENTION, /* one for each, oldest first */
	STATE_KEY,
	STATE_GENERATION,
	STATE_TYPE, /* of the reservation that is held; 0: none is */
	STATE_TRAY_LOCKED,
	STATE_MEDIA_EVENT,
	STATE_EMPTY,
	STATE_SIZE,
};

static u64 size_of(const struct scsi_unit *unit)
{
	return unit->disk ? disk_info(unit->disk)->size : 0;
}

int scsi_unit_save(const struct scsi_unit *unit, u32 place, struct state_writer *w)
{
	if (unit->in_flight > 0)
		return -EBUSY;
	state_begin(w, "scsiunit", 1);
	state_number(w, STATE_PLACE, place);
	for (unsigned k = 0; k < unit->attention_count; k++)
		state_number(w, STATE_ATTENTION, unit->attention[k]);
	state_number(w, STATE_KEY, unit->reservation.key);
	state_number(w, STATE_GENERATION, unit->reservation.generation);
	state_number(w, STATE_TYPE, unit->reservation.held ? unit->reservation.type : 0);
	state_number(w, STATE_TRAY_LOCKED, unit->tray_locked);
	state_number(w, STATE_MEDIA_EVENT, unit->media_event);
	state_number(w, STATE_EMPTY, unit->disk == NULL);
	state_number(w, STATE_SIZE, size_of(unit));
	state_end(w);
	return w->failed ? -ENOMEM : 0;
}

/* ---- restore --------------------------------------------------------------------------------- */

struct restored {
	u16 attention[SCSI_MAX_ATTENTIONS];
	unsigned attention_count;
	struct scsi_reservation reservation;
	u64 tray_locked, media_event, empty, size;
};

static int take_field(struct restored *s, const struct state_field *f)
{
	switch (f->id) {
	case STATE_ATTENTION:
		if (s->attention_count == SCSI_MAX_ATTENTIONS || f->number > UINT16_MAX)
			return -EPROTO;
		s->attention[s->attention_count++] = (u16)f->number;
		return 0;
	case STATE_KEY:
		s->reservation.key = f->number;
		return 0;
	case STATE_GENERATION:
		s->reservation.generation = (u32)f->number;
		return 0;
	case STATE_TYPE:
		if (f->number > 8)
			return -EPROTO;
		s->reservation.type = (u8)f->number;
		s->reservation.held = f->number != 0;
		return 0;
	case STATE_TRAY_LOCKED:
		s->tray_locked = f->number;
		return 0;
	case STATE_MEDIA_EVENT:
		s->media_event = f->number;
		return 0;
	case STATE_EMPTY:
		s->empty = f->number;
		return 0;
	case STATE_SIZE:
		s->size = f->number;
		return 0;
	}
	return 0;
}

/* All of it makes sense for this unit, with the disk that it has here. */
static bool fits(const struct scsi_unit *unit, const struct restored *s)
{
	if (s->reservation.held && s->reservation.key == 0)
		return false;
	if (s->empty && !unit->dvd)
		return false;
	return s->empty || unit->disk;
}

static void take(struct scsi_unit *unit, const struct restored *s)
{
	memcpy(unit->attention, s->attention, sizeof unit->attention);
	unit->attention_count = s->attention_count;
	unit->reservation = s->reservation;
	unit->tray_locked = s->tray_locked != 0;
	unit->media_event = s->media_event <= 3 ? (u8)s->media_event : 0;
	if (s->empty)
		unit->disk = NULL;
	else if (s->size == 0 || s->size == size_of(unit))
		return;
	else if (unit->dvd)
		scsi_unit_other_medium(unit);
	else
		scsi_unit_attention(unit, ASC_CAPACITY_CHANGED);
}

static bool is_at(struct state_record record, u32 place)
{
	struct state_field f;

	while (state_next_field(&record, &f) == 1)
		if (f.id == STATE_PLACE)
			return f.number == place;
	return false;
}

int scsi_unit_restore(struct scsi_unit *unit, u32 place, const u8 *bytes, size_t size)
{
	struct state_record record;
	struct restored s = { .size = 0 };
	struct state_field f;
	int r;

	do {
		r = state_next_record(&bytes, &size, &record);
	} while (r == 1 &&
		 (strcmp(record.name, "scsiunit") != 0 || !is_at(record, place)));
	if (r != 1)
		return r; /* none: as after power-on */
	while ((r = state_next_field(&record, &f)) == 1) {
		r = take_field(&s, &f);
		if (r < 0)
			return r;
	}
	if (r == 0 && !fits(unit, &s))
		r = -EPROTO;
	if (r == 0)
		take(unit, &s);
	return r;
}
