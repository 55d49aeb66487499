/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv_utils of the mini-guest: opens the channels of the integration components, and answers what the
 * host asks, by hand. The host's clock stands until it is told to move.
 */
#pragma once

#include "base/clock.h"
#include "miniguest/miniguest.h"
#include "vsp/ic/components.h"

struct miniic {
	struct mini *mini;
	struct components *components;
	struct manual_clock clock;
	u64 wake_at;
	u64 reference; /* the guest's reference time, in 100 ns */
	bool no_reference;
	struct mini_channel channel[COMPONENTS];
	/* what was taken last, for miniic_answer */
	u8 packet[8192];
	u32 packet_size; /* of header and body */
};

struct miniic *miniic_new(void);
void miniic_free(struct miniic *m);

/* Connect and open all channels; the host's first questions lie in them. */
bool miniic_start(struct miniic *m);
/* Take the host's next message; *ret_body is inside m. False: there is none. */
bool miniic_take(struct miniic *m, const struct ic_channel *which,
		 struct ic_header *ret_header, u8 **ret_body);
/* Send it back as an answer, with what was changed in its body. */
bool miniic_answer(struct miniic *m, const struct ic_channel *which, u32 status);
/* The same with other flags and another transaction. */
bool miniic_answer_as(struct miniic *m, const struct ic_channel *which, u32 status,
		      u8 flags, u8 transaction);
/* Take the host's list of versions, and choose; major 0: none. */
bool miniic_agree(struct miniic *m, const struct ic_channel *which, u16 major, u16 minor);
/* Time goes by; the host does what is due. */
void miniic_advance(struct miniic *m, u64 ns);
/* The whole host is another, from the state of this one. */
bool miniic_move(struct miniic *m);

/* The end of a request, for ic_done_fn; owner. */
struct miniic_end {
	unsigned times;
	int r;
	struct err err;
};
void miniic_done(void *owner, int r, const struct err *err);
