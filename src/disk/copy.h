/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying between images: what convert and merge are made of. Long; the threads of a pool share the
 * work, and progress is reported from any of them, never two at once.
 */
#pragma once

#include "disk/disk.h"
#include "disk/image.h"

struct copy_progress {
	void (*report)(void *owner, u64 done, u64 total); /* bytes of the disk */
	void *owner;
};

/*
 * All of from (with its chain) into to, which is new and empty: zeros are not written. Durable
 * when it returns. pool NULL: on the calling thread alone.
 */
int image_copy(struct disk_pool *pool, struct image *from, struct image *to,
	       const struct copy_progress *progress, struct err *err) MUST_CHECK;

/*
 * What the child itself holds goes into its parent, which must be open for writing; then the
 * parent reads as the child did, and the child is not needed any more. Interrupted at any point,
 * the child still reads as before, and the merge can be done again. At the end, the parent gets a
 * new identity: other children of it would now read wrong bytes, and are refused.
 */
int image_merge(struct disk_pool *pool, struct image *child,
		const struct copy_progress *progress, struct err *err) MUST_CHECK;
