/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state: named, versioned records of tagged fields.
 *
 *	record	name (8 bytes, zeros behind), u16 version, u16 0, u32 bytes of its fields
 *	field	u16 id, u16 0, u32 size, that many bytes
 *
 * All little-endian. Ids are never used for something else; a reader skips what it does not know
 * and has a default for what is missing. What is read is as hostile as a guest: sizes are checked
 * here, meanings by the caller.
 */
#pragma once

#include "base/types.h"

#define STATE_NAME_SIZE 8
#define STATE_MAX_SIZE (64u << 20)

struct state_writer {
	u8 *bytes; /* free() it at the end */
	size_t used, size;
	size_t record; /* where the open record begins */
	bool failed;   /* no memory, or larger than STATE_MAX_SIZE */
};

void state_begin(struct state_writer *w, const char *name, u16 version);
void state_end(struct state_writer *w);
void state_number(struct state_writer *w, u16 id, u64 value);
void state_bytes(struct state_writer *w, u16 id, const void *bytes, size_t size);

struct state_record {
	char name[STATE_NAME_SIZE + 1];
	u16 version;
	const u8 *bytes; /* what is left of it */
	size_t size;
};
struct state_field {
	u16 id;
	const u8 *bytes;
	size_t size;
	u64 number; /* the first eight bytes, or as many as there are */
};

/* The next record of *io_bytes: 1, 0 at the end, -EPROTO. */
int state_next_record(const u8 **io_bytes, size_t *io_size,
		      struct state_record *ret_record) MUST_CHECK;
int state_next_field(struct state_record *record, struct state_field *ret_field)
	MUST_CHECK;
