/* SPDX-License-Identifier: Apache-2.0 */
/* Records of tagged fields; see record.h. */
#include "state/record.h"

#include <errno.h>

struct record_header {
	char name[STATE_NAME_SIZE];
	le16 version, reserved;
	le32 size;
} PACKED;

struct field_header {
	le16 id, reserved;
	le32 size;
} PACKED;

static void put(struct state_writer *w, const void *bytes, size_t size)
{
	if (w->failed || size > STATE_MAX_SIZE - w->used) {
		w->failed = true;
		return;
	}
	if (w->used + size > w->size) {
		size_t room = (w->used + size) * 2;
		u8 *p = realloc(w->bytes, room);

		if (!p) {
			w->failed = true;
			return;
		}
		w->bytes = p;
		w->size = room;
	}
	if (size > 0)
		memcpy(w->bytes + w->used, bytes, size);
	w->used += size;
}

void state_begin(struct state_writer *w, const char *name, u16 version)
{
	struct record_header h = { .version = le16_of(version) };

	memcpy(h.name, name, strnlen(name, sizeof h.name));
	w->record = w->used;
	put(w, &h, sizeof h);
}

void state_end(struct state_writer *w)
{
	le32 size = le32_of((u32)(w->used - w->record - sizeof(struct record_header)));

	if (!w->failed)
		memcpy(w->bytes + w->record + offsetof(struct record_header, size), &size,
		       sizeof size);
}

void state_bytes(struct state_writer *w, u16 id, const void *bytes, size_t size)
{
	const struct field_header h = { .id = le16_of(id), .size = le32_of((u32)size) };

	put(w, &h, sizeof h);
	put(w, bytes, size);
}

void state_number(struct state_writer *w, u16 id, u64 value)
{
	const le64 v = le64_of(value);

	state_bytes(w, id, &v, sizeof v);
}

int state_next_record(const u8 **io_bytes, size_t *io_size,
		      struct state_record *ret_record)
{
	struct record_header h;
	u32 size;

	if (*io_size == 0)
		return 0;
	if (*io_size < sizeof h)
		return -EPROTO;
	memcpy(&h, *io_bytes, sizeof h);
	size = le32_get(h.size);
	if (size > *io_size - sizeof h)
		return -EPROTO;
	*ret_record = (struct state_record){ .version = le16_get(h.version),
					     .bytes = *io_bytes + sizeof h,
					     .size = size };
	memcpy(ret_record->name, h.name, sizeof h.name);
	*io_bytes += sizeof h + size;
	*io_size -= sizeof h + size;
	return 1;
}

int state_next_field(struct state_record *record, struct state_field *ret_field)
{
	struct field_header h;
	u32 size;
	le64 number = { 0 };

	if (record->size == 0)
		return 0;
	if (record->size < sizeof h)
		return -EPROTO;
	memcpy(&h, record->bytes, sizeof h);
	size = le32_get(h.size);
	if (size > record->size - sizeof h)
		return -EPROTO;
	*ret_field = (struct state_field){ .id = le16_get(h.id),
					   .bytes = record->bytes + sizeof h,
					   .size = size };
	memcpy(&number, ret_field->bytes, min_u64(size, sizeof number));
	ret_field->number = le64_get(number);
	record->bytes += sizeof h + size;
	record->size -= sizeof h + size;
	return 1;
}
