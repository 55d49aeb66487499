/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive side scaling: which channel a frame goes to. The guest gives a key and a table; Toeplitz' hash
 * of a frame's addresses and ports picks the table's entry. Pure functions over a private copy of the
 * frame's beginning.
 */
#pragma once

#include "abi/netvsp.h"

struct rss {
	bool on;
	u32 types; /* NDIS_HASH_... */
	u32 entries;
	u16 table[NDIS_RSS_ENTRIES]; /* numbers of channels, as the guest gave them */
	u8 key[NDIS_RSS_KEY];
};

/* The first `size` bytes of a frame. False: nothing in it that is hashed. */
bool rss_hash(const struct rss *rss, const u8 *frame, u32 size, u32 *ret_hash);
/* Toeplitz' hash of up to 36 bytes. */
u32 rss_toeplitz(const u8 key[NDIS_RSS_KEY], const u8 *bytes, unsigned size);

/* OID_RSS_PARAMETERS: an RNDIS status; rss changes where it is RNDIS_OK. */
u32 rss_set(struct rss *rss, const u8 *bytes, u32 size, u32 channels);
