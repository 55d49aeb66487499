/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VHD images: struct vhd is private to vhd.c (reading and writing), vhd_open.c (what a file must be
 * to be opened), vhd_create.c and vhd_resize.c. Layout: vhd_layout.h.
 *
 * Without a log, the order of writes is what keeps an image whole:
 * - A new block goes where the footer was; the footer is written behind it first. A dynamic image
 *   that lost its last footer has the copy at its beginning.
 * - The bitmap of a new block is on the disk, as its emptiness, before the table names the block;
 *   the table and the bits change at a commit only, after the data is durable (image.h).
 * - Table entries and bitmap sectors do not cross sectors, so each is old or new.
 * - The dynamic header changes in its first sector only.
 */
#pragma once

#include "disk/free_blocks.h"
#include "disk/image.h"
#include "disk/pages.h"
#include "disk/vhd_layout.h"

struct vhd {
	struct image image;
	struct vhd_footer footer; /* as it stands, or will stand, at the end */
	struct vhd_header header; /* dynamic, differencing */
	u64 table_offset;
	u32 entries;
	u32 bitmap_size;     /* bytes, whole sectors */
	struct pages *pages; /* table and bitmaps */
	u64 end;	     /* behind the last block: where the footer belongs */
	bool footer_at_end;  /* it stands there, and the file ends behind it */
	bool copy_differs;   /* the two footers are not the same */
	bool first_footer_bad, last_footer_bad;
	bool growth_was_cut; /* fixed: the last footer is not at the end of the file */
	struct free_blocks free; /* blocks that a trim gave back */
};

static inline struct vhd *vhd_of(struct image *im)
{
	return CONTAINER_OF(im, struct vhd, image);
}

int vhd_open(struct storage *storage, bool read_only, struct image **ret_image,
	     struct err *err) MUST_CHECK;
int vhd_resize(struct image *im, u64 size, struct err *err);
void vhd_check(struct image *im, struct image_findings *findings);
int vhd_read_parent(struct image *im, struct disk_parent *ret_parent, struct err *err);

extern const struct image_ops vhd_fixed_ops, vhd_block_ops;

void vhd_seal_footer(struct vhd_footer *footer);
void vhd_seal_header(struct vhd_header *header);
/* Put the footer where it belongs and let the file end behind it. Lock held. */
int vhd_place_footer(struct vhd *v);
