/* SPDX-License-Identifier: Apache-2.0 */
/* base/loop.h: descriptors, alarms in order, removal inside a callback. */
#include "base/clock.h"
#include "base/ipc.h"
#include "base/loop.h"
#include "harness.h"

static struct loop *the_loop;
static struct loop_watch *watch_a, *watch_b;
static int event_a, event_b;
static unsigned calls;
static char order[8];
static char names[] = "abcd";

static void remove_both(void *owner, unsigned events)
{
	EXPECT_EQ(events, LOOP_READ);
	calls++;
	loop_watch_remove(watch_a);
	loop_watch_remove(watch_b);
	loop_stop(the_loop);
}

TEST(watch_removed_in_a_callback_is_not_called_any_more)
{
	ASSERT_EQ(loop_new(&the_loop), 0);
	event_a = ipc_event_new();
	event_b = ipc_event_new();
	ASSERT_EQ(loop_watch_add(the_loop, event_a, LOOP_READ, remove_both, NULL,
				 &watch_a),
		  0);
	ASSERT_EQ(loop_watch_add(the_loop, event_b, LOOP_READ, remove_both, NULL,
				 &watch_b),
		  0);
	ipc_event_ring(event_a);
	ipc_event_ring(event_b);
	ASSERT_EQ(loop_run(the_loop), 0);
	ASSERT_EQ(calls, 1);
	loop_free(the_loop);
}

static void note(void *owner)
{
	order[calls++] = *(const char *)owner;
	if (calls == 3)
		loop_stop(the_loop);
}

TEST(alarms_fire_in_the_order_of_their_times)
{
	struct loop_alarm a, b, c, d;
	u64 now = host_clock.monotonic_ns(&host_clock);

	ASSERT_EQ(loop_new(&the_loop), 0);
	loop_alarm_init(the_loop, &a, note, &names[0]);
	loop_alarm_init(the_loop, &b, note, &names[1]);
	loop_alarm_init(the_loop, &c, note, &names[2]);
	loop_alarm_init(the_loop, &d, note, &names[3]);
	loop_alarm_set(&c, now + 3000000);
	loop_alarm_set(&a, now + 9000000);
	loop_alarm_set(&d, now + 500000);
	loop_alarm_set(&b, now + 2000000);
	loop_alarm_set(&a, now + 1000000); /* moved to the front */
	loop_alarm_set(&d, UINT64_MAX);	   /* taken away */
	ASSERT_EQ(loop_run(the_loop), 0);
	ASSERT_STR(order, "abc");
	loop_free(the_loop);
}
