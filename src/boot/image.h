/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel or a module as a file that somebody else has opened: bytes are read where they are
 * needed and payload goes straight into guest RAM. Nothing here knows a path; the name is what the
 * person wrote, for messages.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct guest_memory;

struct boot_image {
	int fd; /* the caller's */
	u64 size;
	const char *name; /* the caller's */
};

/* Is it a file with something in it? what: "kernel", "initrd", for the message. */
int boot_image_init(struct boot_image *image, int fd, const char *name, const char *what,
		    struct err *err) MUST_CHECK;

/* All of [offset, offset + size), or -ENODATA and "... is truncated". */
int boot_image_read(const struct boot_image *image, u64 offset, void *to, u64 size,
		    struct err *err) MUST_CHECK;

/* The same into RAM at gpa, without a copy in between; the range must be all RAM. */
int boot_image_load(const struct boot_image *image, u64 offset, u64 size,
		    struct guest_memory *gm, gpa_t gpa, struct err *err) MUST_CHECK;
