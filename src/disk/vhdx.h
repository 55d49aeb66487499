/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VHDX images: struct vhdx is private to vhdx*.c. Layout: vhdx_layout.h.
 *
 *	vhdx.c		reading and writing: table, bitmaps, places of blocks
 *	vhdx_log.c	the log: what a commit writes, what opening replays
 *	vhdx_open.c	what a file must be to be opened
 *	vhdx_metadata.c	the metadata region, and the parent's locator in it
 *	vhdx_create.c	making one, making one larger
 *
 * A commit is one log entry, so that it is there whole or not at all: the number of changed pages
 * never exceeds what an entry holds (page_limit); who would change more commits first. An entry takes
 * at most a third of the log and follows the one before it, which therefore is still whole while the
 * new one is being written. The pages reach their places after their entry is durable, and the
 * flush with which the next commit begins makes them durable there: so an entry's tail is always
 * itself.
 */
#pragma once

#include "disk/free_blocks.h"
#include "disk/image.h"
#include "disk/pages.h"
#include "disk/vhdx_layout.h"

struct vhdx {
	struct image image;
	struct vhdx_header header; /* the one that counts */
	unsigned header_slot;	   /* 0 or 1: where it lies */
	bool changed;		   /* a header says that this opening writes */

	u64 table_offset, table_length;
	u64 metadata_offset, metadata_length;
	u64 size_item; /* where in the file the disk's size stands */
	u64 locator_offset;
	u32 locator_length;
	u64 blocks;	 /* payload blocks */
	u32 chunk_ratio; /* payload blocks for each bitmap */
	bool leave_allocated;

	struct pages *pages; /* table and bitmaps */
	unsigned page_limit; /* that may be changed between commits */
	unsigned reserved;   /* pages that end_write may change; lock */
	u64 end;	     /* behind the last block: where the next goes */
	bool end_is_end;     /* the file ends there */
	struct free_blocks free;

	/* The log, while it is in use: commit_lock. */
	bool log_used;
	u64 log_sequence;
	u32 log_head; /* where the next entry goes */

	/* For a check. */
	bool header_bad[2], regions_bad[2];
	unsigned replayed; /* entries of the log, at opening */
};

static inline struct vhdx *vhdx_of(struct image *im)
{
	return CONTAINER_OF(im, struct vhdx, image);
}

int vhdx_open(struct storage **storage, bool read_only, struct image **ret_image,
	      struct err *err) MUST_CHECK;
int vhdx_resize(struct image *im, u64 size, struct err *err);
void vhdx_check(struct image *im, struct image_findings *findings);
int vhdx_read_parent(struct image *im, struct disk_parent *ret_parent, struct err *err);
extern const struct image_ops vhdx_ops;

/* Entries of the table for that many blocks. */
u64 vhdx_table_entries(u64 blocks, u32 chunk_ratio, bool differencing);
static inline u64 vhdx_entry_of_block(const struct vhdx *v, u64 block)
{
	return block + block / v->chunk_ratio;
}
static inline u64 vhdx_entry_of_bitmap(const struct vhdx *v, u64 block)
{
	return (block / v->chunk_ratio + 1) * ((u64)v->chunk_ratio + 1) - 1;
}

/* ---- header ---- */
/* Seal and write v->header to the other slot, durable. */
int vhdx_write_header(struct vhdx *v) MUST_CHECK;
/* First change since opening: new identities, so that children notice. Lock held. */
int vhdx_note_change(struct vhdx *v) MUST_CHECK;

/* ---- log ---- */
/* What v->header says about a log, replayed into *storage (read only: over it, in memory). */
int vhdx_log_replay(struct vhdx *v, struct storage **storage, bool read_only,
		    struct err *err) MUST_CHECK;
/* One entry, durable, and its pages on their way. Everything before it is durable already. */
int vhdx_log_write(struct vhdx *v, const struct page_batch *batch, u64 file_size)
	MUST_CHECK;
/* Pages that one entry can hold in a log of that length. */
unsigned vhdx_log_capacity(u32 log_length);

/* ---- metadata ---- */
int vhdx_read_metadata(struct vhdx *v, struct err *err) MUST_CHECK;
