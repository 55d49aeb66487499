/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dynamic memory with the guest's driver; see guest.h. In the order in which things happen: it is met,
 * asked for pages, given them back, given more.
 */
#include "vsp/balloon/guest.h"

#include "base/checked.h"

#define NEVER UINT64_MAX

static void ask(struct balloon_guest *b, u64 now);

/* ---- messages -------------------------------------------------------------------------------- */

/* body of size bytes behind the header. */
static bool say(struct balloon_guest *b, enum balloon_type type, const void *body,
		u32 size)
{
	u8 message[BALLOON_MAX_MESSAGE];
	const struct balloon_header h = {
		.type = le16_of((u16)type),
		.size = le16_of((u16)(sizeof h + size)),
		.transaction = le32_of(b->transaction + 1),
	};

	memcpy(message, &h, sizeof h);
	memcpy(message + sizeof h, body, size);
	if (!b->ops->send(b->owner, message, (u32)sizeof h + size))
		return false;
	b->transaction++;
	return true;
}

static bool say_accepted(struct balloon_guest *b, enum balloon_type type, bool accepted)
{
	const struct balloon_answer answer = { le64_of(accepted) };

	return say(b, type, &answer, sizeof answer);
}

/* The guest owes an answer from now on. */
static void owes(struct balloon_guest *b, enum balloon_state state, u64 pages, u64 now)
{
	b->state = state;
	b->owed = pages;
	b->late_at = now + BALLOON_LATE_SECONDS * NS_PER_SEC;
}

static void owes_nothing(struct balloon_guest *b)
{
	b->state = BALLOON_READY;
	b->late_at = NEVER;
	b->ask_at = 0;
	b->owed = 0;
	b->sending = false;
}

/* ---- it is met ------------------------------------------------------------------------------- */

static void on_version(struct balloon_guest *b, const u8 *body, u32 size, u64 now)
{
	struct balloon_version v;
	bool known;

	memcpy(&v, body, sizeof v);
	b->version = le32_get(v.version);
	known = b->version == BALLOON_2_0 || b->version == BALLOON_1_0 ||
		b->version == BALLOON_0_3;
	if (!say_accepted(b, BALLOON_VERSION_RESPONSE, known))
		return;
	if (known)
		b->state = BALLOON_CAPS_DUE;
	else if (le32_get(v.last_attempt) & 1)
		b->state = BALLOON_REFUSED;
}

static void say_max(struct balloon_guest *b)
{
	const struct balloon_info info = {
		.size = le32_of(sizeof info - 8),
		.type = le32_of(BALLOON_INFO_MAX_PAGES),
		.type_size = le32_of(sizeof info.max_pages),
		.max_pages = le64_of(b->max >> WALL_PAGE_SHIFT),
	};

	/* It is a word for its log alone. */
	(void)say(b, BALLOON_INFO, &info, sizeof info);
}

static void on_caps(struct balloon_guest *b, const u8 *body, u32 size, u64 now)
{
	struct balloon_caps caps;

	memcpy(&caps, body, sizeof caps);
	b->caps = le64_get(caps.caps);
	if (!say_accepted(b, BALLOON_CAPS_RESPONSE, true))
		return;
	owes_nothing(b);
	b->ready_at = now + BALLOON_FIRST_SECONDS * NS_PER_SEC;
	say_max(b);
}

static void on_status(struct balloon_guest *b, const u8 *body, u32 size, u64 now)
{
	struct balloon_status status;

	memcpy(&status, body, sizeof status);
	b->report = (struct balloon_report){
		.any = true,
		.available = le64_get(status.available),
		.committed = le64_get(status.committed),
	};
	b->counts.reports++;
	b->ready_at = 0;
	b->ops->reported(b->owner, now);
}

/* ---- it gives pages back --------------------------------------------------------------------- */

static void ask_for_pages(struct balloon_guest *b, u64 pages, u64 now)
{
	const struct balloon_up up = { .pages =
					       le32_of((u32)min_u64(pages, UINT32_MAX)) };

	if (!say(b, BALLOON_UP, &up, sizeof up))
		return;
	b->counts.asked_up++;
	b->gave = false;
	owes(b, BALLOON_GIVING, min_u64(pages, UINT32_MAX), now);
}

static u64 range_first(u64 range)
{
	return range & (BIT64(BALLOON_PFN_BITS) - 1);
}

static u64 range_count(u64 range)
{
	return range >> BALLOON_PFN_BITS;
}

/* Into the set and to the host, if it is what a guest may give. */
static bool take_range(struct balloon_guest *b, u64 first, u64 count)
{
	gpa_t gpa = first << WALL_PAGE_SHIFT;
	u64 size = count << WALL_PAGE_SHIFT, offset;

	if (count == 0 || !gm_ram_offset(b->ram, gpa, size, &offset) ||
	    !page_set_add(&b->out, offset >> WALL_PAGE_SHIFT, count))
		return false;
	b->ops->release(b->owner, gpa, size);
	b->counts.given += count;
	return true;
}

static void on_given(struct balloon_guest *b, const u8 *body, u32 size, u64 now)
{
	struct balloon_given given;
	u32 count;
	bool some = false;

	memcpy(&given, body, sizeof given);
	body += sizeof given;
	count = le32_get(given.more_and_count) >> 1;
	if (count > (size - sizeof given) / sizeof(le64)) {
		b->counts.malformed++;
		count = (size - sizeof given) / sizeof(le64);
	}
	for (u32 k = 0; k < count; k++) {
		le64 range;

		memcpy(&range, body + k * sizeof range, sizeof range);
		if (take_range(b, range_first(le64_get(range)),
			       range_count(le64_get(range))))
			some = true;
		else
			b->counts.wrong++;
	}
	b->gave |= some;
	if (some)
		b->late_at = now + BALLOON_LATE_SECONDS * NS_PER_SEC;
	if (le32_get(given.more_and_count) & 1)
		return;
	owes_nothing(b);
	/* It has no more than that: not at once again. */
	if (!b->gave)
		b->up_at = now + BALLOON_AGAIN_SECONDS * NS_PER_SEC;
}

/* ---- it takes pages back --------------------------------------------------------------------- */

/* The pages that the guest knows by one number follow each other in the region, but for its two parts. */
static u64 pfn_of(const struct balloon_guest *b, u64 page)
{
	u64 low = b->ram->low >> WALL_PAGE_SHIFT;

	return page < low ? page : page - low + (GM_HIGH_BASE >> WALL_PAGE_SHIFT);
}

struct back_message {
	struct balloon_back head;
	le64 range[BALLOON_MAX_RANGES];
} PACKED;

/* As many of the owed pages as one message can carry; how many, and how many are left then. */
static u32 fill_back(const struct balloon_guest *b, struct back_message *m, u64 *ret_left)
{
	u64 low = b->ram->low >> WALL_PAGE_SHIFT, left = b->owed, at = 0;
	u64 first, count;
	u32 n = 0;

	while (n < BALLOON_MAX_RANGES && left > 0 &&
	       page_set_find(&b->out, at, min_u64(left, BALLOON_RANGE_PAGES), &first,
			     &count)) {
		if (first < low)
			count = min_u64(count, low - first);
		m->range[n++] = le64_of(pfn_of(b, first) | count << BALLOON_PFN_BITS);
		left -= count;
		at = first + count;
	}
	if (!page_set_find(&b->out, at, 1, &first, &count))
		left = 0;
	*ret_left = left;
	return n;
}

/* What went out is the guest's. */
static void forget_back(struct balloon_guest *b, const struct back_message *m, u32 n)
{
	u64 high = GM_HIGH_BASE >> WALL_PAGE_SHIFT, low = b->ram->low >> WALL_PAGE_SHIFT;

	for (u32 k = 0; k < n; k++) {
		u64 range = le64_get(m->range[k]), first = range_first(range);

		page_set_remove(&b->out, first < high ? first : first - high + low,
				range_count(range));
		b->counts.taken += range_count(range);
	}
}

static void send_back(struct balloon_guest *b)
{
	struct back_message m;
	u64 left;

	while (b->sending) {
		u32 n = fill_back(b, &m, &left);

		m.head = (struct balloon_back){ le32_of(left > 0), le32_of(n) };
		if (!say(b, BALLOON_DOWN, &m,
			 (u32)(sizeof m.head + n * sizeof m.range[0])))
			return;
		forget_back(b, &m, n);
		b->owed = left;
		b->sending = left > 0;
	}
}

static void give_back(struct balloon_guest *b, u64 pages, u64 now)
{
	owes(b, BALLOON_TAKING, min_u64(pages, b->out.count), now);
	b->counts.asked_down++;
	b->sending = true;
	send_back(b);
}

static void on_taken(struct balloon_guest *b, const u8 *body, u32 size, u64 now)
{
	if (b->sending)
		b->counts.unexpected++;
	else
		owes_nothing(b);
}

/* ---- it gets more ---------------------------------------------------------------------------- */

/* What it adds begins and ends there. */
static u64 alignment(const struct balloon_guest *b)
{
	return 1ull << (20 + (b->caps >> BALLOON_ALIGN_SHIFT & BALLOON_ALIGN_MASK));
}

/* bytes: what it lacks. False: there is nothing to add. */
static bool add_range(const struct balloon_guest *b, u64 bytes, u64 *ret_at,
		      u64 *ret_size)
{
	u64 align = alignment(b), most = (u64)BALLOON_RANGE_PAGES << WALL_PAGE_SHIFT;
	u64 at = round_up(GM_HIGH_BASE + b->add_at, align) - GM_HIGH_BASE;
	u64 high = b->room - b->ram->low;

	if (!(b->caps & BALLOON_CAN_HOT_ADD) || b->add_never || at >= high)
		return false;
	*ret_at = at;
	*ret_size = min_u64(min_u64(round_up(bytes, align), high - at), most) &
		    ~(align - 1);
	return *ret_size > 0;
}

/* The memory is there before the guest hears of it. */
static void add(struct balloon_guest *b, u64 at, u64 size, u64 now)
{
	const u64 range = (GM_HIGH_BASE + at) >> WALL_PAGE_SHIFT |
			  size >> WALL_PAGE_SHIFT << BALLOON_PFN_BITS;
	const struct balloon_hot_add message = { le64_of(range), le64_of(range) };

	if (at + size > b->ram->high && !b->ops->set_high(b->owner, at + size)) {
		b->add_time = now + BALLOON_ADD_SECONDS * NS_PER_SEC;
		return;
	}
	if (!say(b, BALLOON_HOT_ADD, &message, sizeof message))
		return;
	b->add_at = at;
	b->counts.asked_add++;
	owes(b, BALLOON_ADDING, size >> WALL_PAGE_SHIFT, now);
}

static void on_added(struct balloon_guest *b, const u8 *body, u32 size, u64 now)
{
	struct balloon_hot_added said;
	u64 pages;

	memcpy(&said, body, sizeof said);
	pages = min_u64(le32_get(said.pages), b->owed);
	if (le32_get(said.pages) > b->owed)
		b->counts.wrong++;
	b->added += pages << WALL_PAGE_SHIFT;
	b->counts.added += pages;
	b->add_at += pages << WALL_PAGE_SHIFT;
	if (pages == 0 && le32_get(said.result) == 1)
		b->add_never = true;
	bool less = pages < b->owed;
	owes_nothing(b);
	if (less)
		b->add_time = now + BALLOON_ADD_SECONDS * NS_PER_SEC;
}

/* ---- what is asked --------------------------------------------------------------------------- */

/* When it is asked for something; NEVER: it is as it shall be. */
static u64 ask_time(const struct balloon_guest *b)
{
	u64 has = balloon_guest_assigned(b), after = max_u64(b->ready_at, b->ask_at);
	u64 at, size;

	if (b->state != BALLOON_READY || b->target == 0 || has == b->target)
		return NEVER;
	if (has > b->target)
		return b->caps & BALLOON_CAN_BALLOON ? max_u64(after, b->up_at) : NEVER;
	if (b->out.count > 0)
		return after;
	return add_range(b, b->target - has, &at, &size) ? max_u64(after, b->add_time)
							 : NEVER;
}

static void ask_now(struct balloon_guest *b, u64 now)
{
	u64 has = balloon_guest_assigned(b), at, size;

	if (has > b->target)
		ask_for_pages(b, (has - b->target) >> WALL_PAGE_SHIFT, now);
	else if (b->out.count > 0)
		give_back(b, (b->target - has) >> WALL_PAGE_SHIFT, now);
	else if (add_range(b, b->target - has, &at, &size))
		add(b, at, size, now);
}

static void ask(struct balloon_guest *b, u64 now)
{
	if (ask_time(b) > now)
		return;
	ask_now(b, now);
	/* Nothing came of it: the ring is full, or there is no memory. */
	if (b->state == BALLOON_READY)
		b->ask_at = now + NS_PER_SEC;
}

void balloon_guest_set_target(struct balloon_guest *b, u64 bytes, u64 now)
{
	b->target = bytes & ~(u64)(WALL_PAGE_SIZE - 1);
	ask(b, now);
}

void balloon_guest_room(struct balloon_guest *b, u64 now)
{
	if (b->state == BALLOON_TAKING)
		send_back(b);
	ask(b, now);
}

u64 balloon_guest_when(const struct balloon_guest *b)
{
	return min_u64(b->late_at, ask_time(b));
}

void balloon_guest_due(struct balloon_guest *b, u64 now)
{
	if (now >= b->late_at) {
		b->late_at = NEVER;
		b->counts.late++;
	}
	ask(b, now);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static const struct {
	u32 size; /* of the body at least */
	u32 states;
	void (*handle)(struct balloon_guest *b, const u8 *body, u32 size, u64 now);
} rows[] = {
	[BALLOON_VERSION_REQUEST] = { sizeof(struct balloon_version), BIT(BALLOON_OPEN),
				      on_version },
	[BALLOON_CAPS] = { sizeof(struct balloon_caps), BIT(BALLOON_CAPS_DUE), on_caps },
	[BALLOON_STATUS] = { sizeof(struct balloon_status),
			     BIT(BALLOON_READY) | BIT(BALLOON_GIVING) |
				     BIT(BALLOON_TAKING) | BIT(BALLOON_ADDING),
			     on_status },
	[BALLOON_UP_RESPONSE] = { sizeof(struct balloon_given), BIT(BALLOON_GIVING),
				  on_given },
	[BALLOON_DOWN_RESPONSE] = { 0, BIT(BALLOON_TAKING), on_taken },
	[BALLOON_HOT_ADD_RESPONSE] = { sizeof(struct balloon_hot_added),
				       BIT(BALLOON_ADDING), on_added },
};

void balloon_guest_receive(struct balloon_guest *b, const u8 *message, u32 size, u64 now)
{
	struct balloon_header h;
	u32 type, have = 0;

	if (size >= sizeof h) {
		memcpy(&h, message, sizeof h);
		have = le16_get(h.size);
	}
	/* The packet is padded. */
	if (have < sizeof h || have > size || have > BALLOON_MAX_MESSAGE) {
		b->counts.malformed++;
		return;
	}
	type = le16_get(h.type);
	if (type >= ARRAY_COUNT(rows) || !rows[type].handle ||
	    !(BIT(b->state) & rows[type].states)) {
		b->counts.unexpected++;
		return;
	}
	if (have - sizeof h < rows[type].size) {
		b->counts.malformed++;
		return;
	}
	rows[type].handle(b, message + sizeof h, (u32)(have - sizeof h), now);
	ask(b, now);
}

/* ---- life ------------------------------------------------------------------------------------ */

int balloon_guest_init(struct balloon_guest *b, const struct balloon_ops *ops,
		       void *owner, const struct gm_layout *ram, u64 start, u64 region)
{
	*b = (struct balloon_guest){
		.ops = ops,
		.owner = owner,
		.ram = ram,
		.start = start,
		.room = region,
		.max = region,
		.late_at = NEVER,
		.add_at = ram->high,
	};
	return page_set_init(&b->out, region >> WALL_PAGE_SHIFT);
}

void balloon_guest_done(struct balloon_guest *b)
{
	page_set_done(&b->out);
}

void balloon_guest_open(struct balloon_guest *b)
{
	b->state = BALLOON_OPEN;
	b->ready_at = b->up_at = b->add_time = 0;
	b->caps = 0;
	b->report.any = b->add_never = false;
}

void balloon_guest_close(struct balloon_guest *b)
{
	owes_nothing(b);
	b->state = BALLOON_CLOSED;
	page_set_clear(&b->out);
}

void balloon_guest_resume(struct balloon_guest *b, u64 now)
{
	if (b->state >= BALLOON_GIVING)
		b->late_at = now + BALLOON_LATE_SECONDS * NS_PER_SEC;
	balloon_guest_room(b, now);
}

void balloon_guest_reset(struct balloon_guest *b)
{
	u64 high = b->start - b->ram->low;

	balloon_guest_close(b);
	b->added = 0;
	b->add_at = high;
	if (b->ram->high > high)
		(void)b->ops->set_high(b->owner, high);
}
