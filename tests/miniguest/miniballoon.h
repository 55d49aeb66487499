/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv_balloon of the mini-guest, by hand: a machine that starts with MINIBALLOON_START bytes and has room
 * for MINI_RAM. The host's clock stands until it is told to move.
 */
#pragma once

#include "abi/balloon.h"
#include "base/clock.h"
#include "miniguest/miniguest.h"
#include "vsp/balloon/balloon.h"

#define MINIBALLOON_START (32ull << 20)
#define MINIBALLOON_PAGES (MINIBALLOON_START >> 12)
/* What is added begins and ends at multiples of 8 MiB. */
#define MINIBALLOON_ALIGN 3
#define MINIBALLOON_CAPS                             \
	(BALLOON_CAN_BALLOON | BALLOON_CAN_HOT_ADD | \
	 MINIBALLOON_ALIGN << BALLOON_ALIGN_SHIFT)

struct miniballoon {
	struct mini *mini;
	struct balloon *balloon;
	struct manual_clock clock;
	u64 wake_at;
	u64 high;	 /* as the host has mapped it last */
	bool refuse_map; /* as an hv that cannot */
	bool dynamic;	 /* of the next host */
	struct mini_channel channel;
	u32 relid;
	u8 packet[8192]; /* the host's last message */
	u32 packet_size;
};

/* dynamic: from 8 MiB to all, buffer 25 %. */
struct miniballoon *miniballoon_new(bool dynamic);
void miniballoon_free(struct miniballoon *m);

/* Connect and open the channel, say nothing. */
bool miniballoon_open(struct miniballoon *m);
/* The channel alone, after it was closed. */
bool miniballoon_open_channel(struct miniballoon *m);
/* And version 2.0, MINIBALLOON_CAPS; the host's answers are taken. */
bool miniballoon_start(struct miniballoon *m);
bool miniballoon_say(struct miniballoon *m, enum balloon_type type, const void *body,
		     u32 size);
/* Take the host's next message: its type, 0 where there is none. The body is at packet + 8. */
u32 miniballoon_take(struct miniballoon *m);
bool miniballoon_report(struct miniballoon *m, u64 available, u64 committed);
/* One message of ranges (first, count), as an answer to BALLOON_UP. */
bool miniballoon_give(struct miniballoon *m, bool more, const u64 (*range)[2], u32 count);
/* How many pages the host's BALLOON_UP wants; how many are in the BALLOON_DOWN's ranges. */
u32 miniballoon_wanted(const struct miniballoon *m);
u64 miniballoon_got(const struct miniballoon *m);

void miniballoon_advance(struct miniballoon *m, u64 ns);
/* The whole host is another, from the state of this one. */
bool miniballoon_move(struct miniballoon *m);
/* A number that inspect shows at memory.NAME. */
u64 miniballoon_shown(const struct miniballoon *m, const char *name);
