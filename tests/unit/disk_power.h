/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage in memory for tests: sparse, quick to copy, able to fail, and able to lose power: it
 * records what is done to it, so that every state that a power cut could have left can be made
 * again. One thread at a time.
 */
#pragma once

#include "base/types.h"
#include "disk/storage.h"

/* Contents: 4 KiB pages, shared between copies until one of them writes. */
struct power_file {
	u64 size;
	u64 page_count; /* what is beyond is zeros */
	u8 **page;	/* NULL: zeros; each is behind a count of its owners */
};
void power_file_copy(const struct power_file *from, struct power_file *ret_file);
void power_file_free(struct power_file *f);
void power_file_write(struct power_file *f, const void *data, u64 size, u64 offset);
bool power_file_read(const struct power_file *f, void *data, u64 size, u64 offset);
void power_file_set_size(struct power_file *f, u64 size);
void power_file_zero(struct power_file *f, u64 offset, u64 size);

enum power_kind { POWER_WRITE, POWER_FLUSH, POWER_SIZE, POWER_ZERO, POWER_NOTE };
struct power_op {
	enum power_kind kind;
	u64 offset, size; /* SIZE: offset is the new size. NOTE: the test's own number */
	u8 *data;
};

struct power {
	struct storage storage;
	struct power_file file;
	/* Recording, from power_record on. */
	bool recording;
	struct power_file base;
	struct power_op *op;
	u32 op_count, op_room;
	/* Failures: the op with this number, counted from now, and those after it if sticky. */
	u64 ops;
	u64 fail_at; /* 0: never */
	int fail_with;
	bool fail_sticky;
	bool lie; /* flushes do nothing, though they say so: a negative control */
	u32 copies; /* it does from other such storages; the last one by half, and refuses it */
};

/* The file becomes the storage's (copy it first). storage_close does not free p. */
struct storage *power_open(struct power *p, struct power_file *file);
void power_free(struct power *p);
void power_record(struct power *p);
void power_note(struct power *p, u64 number);
/* Do what op did, or (limit) its first bytes only. */
void power_apply(struct power_file *f, const struct power_op *op, u64 limit);
