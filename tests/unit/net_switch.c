/* SPDX-License-Identifier: Apache-2.0 */
/* The switch's logic, its clock given to it. */
#include "harness.h"
#include "net/switch.h"

static u64 sends(struct net_switch *sw, unsigned port, const char *source,
		 const char *target, u64 now)
{
	u8 frame[60] = { 0 };

	/* Addresses of one letter: 02:00:00:00:00:'a'. '*': everybody. */
	memset(frame, *target == '*' ? 0xff : 0, 6);
	memset(frame + 6, 0, 6);
	frame[6] = 2;
	frame[11] = (u8)*source;
	if (*target != '*') {
		frame[0] = 2;
		frame[5] = (u8)*target;
	}
	return net_switch_forward(sw, port, frame, sizeof frame, now);
}

static struct net_switch *lan(bool isolated, bool spoofing)
{
	static struct net_switch sw;

	net_switch_init(&sw, isolated, spoofing);
	for (int k = 0; k < 4; k++)
		EXPECT_EQ(net_switch_connect(&sw), k);
	return &sw;
}

TEST(switch_floods_until_it_has_learned_and_never_sends_back)
{
	struct net_switch *sw = lan(false, false);

	ASSERT_EQ(sends(sw, 0, "a", "b", 0), 0xe);
	ASSERT_EQ(sends(sw, 1, "b", "a", 0), 0x1);
	ASSERT_EQ(sends(sw, 0, "a", "b", 0), 0x2);
	ASSERT_EQ(sends(sw, 0, "a", "a", 0), 0);
	ASSERT_EQ(sends(sw, 1, "b", "*", 0), 0xd);
}

TEST(switch_forgets_with_the_port_and_with_time)
{
	struct net_switch *sw = lan(false, true);

	ASSERT_EQ(sends(sw, 0, "a", "*", 0), 0xe);
	ASSERT_EQ(sends(sw, 1, "b", "a", SWITCH_AGE_NS - 1), 0x1);
	ASSERT_EQ(sends(sw, 1, "b", "a", SWITCH_AGE_NS), 0xd);
	ASSERT_EQ(sends(sw, 0, "a", "*", SWITCH_AGE_NS), 0xe);
	net_switch_disconnect(sw, 0);
	ASSERT_EQ(sends(sw, 1, "b", "a", SWITCH_AGE_NS), 0xc);
	ASSERT_EQ(net_switch_connect(sw), 0);
}

TEST(switch_guards_addresses_unless_spoofing_is_allowed)
{
	struct net_switch *sw = lan(false, false);

	ASSERT_EQ(sends(sw, 0, "a", "*", 0), 0xe);
	ASSERT_EQ(sends(sw, 0, "c", "*", 0), 0);
	ASSERT_EQ(sends(sw, 1, "a", "*", 0), 0);
	ASSERT_EQ(sends(sw, 1, "b", "a", 0), 0x1);
	ASSERT_EQ(sw->spoofed, 2);
	sw = lan(false, true);
	ASSERT_EQ(sends(sw, 0, "a", "*", 0), 0xe);
	ASSERT_EQ(sends(sw, 0, "c", "*", 0), 0xe);
	ASSERT_EQ(sends(sw, 1, "b", "c", 0), 0x1);
	ASSERT_EQ(sends(sw, 1, "a", "*", 0), 0xd); /* it has moved */
	ASSERT_EQ(sends(sw, 0, "c", "a", 0), 0x2);
}

TEST(switch_isolates_ports_from_each_other)
{
	struct net_switch *sw = lan(true, false);

	ASSERT_EQ(sends(sw, 0, "a", "*", 0), 0xe);
	ASSERT_EQ(sends(sw, 1, "b", "*", 0), 0x1);
	ASSERT_EQ(sends(sw, 2, "c", "b", 0), 0);
	ASSERT_EQ(sends(sw, 2, "c", "a", 0), 0x1);
}

TEST(switch_ends_frames_of_bridges_and_those_that_are_none)
{
	struct net_switch *sw = lan(false, false);
	u8 frame[60] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 'a' };

	ASSERT_EQ(net_switch_forward(sw, 0, frame, sizeof frame, 0), 0);
	frame[5] = 0x10;
	ASSERT_EQ(net_switch_forward(sw, 0, frame, sizeof frame, 0), 0xe);
	ASSERT_EQ(net_switch_forward(sw, 0, frame, 13, 0), 0);
	frame[6] = 3; /* a group's address is no source */
	ASSERT_EQ(net_switch_forward(sw, 0, frame, sizeof frame, 0), 0);
	ASSERT_EQ(sw->malformed, 2);
}

TEST(switch_has_64_ports)
{
	static struct net_switch sw;

	net_switch_init(&sw, false, false);
	for (int k = 0; k < SWITCH_PORTS; k++)
		ASSERT_EQ(net_switch_connect(&sw), k);
	ASSERT_EQ(net_switch_connect(&sw), -1);
	net_switch_disconnect(&sw, 17);
	ASSERT_EQ(net_switch_connect(&sw), 17);
}
