/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic interrupt controller; see synic.h. */
#include "hv/synic.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "wall/wall.h"

#define SLOT_SIZE sizeof(struct hv_message)
#define FLAGS_SIZE (HV_EVENT_FLAGS / 8)
#define FIRST_VECTOR 16
#define NO_PAGE UINT64_MAX

/* ---- questions -------------------------------------------------------------------------------- */

static bool masked(const struct synic *s, unsigned sint)
{
	return s->sint[sint] & HV_SINT_MASKED;
}

/* May this source deliver through a page, and which is it? NULL: not now. */
REQUIRES(lock)
static u8 *page_for(struct synic *s, unsigned sint, u64 page)
{
	if (!(s->control & HV_SCONTROL_ENABLED) || !(page & HV_PAGE_ENABLED) ||
	    masked(s, sint))
		return NULL;
	return s->ops->page(s->owner, page & HV_PAGE_GPA);
}

REQUIRES(lock)
static void interrupt(struct synic *s, unsigned sint)
{
	u64 v = s->sint[sint];

	if (v & (HV_SINT_MASKED | HV_SINT_POLLING))
		return;
	s->interrupts++;
	s->ops->interrupt(s->owner, (u8)(v & HV_SINT_VECTOR));
}

/* ---- messages --------------------------------------------------------------------------------- */

/* The next message of a SINT; *ret_at its place in the queue, or the queue's length and more: a timer. */
REQUIRES(lock)
static bool next_message(struct synic *s, unsigned sint, struct hv_message *ret_message,
			 unsigned *ret_at)
{
	for (unsigned k = 0; k < s->queued; k++) {
		if (s->queue[k].sint == sint) {
			*ret_message = s->queue[k].message;
			*ret_at = k;
			return true;
		}
	}
	for (unsigned k = 0; k < HV_STIMERS; k++) {
		struct hv_timer_message t = { .index = le32_of(k) };

		if (!(s->timer_waits & BIT(k)) || s->timer_sint[k] != sint)
			continue;
		t.expiration = le64_of(s->timer_expiry[k]);
		t.delivery = le64_of(s->ops->now(s->owner));
		*ret_message = (struct hv_message){
			.type = le32_of(HV_MESSAGE_TIMER_EXPIRED),
			.payload_size = sizeof t,
		};
		memcpy(ret_message->payload, &t, sizeof t);
		*ret_at = SYNIC_QUEUE + k;
		return true;
	}
	return false;
}

REQUIRES(lock)
static void take_out(struct synic *s, unsigned at)
{
	if (at >= SYNIC_QUEUE) {
		s->timer_waits &= (u8)~BIT(at - SYNIC_QUEUE);
		return;
	}
	s->queued--;
	memmove(&s->queue[at], &s->queue[at + 1], (s->queued - at) * sizeof(s->queue[0]));
	if (s->refused) {
		s->refused = false;
		s->ops->room(s->owner);
	}
}

REQUIRES(lock)
static bool more_waits(struct synic *s, unsigned sint, unsigned at)
{
	for (unsigned k = 0; k < s->queued; k++) {
		if (k != at && s->queue[k].sint == sint)
			return true;
	}
	for (unsigned k = 0; k < HV_STIMERS; k++) {
		if (SYNIC_QUEUE + k != at && s->timer_waits & BIT(k) &&
		    s->timer_sint[k] == sint)
			return true;
	}
	return false;
}

/* Is the slot empty? Else the guest is told that something waits, and will write EOM. */
static bool slot_empty(u8 *slot)
{
	_Atomic u32 *type = (_Atomic u32 *)(void *)slot;
	_Atomic u8 *flags = (_Atomic u8 *)slot + offsetof(struct hv_message, flags);

	if (atomic_load(type) == HV_MESSAGE_NONE)
		return true;
	atomic_fetch_or(flags, HV_MESSAGE_PENDING);
	/*
	 * The guest stores 0 into type, then reads the flag. It may have done both before the flag
	 * was set: then type is 0 now.
	 */
	return atomic_load(type) == HV_MESSAGE_NONE;
}

/* One message, if there is one and it can be taken. */
REQUIRES(lock)
static void deliver(struct synic *s, unsigned sint)
{
	struct hv_message m;
	unsigned at;
	u8 *page, *slot;

	if (!next_message(s, sint, &m, &at))
		return;
	page = page_for(s, sint, s->message_page);
	if (!page)
		return;
	slot = page + sint * SLOT_SIZE;
	if (!slot_empty(slot)) {
		s->ops->wrote(s->owner, s->message_page & HV_PAGE_GPA);
		return;
	}
	m.flags = more_waits(s, sint, at) ? HV_MESSAGE_PENDING : 0;
	memcpy(slot + sizeof m.type, (u8 *)&m + sizeof m.type, SLOT_SIZE - sizeof m.type);
	/* Release: who sees the type sees the message. */
	atomic_store_explicit((_Atomic u32 *)(void *)slot, le32_get(m.type),
			      memory_order_release);
	s->ops->wrote(s->owner, s->message_page & HV_PAGE_GPA);
	s->messages++;
	take_out(s, at);
	interrupt(s, sint);
}

REQUIRES(lock)
static void deliver_all(struct synic *s)
{
	u32 sints = 0;

	for (unsigned k = 0; k < s->queued; k++)
		sints |= BIT(s->queue[k].sint);
	for (unsigned k = 0; k < HV_STIMERS; k++) {
		if (s->timer_waits & BIT(k))
			sints |= BIT(s->timer_sint[k]);
	}
	for (unsigned sint = 0; sint < HV_SINTS; sint++) {
		if (sints & BIT(sint))
			deliver(s, sint);
	}
}

void synic_look(struct synic *s)
{
	pthread_mutex_lock(&s->lock);
	deliver_all(s);
	pthread_mutex_unlock(&s->lock);
}

int synic_post(struct synic *s, unsigned sint, u32 type, u64 sender, const void *payload,
	       size_t size, bool now)
{
	struct synic_waiting *w;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (s->queued == SYNIC_QUEUE) {
		s->refused = true;
		r = -EAGAIN;
	} else {
		w = &s->queue[s->queued++];
		*w = (struct synic_waiting){ .sint = (u8)sint };
		w->message.type = le32_of(type);
		w->message.payload_size = (u8)size;
		w->message.sender = le64_of(sender);
		memcpy(w->message.payload, payload, size);
		if (now)
			deliver(s, sint);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

bool synic_timer_message(struct synic *s, unsigned timer, unsigned sint, u64 expiry)
{
	bool taken;

	pthread_mutex_lock(&s->lock);
	taken = !(s->timer_waits & BIT(timer));
	if (taken) {
		s->timer_waits |= (u8)BIT(timer);
		s->timer_sint[timer] = (u8)sint;
		s->timer_expiry[timer] = expiry;
	}
	deliver(s, sint);
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void synic_timer_cancel(struct synic *s, unsigned timer)
{
	pthread_mutex_lock(&s->lock);
	s->timer_waits &= (u8)~BIT(timer);
	pthread_mutex_unlock(&s->lock);
}

/* ---- events ------------------------------------------------------------------------------------ */

REQUIRES(lock)
static enum hv_status set_flags(struct synic *s, unsigned sint, unsigned word, u64 flags)
{
	u8 *page = page_for(s, sint, s->event_page);
	_Atomic u64 *at;
	u64 old;

	if (!page) {
		s->dropped_events++;
		return HV_INVALID_SYNIC_STATE;
	}
	at = (_Atomic u64 *)(void *)(page + sint * FLAGS_SIZE) + word;
	old = atomic_fetch_or(at, flags);
	if ((old & flags) == flags)
		return HV_SUCCESS; /* the guest knows already */
	s->events++;
	s->ops->wrote(s->owner, s->event_page & HV_PAGE_GPA);
	interrupt(s, sint);
	return HV_SUCCESS;
}

enum hv_status synic_signal(struct synic *s, unsigned sint, u32 flag)
{
	enum hv_status status;

	pthread_mutex_lock(&s->lock);
	status = set_flags(s, sint, flag / 64, BIT64(flag % 64));
	pthread_mutex_unlock(&s->lock);
	return status;
}

void synic_signal_word(struct synic *s, unsigned sint, unsigned word, u64 flags)
{
	pthread_mutex_lock(&s->lock);
	(void)set_flags(s, sint, word, flags);
	pthread_mutex_unlock(&s->lock);
}

bool synic_events_at(struct synic *s, unsigned sint, gpa_t *ret_flags, u8 *ret_vector)
{
	bool there;

	pthread_mutex_lock(&s->lock);
	there = page_for(s, sint, s->event_page) && !(s->sint[sint] & HV_SINT_POLLING);
	if (there) {
		*ret_flags = (s->event_page & HV_PAGE_GPA) + sint * FLAGS_SIZE;
		*ret_vector = (u8)(s->sint[sint] & HV_SINT_VECTOR);
	}
	pthread_mutex_unlock(&s->lock);
	return there;
}

void synic_raise(struct synic *s, unsigned sint)
{
	pthread_mutex_lock(&s->lock);
	if (s->control & HV_SCONTROL_ENABLED)
		interrupt(s, sint);
	pthread_mutex_unlock(&s->lock);
}

/* ---- registers -------------------------------------------------------------------------------- */

/* Does any source want this vector to end by itself? */
REQUIRES(lock)
static bool wants_auto_eoi(const struct synic *s, u8 vector)
{
	for (unsigned k = 0; k < HV_SINTS; k++) {
		if ((s->sint[k] & HV_SINT_VECTOR) == vector && !masked(s, k) &&
		    s->sint[k] & HV_SINT_AUTO_EOI)
			return true;
	}
	return false;
}

REQUIRES(lock)
static void set_sint(struct synic *s, unsigned sint, u64 value)
{
	u8 before = (u8)(s->sint[sint] & HV_SINT_VECTOR);
	u8 after = (u8)(value & HV_SINT_VECTOR);

	s->sint[sint] = value;
	if (before >= FIRST_VECTOR)
		s->ops->auto_eoi(s->owner, before, wants_auto_eoi(s, before));
	if (after >= FIRST_VECTOR && after != before)
		s->ops->auto_eoi(s->owner, after, wants_auto_eoi(s, after));
}

static bool sint_allowed(u64 value)
{
	return (value & HV_SINT_VECTOR) >= FIRST_VECTOR || value & HV_SINT_MASKED;
}

/* A page that was not this one before begins as zeros. */
REQUIRES(lock)
static void set_page(struct synic *s, u64 value, u64 *io_page, u64 *io_last)
{
	u64 gpa = value & HV_PAGE_GPA;
	u8 *page;

	*io_page = value;
	if (!(value & HV_PAGE_ENABLED) || gpa == *io_last)
		return;
	*io_last = gpa;
	page = s->ops->page(s->owner, gpa);
	if (!page)
		return;
	memset(page, 0, WALL_PAGE_SIZE);
	s->ops->wrote(s->owner, gpa);
}

static u64 last_of(u64 page)
{
	return page & HV_PAGE_ENABLED ? page & HV_PAGE_GPA : NO_PAGE;
}

bool synic_msr_read(struct synic *s, u32 index, u64 *ret_value)
{
	bool known = true;

	pthread_mutex_lock(&s->lock);
	switch (index) {
	case HV_MSR_SCONTROL:
		*ret_value = s->control;
		break;
	case HV_MSR_SVERSION:
		*ret_value = HV_SYNIC_VERSION;
		break;
	case HV_MSR_SIEFP:
		*ret_value = s->event_page;
		break;
	case HV_MSR_SIMP:
		*ret_value = s->message_page;
		break;
	case HV_MSR_EOM:
		*ret_value = 0;
		break;
	case HV_MSR_SINT0 ... HV_MSR_SINT0 + HV_SINTS - 1:
		*ret_value = s->sint[index - HV_MSR_SINT0];
		break;
	default:
		known = false;
	}
	pthread_mutex_unlock(&s->lock);
	return known;
}

bool synic_msr_write(struct synic *s, u32 index, u64 value)
{
	bool known = true;

	pthread_mutex_lock(&s->lock);
	switch (index) {
	case HV_MSR_SCONTROL:
		s->control = value;
		break;
	case HV_MSR_SIEFP:
		set_page(s, value, &s->event_page, &s->event_last);
		break;
	case HV_MSR_SIMP:
		set_page(s, value, &s->message_page, &s->message_last);
		break;
	case HV_MSR_EOM:
		break;
	case HV_MSR_SINT0 ... HV_MSR_SINT0 + HV_SINTS - 1:
		known = sint_allowed(value);
		if (known)
			set_sint(s, index - HV_MSR_SINT0, value);
		break;
	default: /* the version is read-only */
		known = false;
	}
	if (known)
		deliver_all(s);
	pthread_mutex_unlock(&s->lock);
	return known;
}

/* ---- life ------------------------------------------------------------------------------------- */

REQUIRES(lock)
static void clear(struct synic *s)
{
	s->control = s->event_page = s->message_page = 0;
	s->event_last = s->message_last = NO_PAGE;
	s->queued = 0;
	s->timer_waits = 0;
	for (unsigned k = 0; k < HV_SINTS; k++)
		set_sint(s, k, HV_SINT_MASKED);
	if (s->refused) {
		s->refused = false;
		s->ops->room(s->owner);
	}
}

void synic_init(struct synic *s, const struct synic_ops *ops, void *owner)
{
	*s = (struct synic){
		.ops = ops, .owner = owner, .event_last = NO_PAGE, .message_last = NO_PAGE
	};
	pthread_mutex_init(&s->lock, NULL);
	for (unsigned k = 0; k < HV_SINTS; k++)
		s->sint[k] = HV_SINT_MASKED;
}

void synic_done(struct synic *s)
{
	pthread_mutex_destroy(&s->lock);
}

void synic_reset(struct synic *s)
{
	pthread_mutex_lock(&s->lock);
	clear(s);
	pthread_mutex_unlock(&s->lock);
}

/* ---- state -------------------------------------------------------------------------------------- */

#define QUEUE_VERSION 1

struct queue_state {
	struct chip_state_head head;
	u8 count;
	u8 sint[SYNIC_QUEUE_BLOCK];
	struct hv_message message[SYNIC_QUEUE_BLOCK];
} PACKED;
_Static_assert(sizeof(struct queue_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void synic_save(struct synic *s, struct synic_state *ret_state)
{
	pthread_mutex_lock(&s->lock);
	*ret_state = (struct synic_state){
		.control = le64_of(s->control),
		.event_page = le64_of(s->event_page),
		.message_page = le64_of(s->message_page),
		.timer_waits = s->timer_waits,
	};
	for (unsigned k = 0; k < HV_SINTS; k++)
		ret_state->sint[k] = le64_of(s->sint[k]);
	for (unsigned k = 0; k < HV_STIMERS; k++) {
		ret_state->timer_sint[k] = s->timer_sint[k];
		ret_state->timer_expiry[k] = le64_of(s->timer_expiry[k]);
	}
	pthread_mutex_unlock(&s->lock);
}

int synic_restore(struct synic *s, const struct synic_state *state)
{
	for (unsigned k = 0; k < HV_SINTS; k++) {
		if (!sint_allowed(le64_get(state->sint[k])))
			return -EINVAL;
	}
	if (state->timer_waits >> HV_STIMERS)
		return -EINVAL;
	for (unsigned k = 0; k < HV_STIMERS; k++) {
		if (state->timer_sint[k] >= HV_SINTS)
			return -EINVAL;
	}
	pthread_mutex_lock(&s->lock);
	clear(s);
	s->control = le64_get(state->control);
	s->event_page = le64_get(state->event_page);
	s->message_page = le64_get(state->message_page);
	s->event_last = last_of(s->event_page);
	s->message_last = last_of(s->message_page);
	for (unsigned k = 0; k < HV_SINTS; k++)
		set_sint(s, k, le64_get(state->sint[k]));
	s->timer_waits = state->timer_waits;
	for (unsigned k = 0; k < HV_STIMERS; k++) {
		s->timer_sint[k] = state->timer_sint[k];
		s->timer_expiry[k] = le64_get(state->timer_expiry[k]);
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

void synic_save_queue(struct synic *s, unsigned half, void *block)
{
	struct queue_state state = { 0 };

	pthread_mutex_lock(&s->lock);
	for (unsigned k = half * SYNIC_QUEUE_BLOCK;
	     k < s->queued && state.count < SYNIC_QUEUE_BLOCK; k++) {
		state.sint[state.count] = s->queue[k].sint;
		state.message[state.count++] = s->queue[k].message;
	}
	pthread_mutex_unlock(&s->lock);
	chip_state_finish(block, QUEUE_VERSION, &state, sizeof state);
}

int synic_restore_queue(struct synic *s, unsigned half, const void *block)
{
	struct queue_state state;
	int r = 0;

	if (!chip_state_take(block, QUEUE_VERSION, &state, sizeof state) ||
	    state.count > SYNIC_QUEUE_BLOCK)
		return -EINVAL;
	for (unsigned k = 0; k < state.count; k++) {
		if (state.sint[k] >= HV_SINTS ||
		    state.message[k].payload_size > HV_MESSAGE_PAYLOAD ||
		    le32_get(state.message[k].type) == HV_MESSAGE_NONE)
			return -EINVAL;
	}
	pthread_mutex_lock(&s->lock);
	if (state.count > 0 && s->queued != half * SYNIC_QUEUE_BLOCK)
		r = -EINVAL;
	for (unsigned k = 0; k < state.count && r == 0; k++)
		s->queue[s->queued++] =
			(struct synic_waiting){ .sint = state.sint[k],
						.message = state.message[k] };
	pthread_mutex_unlock(&s->lock);
	return r;
}

void synic_inspect(struct synic *s, struct inspect *out)
{
	char name[16];

	pthread_mutex_lock(&s->lock);
	inspect_line(out, "synic", "control 0x%llx events 0x%llx messages 0x%llx",
		     (unsigned long long)s->control, (unsigned long long)s->event_page,
		     (unsigned long long)s->message_page);
	for (unsigned k = 0; k < HV_SINTS; k++) {
		if (s->sint[k] == HV_SINT_MASKED)
			continue;
		snprintf(name, sizeof name, "sint %u", k);
		inspect_line(out, name, "0x%llx", (unsigned long long)s->sint[k]);
	}
	inspect_line(out, "synic counts",
		     "messages %llu waiting %u events %llu dropped %llu interrupts %llu",
		     (unsigned long long)s->messages, s->queued,
		     (unsigned long long)s->events, (unsigned long long)s->dropped_events,
		     (unsigned long long)s->interrupts);
	pthread_mutex_unlock(&s->lock);
}
