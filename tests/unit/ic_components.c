/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeat, shutdown and time synchronization against the driver of a mini-guest. */
#include "harness.h"
#include "miniguest/miniic.h"

static void free_ic(struct miniic **m)
{
	miniic_free(*m);
}
#define GUEST_OF_IC __attribute__((cleanup(free_ic))) struct miniic *
#define HEART(m) (&(m)->components->heartbeat)
#define TIME(m) (&(m)->components->timesync)
#define SHUTDOWN(m) (&(m)->components->shutdown)

/* ---- heartbeat ---- */

/* Take a beat and answer it rightly; its number. */
static u64 beat(struct miniic *m)
{
	struct ic_heartbeat b = { 0 };
	struct ic_header h;
	u8 *body;

	if (!miniic_take(m, &HEART(m)->channel, &h, &body))
		return UINT64_MAX;
	memcpy(&b, body, sizeof b);
	b.sequence = le64_of(le64_get(b.sequence) + 1);
	memcpy(body, &b, sizeof b);
	miniic_answer(m, &HEART(m)->channel, IC_OK);
	return le64_get(b.sequence) - 1;
}

TEST(heart_beats_every_two_seconds_and_counts_on)
{
	GUEST_OF_IC m = miniic_new();

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &HEART(m)->channel, 3, 0));
	for (u64 k = 0; k < 10; k++) {
		ASSERT_EQ(beat(m), 2 * k);
		ASSERT_EQ(beat(m), UINT64_MAX);
		miniic_advance(m, HEARTBEAT_SECONDS * NS_PER_SEC);
	}
	ASSERT_EQ(HEART(m)->wrong, 0);
	ASSERT(!HEART(m)->lost);
}

TEST(guest_whose_heart_stops_is_lost_after_ten_seconds_and_found_again)
{
	GUEST_OF_IC m = miniic_new();

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &HEART(m)->channel, 3, 0));
	miniic_advance(m, HEARTBEAT_LOST_SECONDS * NS_PER_SEC - 1);
	ASSERT(!HEART(m)->lost);
	miniic_advance(m, 1);
	ASSERT(HEART(m)->lost);
	miniic_advance(m, 100 * NS_PER_SEC);
	/* One question alone lies there. */
	ASSERT_EQ(beat(m), 0);
	ASSERT(!HEART(m)->lost);
	ASSERT_EQ(beat(m), UINT64_MAX);
	miniic_advance(m, HEARTBEAT_SECONDS * NS_PER_SEC);
	ASSERT_EQ(beat(m), 2);
}

TEST(heart_that_answers_nonsense_is_counted)
{
	GUEST_OF_IC m = miniic_new();
	struct ic_header h;
	u8 *body;

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &HEART(m)->channel, 1, 0));
	ASSERT(miniic_take(m, &HEART(m)->channel, &h, &body));
	ASSERT(miniic_answer(m, &HEART(m)->channel, IC_OK));
	ASSERT_EQ(HEART(m)->wrong, 1);
}

TEST(heart_stands_with_the_guest_and_beats_on_elsewhere)
{
	GUEST_OF_IC m = miniic_new();

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &HEART(m)->channel, 3, 0));
	ASSERT_EQ(beat(m), 0);
	components_pause(m->components);
	ASSERT_EQ(m->wake_at, UINT64_MAX);
	miniic_advance(m, 3600 * NS_PER_SEC);
	ASSERT_EQ(beat(m), UINT64_MAX);
	components_resume(m->components);
	ASSERT_EQ(beat(m), 2);
	ASSERT_EQ(HEART(m)->losses, 0);
	ASSERT(miniic_move(m));
	ASSERT(beat(m) != UINT64_MAX);
	miniic_advance(m, HEARTBEAT_SECONDS * NS_PER_SEC);
	ASSERT(beat(m) != UINT64_MAX);
	ASSERT_EQ(HEART(m)->wrong, 0);
}

/* ---- time ---- */

#define HOST_TIME(m) (IC_TIME_1970 + (u64)(m)->clock.realtime / 100)

static bool take_time(struct miniic *m, struct ic_timesync *ret_time)
{
	struct ic_header h;
	u8 *body;

	if (!miniic_take(m, &TIME(m)->channel, &h, &body))
		return false;
	memcpy(ret_time, body, sizeof *ret_time);
	return miniic_answer(m, &TIME(m)->channel, IC_OK);
}

TEST(guest_is_told_to_set_its_clock_once_and_then_gets_samples)
{
	GUEST_OF_IC m = miniic_new();
	struct ic_timesync t;

	m->reference = 1234567;
	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &TIME(m)->channel, 4, 0));
	ASSERT(take_time(m, &t));
	ASSERT_EQ(t.flags, IC_TIME_SYNC);
	ASSERT_EQ(le64_get(t.host), HOST_TIME(m));
	ASSERT_EQ(le64_get(t.reference), 1234567);
	for (unsigned k = 0; k < 3; k++) {
		ASSERT(!take_time(m, &t));
		miniic_advance(m, TIMESYNC_SECONDS * NS_PER_SEC);
		ASSERT(take_time(m, &t));
		ASSERT_EQ(t.flags, IC_TIME_SAMPLE);
		ASSERT_EQ(le64_get(t.host), HOST_TIME(m));
	}
}

TEST(guest_of_an_older_version_gets_time_as_it_knows_it)
{
	GUEST_OF_IC m = miniic_new();
	struct ic_timesync_old t;
	struct ic_header h;
	u8 *body;

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &TIME(m)->channel, 3, 0));
	ASSERT(miniic_take(m, &TIME(m)->channel, &h, &body));
	ASSERT_EQ(le16_get(h.size), sizeof t);
	memcpy(&t, body, sizeof t);
	ASSERT_EQ(le64_get(t.host), HOST_TIME(m));
	ASSERT_EQ(t.flags, IC_TIME_SYNC);
}

TEST(clock_is_set_again_when_the_guest_has_stood_or_was_moved)
{
	GUEST_OF_IC m = miniic_new();
	struct ic_timesync t;

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &TIME(m)->channel, 4, 0));
	ASSERT(take_time(m, &t));
	components_pause(m->components);
	miniic_advance(m, 60 * NS_PER_SEC);
	ASSERT(!take_time(m, &t));
	components_resume(m->components);
	ASSERT(take_time(m, &t));
	ASSERT_EQ(t.flags, IC_TIME_SYNC);
	ASSERT_EQ(le64_get(t.host), HOST_TIME(m));
	ASSERT(miniic_move(m));
	ASSERT(take_time(m, &t));
	ASSERT_EQ(t.flags, IC_TIME_SYNC);
}

TEST(clock_is_set_after_the_answer_where_one_was_due_when_the_guest_stood)
{
	for (unsigned moves = 0; moves < 2; moves++) {
		GUEST_OF_IC m = miniic_new();
		struct ic_timesync t;
		struct ic_header h;
		u8 *body;

		ASSERT(miniic_start(m));
		ASSERT(miniic_agree(m, &TIME(m)->channel, 4, 0));
		ASSERT(take_time(m, &t));
		miniic_advance(m, TIMESYNC_SECONDS * NS_PER_SEC);
		ASSERT(miniic_take(m, &TIME(m)->channel, &h, &body));
		if (moves) {
			ASSERT(miniic_move(m));
		} else {
			components_pause(m->components);
			components_resume(m->components);
		}
		ASSERT(miniic_answer(m, &TIME(m)->channel, IC_OK));
		ASSERT(take_time(m, &t));
		ASSERT_EQ(t.flags, IC_TIME_SYNC);
	}
}

TEST(time_that_cannot_be_read_is_not_sent_and_tried_again)
{
	GUEST_OF_IC m = miniic_new();
	struct ic_timesync t;

	m->no_reference = true;
	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &TIME(m)->channel, 4, 0));
	ASSERT(!take_time(m, &t));
	m->no_reference = false;
	miniic_advance(m, TIMESYNC_SECONDS * NS_PER_SEC);
	ASSERT(take_time(m, &t));
	ASSERT_EQ(t.flags, IC_TIME_SYNC);
}

/* ---- shutdown ---- */

static u32 asked_flags(struct miniic *m, bool reboot, struct miniic_end *end)
{
	struct ic_shutdown s;
	struct ic_header h;
	u8 *body;

	shutdown_ask(SHUTDOWN(m), reboot, miniic_done, end);
	if (!miniic_take(m, &SHUTDOWN(m)->channel, &h, &body) ||
	    le16_get(h.size) != sizeof s)
		return UINT32_MAX;
	memcpy(&s, body, sizeof s);
	return le32_get(s.flags);
}

TEST(guest_is_asked_to_power_off_or_to_restart_and_may_refuse)
{
	GUEST_OF_IC m = miniic_new();
	struct miniic_end end = { 0 };

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &SHUTDOWN(m)->channel, 3, 2));
	ASSERT_EQ(asked_flags(m, false, &end), IC_SHUTDOWN_FORCE);
	ASSERT(miniic_answer(m, &SHUTDOWN(m)->channel, IC_OK));
	ASSERT_EQ(end.r, 0);
	ASSERT_EQ(asked_flags(m, true, &end), IC_SHUTDOWN_FORCE | IC_SHUTDOWN_REBOOT);
	ASSERT(miniic_answer(m, &SHUTDOWN(m)->channel, IC_FAILED));
	ASSERT_EQ(end.times, 2);
	ASSERT_EQ(end.r, -EPERM);
	ASSERT(strstr(end.err.text, "0x80004005") != NULL);
}

TEST(guest_without_the_driver_is_named_as_such)
{
	GUEST_OF_IC m = miniic_new();
	struct miniic_end end = { 0 };

	shutdown_ask(SHUTDOWN(m), false, miniic_done, &end);
	ASSERT_EQ(end.r, -ENOTCONN);
	ASSERT(strstr(end.err.fix, "hv_utils") != NULL);
}

TEST(second_request_is_refused_while_the_first_waits)
{
	GUEST_OF_IC m = miniic_new();
	struct miniic_end first = { 0 }, second = { 0 };

	ASSERT(miniic_start(m));
	shutdown_ask(SHUTDOWN(m), false, miniic_done, &first);
	shutdown_ask(SHUTDOWN(m), false, miniic_done, &second);
	ASSERT_EQ(first.times, 0);
	ASSERT_EQ(second.r, -EBUSY);
}

TEST(what_the_guest_is_asked_for_while_it_stands_is_refused)
{
	GUEST_OF_IC m = miniic_new();
	struct miniic_end end = { 0 };

	ASSERT(miniic_start(m));
	ASSERT(miniic_agree(m, &SHUTDOWN(m)->channel, 3, 2));
	components_pause(m->components);
	shutdown_ask(SHUTDOWN(m), false, miniic_done, &end);
	ASSERT_EQ(end.r, -EBUSY);
	ASSERT(strstr(end.err.text, "paused") != NULL);
}
