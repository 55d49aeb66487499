/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/ic/channel.h against the driver of a mini-guest, by way of the shutdown component. */
#include "harness.h"
#include "miniguest/miniic.h"

static void free_ic(struct miniic **m)
{
	miniic_free(*m);
}
#define GUEST_OF_IC __attribute__((cleanup(free_ic))) struct miniic *
#define SHUTDOWN(m) (&(m)->components->shutdown.channel)

/* A guest whose channels are open; and one that speaks that version of the shutdown component. */
static struct miniic *started(void)
{
	struct miniic *m = miniic_new();

	if (!miniic_start(m))
		abort();
	return m;
}

static struct miniic *agreed(u16 major, u16 minor)
{
	struct miniic *m = started();

	if (!miniic_agree(m, SHUTDOWN(m), major, minor))
		abort();
	return m;
}

static void ask(struct miniic *m, struct miniic_end *end)
{
	shutdown_ask(&m->components->shutdown, false, miniic_done, end);
}

/* The host's next question of the shutdown component, its header: false, there is none. */
static bool take(struct miniic *m, struct ic_header *ret_header)
{
	u8 *body;

	return miniic_take(m, SHUTDOWN(m), ret_header, &body);
}

TEST(components_are_offered_as_pipes_of_messages_in_an_order_that_stays)
{
	static const struct guid classes[] = { IC_GUID_HEARTBEAT, IC_GUID_SHUTDOWN,
					       IC_GUID_TIMESYNC,  IC_GUID_KVP,
					       IC_GUID_VSS,	  IC_GUID_FCOPY };
	GUEST_OF_IC m = miniic_new();
	struct vmbus_offer_message offer;

	ASSERT(mini_connect(m->mini, VMBUS_5_3));
	for (unsigned k = 0; k < ARRAY_COUNT(classes); k++) {
		ASSERT(mini_take_offer(m->mini, &offer));
		ASSERT_MEM(&offer.interface, &classes[k], sizeof classes[k]);
		ASSERT_EQ(le32_get(offer.relid), k + 1);
		ASSERT_EQ(le16_get(offer.flags),
			  VMBUS_OFFER_PIPE | VMBUS_OFFER_ENUMERATE);
		ASSERT_EQ(offer.user[0], IC_PIPE_MESSAGES);
	}
}

TEST(host_lists_its_versions_newest_first_as_soon_as_the_channel_is_open)
{
	GUEST_OF_IC m = started();
	struct ic_wire_version v;
	struct ic_negotiate n;
	struct ic_header h;
	u8 *body;

	ASSERT(miniic_take(m, SHUTDOWN(m), &h, &body));
	ASSERT_EQ(le32_get(h.pipe), IC_PIPE_DATA);
	ASSERT_EQ(le32_get(h.pipe_size), 20 + 8 + 6 * 4);
	ASSERT_EQ(le16_get(h.message), IC_NEGOTIATE);
	ASSERT_EQ(le16_get(h.size), 8 + 6 * 4);
	ASSERT_EQ(h.flags, IC_TRANSACTION | IC_REQUEST);
	memcpy(&n, body, sizeof n);
	ASSERT_EQ(le16_get(n.fw_count), 2);
	ASSERT_EQ(le16_get(n.count), 4);
	memcpy(&v, body + 8, sizeof v);
	ASSERT_EQ(le16_get(v.major), 3);
	memcpy(&v, body + 16, sizeof v);
	ASSERT_EQ(le16_get(v.major), 3);
	ASSERT_EQ(le16_get(v.minor), 2);
	/* Nothing behind it: its driver reads one at an interrupt. */
	ASSERT(!miniic_take(m, SHUTDOWN(m), &h, &body));
}

TEST(version_that_was_chosen_stands_in_what_is_asked)
{
	GUEST_OF_IC m = agreed(3, 1);
	struct miniic_end end = { 0 };
	struct ic_header h;

	ask(m, &end);
	ASSERT(take(m, &h));
	ASSERT_EQ(le16_get(h.major), 3);
	ASSERT_EQ(le16_get(h.minor), 1);
}

TEST(guest_that_chooses_no_version_or_a_foreign_one_is_asked_nothing)
{
	static const struct ic_version foreign[] = { { 0, 0 }, { 9, 9 }, { 3, 3 } };

	for (unsigned k = 0; k < ARRAY_COUNT(foreign); k++) {
		GUEST_OF_IC m = miniic_new();
		struct miniic_end end = { 0 };
		struct ic_header h;

		ASSERT(miniic_start(m));
		ASSERT(miniic_agree(m, SHUTDOWN(m), foreign[k].major, foreign[k].minor));
		ASSERT_EQ(SHUTDOWN(m)->state, IC_REFUSED);
		ask(m, &end);
		ASSERT_EQ(end.times, 1);
		ASSERT_EQ(end.r, -ENOTCONN);
		ASSERT(!take(m, &h));
	}
}

TEST(question_waits_for_versions_and_then_goes_out)
{
	GUEST_OF_IC m = started();
	struct miniic_end end = { 0 };
	struct ic_header h;

	ask(m, &end);
	ASSERT_EQ(end.times, 0);
	ASSERT(miniic_agree(m, SHUTDOWN(m), 3, 2));
	ASSERT(take(m, &h));
	ASSERT_EQ(le16_get(h.message), IC_SHUTDOWN);
	ASSERT(miniic_answer(m, SHUTDOWN(m), IC_OK));
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, 0);
}

TEST(question_that_waits_is_given_up_in_its_time_or_when_versions_are_refused)
{
	GUEST_OF_IC m = started();
	struct miniic_end end = { 0 };
	struct ic_header h;

	ask(m, &end);
	miniic_advance(m, SHUTDOWN_ANSWER_SECONDS * NS_PER_SEC);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -ETIMEDOUT);
	ask(m, &end);
	ASSERT(miniic_agree(m, SHUTDOWN(m), 0, 0));
	ASSERT_EQ(end.times, 2);
	ASSERT_EQ(end.r, -ENOTCONN);
	ASSERT(!take(m, &h));
}

TEST(guest_that_owes_an_answer_is_asked_nothing_until_it_has_come_late)
{
	GUEST_OF_IC m = agreed(3, 2);
	struct miniic_end end = { 0 };
	struct ic_header h;

	ask(m, &end);
	ASSERT(take(m, &h));
	miniic_advance(m, SHUTDOWN_ANSWER_SECONDS * NS_PER_SEC - 1);
	ASSERT_EQ(end.times, 0);
	miniic_advance(m, 1);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -ETIMEDOUT);
	ask(m, &end);
	ASSERT_EQ(end.times, 2);
	ASSERT_EQ(end.r, -EBUSY);
	ASSERT(miniic_answer(m, SHUTDOWN(m), IC_OK));
	ASSERT_EQ(end.times, 2);
	ASSERT_EQ(SHUTDOWN(m)->counts.late, 1);
	ask(m, &end);
	ASSERT_EQ(end.times, 2);
	ASSERT(take(m, &h));
	ASSERT(miniic_answer(m, SHUTDOWN(m), IC_OK));
	ASSERT_EQ(end.times, 3);
	ASSERT_EQ(end.r, 0);
}

TEST(answers_to_nothing_are_counted_and_change_nothing)
{
	GUEST_OF_IC m = agreed(3, 2);
	struct miniic_end end = { 0 };
	struct ic_header h;

	/* Versions again, though they are agreed. */
	ASSERT(miniic_answer(m, SHUTDOWN(m), IC_OK));
	ask(m, &end);
	ASSERT(take(m, &h));
	ASSERT(miniic_answer_as(m, SHUTDOWN(m), IC_OK, IC_RESPONSE, h.transaction + 1));
	ASSERT(miniic_answer_as(m, SHUTDOWN(m), IC_OK, IC_REQUEST, h.transaction));
	ASSERT_EQ(end.times, 0);
	ASSERT_EQ(SHUTDOWN(m)->counts.unexpected, 3);
	/* Too short for a header, and none of our kind. */
	ASSERT(mini_send(&m->channel[1], VMBUS_PACKET_INBAND, 0, 1, m->packet, 24, 16));
	ASSERT(mini_send(&m->channel[1], VMBUS_PACKET_COMPLETION, 0, 1, m->packet, 64,
			 16));
	ASSERT_EQ(SHUTDOWN(m)->counts.malformed, 2);
	ASSERT(miniic_answer_as(m, SHUTDOWN(m), IC_OK, IC_RESPONSE, h.transaction));
	ASSERT_EQ(end.times, 1);
	/* And twice is once too often. */
	ASSERT(miniic_answer_as(m, SHUTDOWN(m), IC_OK, IC_RESPONSE, h.transaction));
	ASSERT_EQ(end.times, 1);
}

TEST(who_waits_hears_that_the_guest_has_closed)
{
	GUEST_OF_IC m = agreed(3, 2);
	struct miniic_end end = { 0 };

	ask(m, &end);
	ASSERT(mini_close_and_wait(&m->channel[1]));
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -ENOTCONN);
	ASSERT_EQ(SHUTDOWN(m)->state, IC_CLOSED);
	/* And anew. */
	ASSERT(mini_open(m->mini, 2, 4, 4, &m->channel[1]));
	ASSERT(miniic_agree(m, SHUTDOWN(m), 3, 0));
	ask(m, &end);
	ASSERT_EQ(end.times, 1);
}

TEST(guest_with_a_ring_that_is_too_small_is_said_to_be_so)
{
	GUEST_OF_IC m = agreed(3, 2);
	struct miniic_end end = { 0 };

	/* As if it had read nothing of a ring that is full. */
	mini_set_field(m->mini, &m->channel[1].in, VMBUS_RING_READ,
		       (mini_field(m->mini, &m->channel[1].in, VMBUS_RING_WRITE) + 64) %
			       m->channel[1].in.size);
	ask(m, &end);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -EIO);
}

TEST(state_goes_on_elsewhere_and_a_due_answer_comes_late)
{
	GUEST_OF_IC m = agreed(3, 1);
	struct miniic_end end = { 0 };
	struct ic_header h;

	ask(m, &end);
	ASSERT(take(m, &h));
	ASSERT(miniic_move(m));
	ASSERT_EQ(SHUTDOWN(m)->state, IC_SILENT);
	ASSERT_EQ(SHUTDOWN(m)->version.minor, 1);
	ASSERT(miniic_answer(m, SHUTDOWN(m), IC_OK));
	ASSERT_EQ(end.times, 0);
	ASSERT_EQ(SHUTDOWN(m)->state, IC_READY);
	shutdown_ask(&m->components->shutdown, true, miniic_done, &end);
	ASSERT(take(m, &h));
	ASSERT(miniic_answer(m, SHUTDOWN(m), IC_OK));
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, 0);
}

TEST(state_before_versions_are_agreed_goes_on_elsewhere)
{
	GUEST_OF_IC m = started();

	ASSERT(miniic_move(m));
	ASSERT_EQ(SHUTDOWN(m)->state, IC_AGREEING);
	ASSERT(miniic_agree(m, SHUTDOWN(m), 3, 2));
	ASSERT_EQ(SHUTDOWN(m)->state, IC_READY);
}

TEST(state_that_makes_no_sense_is_refused)
{
	static const struct guid instance = IC_INSTANCE_SHUTDOWN;
	/* state, version: of a closed channel, an unknown one, of versions that are not ours */
	static const u64 bad[][2] = { { IC_READY, 3 << 16 },
				      { IC_STATES, 0 },
				      { 1ull << 40, 0 } };

	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++) {
		GUEST_OF_IC m = miniic_new();
		struct state_writer w = { 0 };

		state_begin(&w, "ic", 1);
		state_bytes(&w, 1, &instance, sizeof instance);
		state_number(&w, 2, bad[k][0]);
		state_number(&w, 4, bad[k][1]);
		state_end(&w);
		ASSERT_EQ(ic_channel_restore(SHUTDOWN(m), w.bytes, w.used), -EPROTO);
		free(w.bytes);
	}
	GUEST_OF_IC m = miniic_new();
	ASSERT_EQ(ic_channel_restore(SHUTDOWN(m), NULL, 0), -EPROTO);
}
