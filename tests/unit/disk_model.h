/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of each kind in memory, and random work on them beside a flat array that knows what must be
 * read. Small, so that every byte can be compared often.
 */
#pragma once

#include "disk/create.h"
#include "disk/image.h"
#include "unit/disk_power.h"

enum { MODEL_LEVELS = 3 };

struct model_kind {
	const char *name;
	enum disk_format format;
	enum image_type type;
	u64 size;
	u32 block_size, logical_block;
	unsigned levels; /* images in the chain */
	/*
	 * Large disks of which little is used: the model's bytes are islands of this size, one
	 * every stride bytes of the disk, so that each has table entries and bits of its own in
	 * sectors of their own. 0: the disk is the model.
	 */
	u64 island, stride;
	u64 grow_to; /* disk size that a workload grows it to; 0: by half */
};

struct model {
	const struct model_kind *kind;
	struct power power[MODEL_LEVELS]; /* [0] is the leaf's storage */
	struct image *image;		  /* leaf, or NULL while it is closed */
	u8 *expected;
	u64 size; /* of expected */
	u64 disk_size;
	u64 random;
};

/* The last ones are those with islands: model_large_kinds of them. */
extern const struct model_kind model_kinds[];
extern const unsigned model_large_kinds;
extern const unsigned model_kind_count;
const struct model_kind *model_kind_named(const char *name);

/* Empty images; the parents hold random data. */
bool model_new(struct model *m, const struct model_kind *kind, u64 seed);
void model_free(struct model *m);
bool model_open(struct model *m, bool read_only);
bool model_close(struct model *m);
/* A chain on files of its own (which become its): how states after a power cut are opened. */
int model_open_files(const struct model_kind *kind, struct power *power, bool read_only,
		     struct image **ret_image, struct err *err);

u64 model_random(struct model *m, u64 limit);
/* One random write, zero, trim or flush. */
bool model_step(struct model *m);
/* What the last step changed: [*offset, *offset + *size) of expected; size 0: a flush. */
extern u64 model_step_offset, model_step_size;
bool model_write(struct model *m, u64 offset, u64 size);
bool model_grow(struct model *m);
/* A piece of the model, as it is in the image now. */
int model_read(const struct model *m, struct image *im, void *data, u64 size, u64 offset);
/* Every byte is as it must be. */
bool model_compare(struct model *m);
