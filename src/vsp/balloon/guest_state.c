/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic memory: what goes elsewhere with the guest, and what is shown; see guest.h. */
#include <errno.h>

#include "vsp/balloon/guest.h"

enum {
	STATE_STATE = 1,
	STATE_VERSION,
	STATE_CAPS,
	STATE_TRANSACTION,
	STATE_TARGET,
	STATE_OWED,
	STATE_FLAGS,
	STATE_ADDED,
	STATE_ADD_AT,
	STATE_HIGH,
	STATE_OUT, /* none: nothing is */
};
enum { FLAG_SENDING = 1, FLAG_GAVE = 2, FLAG_ADD_NEVER = 4, FLAG_REPORTED = 8 };

void balloon_guest_save(const struct balloon_guest *b, struct state_writer *w)
{
	state_number(w, STATE_STATE, b->state);
	state_number(w, STATE_VERSION, b->version);
	state_number(w, STATE_CAPS, b->caps);
	state_number(w, STATE_TRANSACTION, b->transaction);
	state_number(w, STATE_TARGET, b->target);
	state_number(w, STATE_OWED, b->owed);
	state_number(w, STATE_FLAGS,
		     (u64)(b->sending ? FLAG_SENDING : 0) | (b->gave ? FLAG_GAVE : 0) |
			     (b->add_never ? FLAG_ADD_NEVER : 0) |
			     (b->report.any || b->ready_at == 0 ? FLAG_REPORTED : 0));
	state_number(w, STATE_ADDED, b->added);
	state_number(w, STATE_ADD_AT, b->add_at);
	state_number(w, STATE_HIGH, b->ram->high);
	if (b->out.count > 0)
		state_bytes(w, STATE_OUT, b->out.word, page_set_size(&b->out));
}

int balloon_guest_saved_high(const struct balloon_guest *b, struct state_record record,
			     u64 *ret_high)
{
	struct state_field f;
	int r;

	*ret_high = b->ram->high;
	while ((r = state_next_field(&record, &f)) == 1)
		if (f.id == STATE_HIGH)
			*ret_high = f.number;
	if (r == 0 && (*ret_high % WALL_PAGE_SIZE != 0 ||
		       *ret_high > b->room - b->ram->low || *ret_high < b->ram->high))
		r = -EPROTO;
	return r;
}

static void take_flags(struct balloon_guest *b, u64 flags)
{
	b->sending = flags & FLAG_SENDING;
	b->gave = flags & FLAG_GAVE;
	b->add_never = flags & FLAG_ADD_NEVER;
	b->ready_at = flags & FLAG_REPORTED ? 0 : BALLOON_FIRST_SECONDS * NS_PER_SEC;
}

static bool take_field(struct balloon_guest *b, const struct state_field *f,
		       u64 *ret_state)
{
	switch (f->id) {
	case STATE_STATE:
		*ret_state = f->number;
		break;
	case STATE_VERSION:
		b->version = (u32)f->number;
		break;
	case STATE_CAPS:
		b->caps = f->number;
		break;
	case STATE_TRANSACTION:
		b->transaction = (u32)f->number;
		break;
	case STATE_TARGET:
		b->target = f->number;
		break;
	case STATE_OWED:
		b->owed = f->number;
		break;
	case STATE_FLAGS:
		take_flags(b, f->number);
		break;
	case STATE_ADDED:
		b->added = f->number;
		break;
	case STATE_ADD_AT:
		b->add_at = f->number;
		break;
	case STATE_OUT:
		return page_set_restore(&b->out, f->bytes, f->size);
	}
	return true;
}

/* Does what was read make sense, beside the RAM that there is? */
static bool makes_sense(const struct balloon_guest *b, u64 state, bool open)
{
	u64 end = (b->ram->low + b->ram->high) >> WALL_PAGE_SHIFT, first, count;

	return state < BALLOON_STATES && (state != BALLOON_CLOSED) == open &&
	       (open || b->out.count == 0) &&
	       !page_set_find(&b->out, end, 1, &first, &count) &&
	       b->target % WALL_PAGE_SIZE == 0 && b->added % WALL_PAGE_SIZE == 0 &&
	       b->add_at % WALL_PAGE_SIZE == 0 && b->added <= b->room - b->start &&
	       b->add_at <= b->ram->high && b->owed <= UINT32_MAX &&
	       (state == BALLOON_TAKING || !b->sending) &&
	       (!b->sending || b->owed <= b->out.count);
}

int balloon_guest_restore(struct balloon_guest *b, struct state_record record, bool open,
			  u64 now)
{
	u64 state = BALLOON_CLOSED;
	struct state_field f;
	int r;

	page_set_clear(&b->out);
	while ((r = state_next_field(&record, &f)) == 1)
		if (!take_field(b, &f, &state))
			return -EPROTO;
	if (r < 0 || !makes_sense(b, state, open))
		return -EPROTO;
	b->state = (enum balloon_state)state;
	if (b->ready_at > 0)
		b->ready_at += now;
	if (b->state >= BALLOON_GIVING)
		b->late_at = now + BALLOON_LATE_SECONDS * NS_PER_SEC;
	return 0;
}

void balloon_guest_inspect(const struct balloon_guest *b, const char *branch,
			   struct inspect *out)
{
	static const char *const states[] = { "closed",	 "open",  "capabilities",
					      "refused", "ready", "giving",
					      "taking",	 "adding" };

	inspect_words(out, branch, "state", "%s", states[b->state]);
	inspect_words(out, branch, "version", "%u.%u", b->version >> 16,
		      b->version & 0xffff);
	inspect_words(out, branch, "adds", "%s",
		      b->add_never		      ? "never again"
		      : b->caps & BALLOON_CAN_HOT_ADD ? "yes"
						      : "no");
	inspect_number(out, branch, "out", balloon_guest_out(b));
	inspect_number(out, branch, "added", b->added);
	inspect_number(out, branch, "owed_pages", b->owed);
	inspect_number(out, branch, "available", b->report.available);
	inspect_number(out, branch, "committed", b->report.committed);
	inspect_number(out, branch, "reports", b->counts.reports);
	inspect_number(out, branch, "asked_up", b->counts.asked_up);
	inspect_number(out, branch, "asked_down", b->counts.asked_down);
	inspect_number(out, branch, "asked_add", b->counts.asked_add);
	inspect_number(out, branch, "given_pages", b->counts.given);
	inspect_number(out, branch, "taken_pages", b->counts.taken);
	inspect_number(out, branch, "added_pages", b->counts.added);
	inspect_number(out, branch, "late", b->counts.late);
	inspect_number(out, branch, "malformed", b->counts.malformed);
	inspect_number(out, branch, "unexpected", b->counts.unexpected);
	inspect_number(out, branch, "wrong", b->counts.wrong);
}
