/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making empty images. The storage is an empty file; afterwards the image lies in it, durable, and
 * is opened by image_open. Blocking.
 */
#pragma once

#include "disk/image.h"

enum image_type { IMAGE_FIXED, IMAGE_DYNAMIC, IMAGE_DIFFERENCING };

struct image_create {
	enum disk_format format;
	enum image_type type;
	u64 size;	   /* bytes; differencing: 0 = the parent's */
	u32 block_size;	   /* 0: what is usual */
	u32 logical_block; /* 0: 512, or the parent's */
	/* Differencing: the parent, open, and how it is found from the child's place. */
	struct image *parent;
	const char *parent_relative, *parent_absolute; /* UTF-8; relative is needed */
};
int image_create(struct storage *storage, const struct image_create *create,
		 struct err *err) MUST_CHECK;

/* 16 bytes nobody else has. */
void image_new_id(u8 *ret_id);

int vhd_create(struct storage *storage, const struct image_create *create,
	       struct err *err) MUST_CHECK;
int vhdx_create(struct storage *storage, const struct image_create *create,
		struct err *err) MUST_CHECK;
