/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest has written to a disk, kept in a file that outlives the killing of who writes: for each
 * sector the versions that may be found in it. A version is the number of a write; a sector that
 * has one says so in its first bytes, and all of its bytes follow from its place and the version.
 *
 *	flushed <= what is found <= submitted
 *	or zeros, where a trim came after the flushed version
 *
 * Version 0 is a sector that was never written: zeros. One writer at a time, by a shared mapping.
 */
#pragma once

#include "base/types.h"

#define JOURNAL_SECTOR 512u

struct journal_sector {
	u32 flushed;   /* the guest was told that this version is durable */
	u32 submitted; /* the last one that was sent */
	u32 trimmed;   /* version at which it was given up; 0: never */
};

struct journal {
	u64 sectors;
	u32 version; /* the last one that was given */
	/* what the writer keeps to, since some programs that look afterwards do not see the rest */
	u32 whole_pages; /* writes are aligned to 4 KiB */
	u32 small_trims; /* no whole block is given up */
	/* of this life of the writer */
	u64 writes, flushes, trims, sent;
	struct journal_sector sector[];
};

/* Map the journal in a file, which is made for so many sectors where it is not there yet. */
struct journal *journal_open(const char *path, u64 sectors);

void journal_fill(u8 *bytes, u64 sector, u32 version);
/* The version of a sector's bytes; false: they are no whole sector of this place. */
bool journal_read(const u8 *bytes, u64 sector, u32 *ret_version);
/* May a sector hold this version now? */
bool journal_allows(const struct journal_sector *s, u32 version);
