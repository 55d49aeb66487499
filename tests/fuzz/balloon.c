/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest says on the channel of dynamic memory. The input is a row of steps: a byte for what is
 * done, one for a message's type or a number, one for a size, then bytes. Whatever it says, the guest's
 * own rings stay, assigned memory is within the machine's, and pages that it did not give it does not get.
 */
#include "miniguest/miniballoon.h"
#include "vsp/balloon/guest.h"

enum { SAY, SAY_RAW, GIVE, TAKE, REPORT, WAIT, CHANGE, REOPEN, MOVE, MAP, STEPS };

#define FIRST 2048 /* below lie the rings */

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* What the guest has given and not got back: a byte a page of the region. */
static u8 given[MINI_RAM / 4096];

static u8 *page_given(struct miniballoon *m, u64 page)
{
	u64 offset;

	return gm_ram_offset(gm_layout(m->mini->gm), page * 4096, 4096, &offset)
		       ? &given[offset / 4096]
		       : NULL;
}

/* The host takes a page if it takes its whole range: note what may be its. */
static void note_range(struct miniballoon *m, u64 first, u64 count)
{
	u64 offset;

	if (count > MINI_RAM / 4096 ||
	    !gm_ram_offset(gm_layout(m->mini->gm), first * 4096, count * 4096, &offset))
		return;
	for (u64 k = 0; k < count; k++)
		given[offset / 4096 + k] = 1;
}

static void give(struct miniballoon *m, u8 more, const u8 *data, u32 size)
{
	u64 range[64][2];
	u32 count = 0;

	for (; size >= 4 && count < 64; data += 4, size -= 4, count++) {
		u64 first = FIRST + (data[0] | (u64)data[1] << 8) % 14336;

		/* Half of them above 4 GiB, where it has that. */
		range[count][0] = data[3] & 1 ? (GM_HIGH_BASE >> 12) + first - FIRST
					      : first;
		range[count][1] = data[2];
		note_range(m, range[count][0], range[count][1]);
	}
	(void)miniballoon_give(m, more & 1, (const u64(*)[2])range, count);
}

static void check_back(struct miniballoon *m)
{
	const u8 *body = m->packet + sizeof(struct balloon_header);
	struct balloon_back head;

	memcpy(&head, body, sizeof head);
	require(le32_get(head.count) <= BALLOON_MAX_RANGES);
	for (u32 k = 0; k < le32_get(head.count); k++) {
		le64 range;

		memcpy(&range, body + sizeof head + k * sizeof range, sizeof range);
		u64 first = le64_get(range) & (BIT64(BALLOON_PFN_BITS) - 1);
		u64 count = le64_get(range) >> BALLOON_PFN_BITS;
		require(count > 0);
		for (u64 n = 0; n < count; n++) {
			u8 *page = page_given(m, first + n);

			require(page && *page);
			*page = 0;
		}
	}
}

/* Everything that the host has said; its questions are answered as they should be, or not. */
static void take(struct miniballoon *m, bool answer, const u8 *data, u32 size)
{
	struct balloon_hot_added added = { 0 };
	u32 type;

	while ((type = miniballoon_take(m)) != 0) {
		if (type == BALLOON_DOWN)
			check_back(m);
		if (!answer)
			continue;
		memcpy(&added, data, min_u64(size, sizeof added));
		if (type == BALLOON_DOWN)
			(void)miniballoon_say(m, BALLOON_DOWN_RESPONSE, NULL, 0);
		else if (type == BALLOON_HOT_ADD)
			(void)miniballoon_say(m, BALLOON_HOT_ADD_RESPONSE, &added,
					      sizeof added);
		else if (type == BALLOON_UP)
			give(m, 0, data, size);
	}
}

static void change(struct miniballoon *m, u8 mask, const u8 *data, u32 size)
{
	struct balloon_change c = { .mask = mask & 31 };
	struct err err = { 0 };
	u8 b[5] = { 0 };
	int r;

	memcpy(b, data, min_u64(size, sizeof b));
	c.size = (u64)b[0] << 18;
	c.limits.min = (u64)b[1] << 18;
	c.limits.max = (u64)b[2] << 19;
	c.limits.buffer = b[3] * 9u;
	c.limits.weight = b[4] * 40u;
	r = balloon_change(m->balloon, &c, &err);
	require((r < 0) == (err.code < 0));
}

static void reopen(struct miniballoon *m)
{
	if (!mini_close_and_wait(&m->channel))
		return;
	memset(given, 0, sizeof given);
	(void)miniballoon_open_channel(m);
}

static void report(struct miniballoon *m, const u8 *data, u32 size)
{
	u64 figures[2] = { 0 };

	memcpy(figures, data, min_u64(size, sizeof figures));
	(void)miniballoon_report(m, figures[0], figures[1]);
}

static void step(struct miniballoon *m, u8 what, u8 number, const u8 *data, u32 size)
{
	switch (what % STEPS) {
	case SAY:
		/* Page numbers of random bytes: noted, since some may be its own. */
		for (u32 k = 8; number == BALLOON_UP_RESPONSE && k + 8 <= size; k += 8) {
			u64 range;

			memcpy(&range, data + k, sizeof range);
			note_range(m, range & (BIT64(BALLOON_PFN_BITS) - 1),
				   range >> BALLOON_PFN_BITS);
		}
		(void)miniballoon_say(m, (enum balloon_type)number, data, size);
		return;
	case SAY_RAW:
		/* Never an answer that gives pages: those are noted. */
		if (size < 2 || data[0] != BALLOON_UP_RESPONSE)
			(void)mini_send(&m->channel, VMBUS_PACKET_INBAND, 0, 1, data,
					size, 16);
		return;
	case GIVE:
		give(m, number, data, size);
		return;
	case TAKE:
		take(m, number & 1, data, size);
		return;
	case REPORT:
		report(m, data, size);
		return;
	case WAIT:
		miniballoon_advance(m, number * (NS_PER_SEC / 4));
		return;
	case CHANGE:
		change(m, number, data, size);
		return;
	case REOPEN:
		reopen(m);
		return;
	case MOVE:
		m->refuse_map = false;
		require(miniballoon_move(m));
		return;
	case MAP:
		m->refuse_map = number & 1;
		return;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct balloon_change as_it_was = {
		.mask = BALLOON_MIN | BALLOON_MAX | BALLOON_BUFFER | BALLOON_WEIGHT,
		.limits = { 8 << 20, MINI_RAM, 25, POLICY_MAX_WEIGHT },
	};
	static struct miniballoon *m;
	struct err err = { 0 };

	if (!m)
		m = miniballoon_new(true);
	memset(given, 0, sizeof given);
	m->refuse_map = false;
	require(size > 0 && data[0] & 1 ? miniballoon_open(m) : miniballoon_start(m));
	while (size >= 3) {
		u32 n = (u32)min_u64(data[2], size - 3);

		step(m, data[0], data[1], data + 3, n);
		require(miniballoon_shown(m, "assigned") <= MINI_RAM);
		data += 3 + n;
		size -= 3 + n;
	}
	take(m, false, NULL, 0);
	mini_close(&m->channel);
	mini_forget(m->mini);
	require(mini_unload(m->mini));
	mini_forget(m->mini);
	balloon_reset(m->balloon);
	/* The next input finds it as this one did. */
	require(balloon_change(m->balloon, &as_it_was, &err) == 0);
	require(miniballoon_shown(m, "assigned") == MINIBALLOON_START);
	return 0;
}
