/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/mouse.h against the driver of a mini-guest. */
#include <errno.h>

#include "harness.h"
#include "miniguest/minidesk.h"

static void free_desk(struct minidesk **m)
{
	minidesk_free(*m);
}
#define GUEST_OF_DESK __attribute__((cleanup(free_desk))) struct minidesk *

static bool take_report(struct minidesk *m, struct mouse_report *ret_report)
{
	struct mouse_header h;

	if (!minidesk_take(m, DESK_MOUSE) ||
	    m->packet_size < sizeof h + sizeof *ret_report)
		return false;
	memcpy(&h, m->packet, sizeof h);
	memcpy(ret_report, m->packet + sizeof h, sizeof *ret_report);
	return le32_get(h.type) == MOUSE_REPORT && le32_get(h.size) == sizeof *ret_report;
}

TEST(device_says_what_it_is)
{
	const struct mouse_request request = { le32_of(MOUSE_VERSION) };
	GUEST_OF_DESK m = minidesk_new();
	struct mouse_device device;
	struct mouse_header h = { le32_of(1), le32_of(12), le32_of(MOUSE_REQUEST),
				  le32_of(4) };
	u8 words[20];

	memcpy(words, &h, sizeof h);
	memcpy(words + sizeof h, &request, sizeof request);
	ASSERT(minidesk_start(m));
	ASSERT(minidesk_say(m, DESK_MOUSE, words, sizeof words, true));
	ASSERT(minidesk_take(m, DESK_MOUSE));
	ASSERT_EQ(m->packet_type, VMBUS_PACKET_COMPLETION);
	ASSERT(minidesk_take(m, DESK_MOUSE));
	ASSERT(minidesk_take(m, DESK_MOUSE));
	memcpy(&h, m->packet, sizeof h);
	memcpy(&device, m->packet + sizeof h, sizeof device);
	ASSERT_EQ(le32_get(h.type), MOUSE_DEVICE);
	ASSERT_EQ(le16_get(device.vendor), 0x045e);
	ASSERT_EQ(device.hid.length, 9);
	ASSERT_EQ(le32_get(h.size), sizeof device + le16_get(device.hid.report_size));
	/* Linux changes a 0x25 there. */
	ASSERT(m->packet[sizeof h + sizeof device + 14] != 0x25);
}

TEST(place_buttons_and_wheel_arrive)
{
	const struct mouse_event event = { 100, MOUSE_MOST, 5, -3 };
	GUEST_OF_DESK m = minidesk_new();
	struct mouse_report r;
	struct err err = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT_ERR(mouse_move(&m->mouse, &event, &err), ENOTCONN);
	ASSERT(minidesk_start_mouse(m));
	ASSERT_EQ(mouse_move(&m->mouse, &event, &err), 0);
	ASSERT(take_report(m, &r));
	ASSERT_EQ(le16_get(r.x), 100);
	ASSERT_EQ(le16_get(r.y), MOUSE_MOST);
	ASSERT_EQ(r.buttons, 5);
	ASSERT_EQ((s16)le16_get(r.wheel), -3);
	ASSERT_ERR(mouse_move(&m->mouse, &(struct mouse_event){ .x = 0x8000 }, &err),
		   EINVAL);
	ASSERT_ERR(mouse_move(&m->mouse, &(struct mouse_event){ .buttons = 32 }, &err),
		   EINVAL);
}

TEST(guest_that_reads_late_gets_the_newest_place_and_all_of_the_wheel)
{
	GUEST_OF_DESK m = minidesk_new();
	struct mouse_report r, last = { 0 };
	struct err err = { 0 };
	s32 wheel = 0;

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_mouse(m));
	for (u16 x = 0; x < 2000; x++)
		ASSERT_EQ(mouse_move(&m->mouse,
				     &(struct mouse_event){ .x = x, .wheel = 1 }, &err),
			  0);
	ASSERT(m->mouse.counts.merged > 0);
	while (take_report(m, &r)) {
		wheel += (s16)le16_get(r.wheel);
		last = r;
		mini_signal(&m->channel[DESK_MOUSE]);
	}
	ASSERT_EQ(le16_get(last.x), 1999);
	ASSERT_EQ(wheel, 2000);
}

TEST(mouse_goes_on_elsewhere)
{
	const struct mouse_event event = { 7, 8, 1, 0 };
	GUEST_OF_DESK m = minidesk_new();
	struct mouse_report r;
	struct err err = { 0 };

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_mouse(m));
	ASSERT(minidesk_move(m));
	ASSERT_EQ(m->mouse.state, MOUSE_READY);
	ASSERT_EQ(mouse_move(&m->mouse, &event, &err), 0);
	ASSERT(take_report(m, &r));
	ASSERT_EQ(le16_get(r.y), 8);
	mouse_pause(&m->mouse);
	ASSERT_ERR(mouse_move(&m->mouse, &event, &err), EBUSY);
}
