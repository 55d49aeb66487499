/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPADLs: lists of guest pages that a guest describes to its host, by a header message and as
 * many bodies as it takes. Part of the protocol core: no I/O, no locks, no clock.
 *
 *	gpadls_header ----------------------> ready --- users 0 --- gpadls_drop
 *	      \--> assembling -- gpadls_body --/
 *
 * A list is checked whole when its last word has come: every page lies in RAM, the ranges use up
 * the words exactly. After that it never changes. Whoever uses its pages holds it (gpadl_hold);
 * a guest that wants it torn down meanwhile waits.
 *
 * Limits: GPADLS_MAX lists, GPADLS_MAX_WORDS words in all. A guest can make us hold 8 MiB.
 */
#pragma once

#include "base/types.h"

#define GPADLS_MAX 1024
#define GPADLS_MAX_WORDS (1u << 20)

struct gpadl {
	u32 id, relid;
	bool ready;
	bool teardown; /* asked for; answered when the last user lets go */
	u32 users;
	u32 range_count;
	u32 word_count, words_have;
	u64 *word; /* ranges as they came: a word of size and offset, then page numbers */
	struct gpadl *next;
};

struct gpadls {
	const struct gm_layout *ram; /* as it is now */
	struct gpadl *first;
	u32 count, words;
};

void gpadls_init(struct gpadls *all, const struct gm_layout *ram);
/* Frees every list, held or not. */
void gpadls_done(struct gpadls *all);

/*
 * Begin a list; words beyond range_bytes are left alone. 0: *ret_gpadl is ready or assembling;
 * -EEXIST, -EINVAL, -ENOSPC, -ENOMEM: nothing was made.
 */
int gpadls_header(struct gpadls *all, u32 relid, u32 id, u32 range_bytes, u32 range_count,
		  const void *words, u32 size, struct gpadl **ret_gpadl) MUST_CHECK;
/* Go on with one that is assembling. -ENOENT: there is none. -EINVAL: it was bad and is gone. */
int gpadls_body(struct gpadls *all, u32 id, const void *words, u32 size, u32 *ret_relid,
		struct gpadl **ret_gpadl) MUST_CHECK;

/* NULL where there is none; any state. */
struct gpadl *gpadls_find(const struct gpadls *all, u32 relid, u32 id);
void gpadls_drop(struct gpadls *all, struct gpadl *gpadl);

/*
 * The pages of a list that is one range of whole pages, NULL where it is another kind. They stay
 * where they are while the list is held.
 */
const u64 *gpadl_pages(const struct gpadl *gpadl, u32 *ret_count);
