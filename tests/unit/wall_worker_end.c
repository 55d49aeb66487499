/* SPDX-License-Identifier: Apache-2.0 */
/* wall/worker_end.h against the hypervisor that executes nothing. */
#include <poll.h>
#include <pthread.h>

#include "base/ipc.h"
#include "harness.h"
#include "wall/fake_hv.h"
#include "wall/guest_memory.h"
#include "wall/worker_end.h"

/* The worker's loop in a thread, and a device that remembers what happened to it. */
struct fixture {
	struct fake_hv *hv;
	struct worker_end *end;
	int stop;
	bool serving;
	pthread_t thread;
	u64 latch;
	u64 log[4096];
	unsigned logged;
};

static void *serve(void *arg)
{
	struct fixture *f = arg;
	struct pollfd p[] = {
		{ .fd = f->hv->access_event, .events = POLLIN },
		{ .fd = f->stop, .events = POLLIN },
	};

	while (poll(p, 2, -1) > 0 && !p[1].revents)
		worker_serve(f->end);
	return NULL;
}

static void fixture_done(struct fixture *f)
{
	if (f->serving) {
		ipc_event_ring(f->stop);
		pthread_join(f->thread, NULL);
		close(f->stop);
	}
	worker_end_close(f->end);
	fake_hv_free(f->hv);
}
#define FIXTURE __attribute__((cleanup(fixture_done))) struct fixture

static bool fixture_init(struct fixture *f, u32 vp_count)
{
	CHECK_EQ(fake_hv_new(1 << 20, 65536, vp_count, &f->hv), 0);
	CHECK_EQ(fake_hv_start(f->hv), 0);
	CHECK_EQ(worker_end_open(
			 &(struct worker_end_config){
				 .control = f->hv->control,
				 .vp_count = vp_count,
				 .verbs = f->hv->verbs,
				 .access_event = f->hv->access_event,
				 .hv_event = f->hv->hv_event,
			 },
			 &f->end),
		 0);
	return true;
}

static u64 device_read(void *owner, u64 offset, unsigned size)
{
	struct fixture *f = owner;

	return f->latch + offset;
}

static void device_write(void *owner, u64 offset, unsigned size, u64 value)
{
	struct fixture *f = owner;

	f->latch = value;
	if (f->logged < ARRAY_COUNT(f->log))
		f->log[f->logged++] = offset << 32 | value;
	if (offset == 1)
		EXPECT_EQ(worker_set_line(f->end, 5, value), 0);
}

static const struct worker_range_ops device_ops = { .read = device_read,
						    .write = device_write };

static const struct worker_range device = { .base = 0x3100,
					    .size = 8,
					    .ops = &device_ops };

static bool fixture_serve(struct fixture *f)
{
	struct worker_range range = device;
	struct err err;

	range.owner = f;
	CHECK_EQ(worker_add_range(f->end, &range, &err), 0);
	f->stop = ipc_event_new();
	CHECK(f->stop >= 0);
	CHECK_EQ(pthread_create(&f->thread, NULL, serve, f), 0);
	f->serving = true;
	return true;
}

TEST(hello_finds_an_hv_of_another_machine)
{
	FIXTURE f = { 0 };
	struct err err = { 0 };

	ASSERT_OK(fixture_init(&f, 2));
	ASSERT_EQ(worker_hello(f.end, 1 << 20, &err), 0);
	ASSERT_ERR(worker_hello(f.end, 1 << 21, &err), EPROTO);
	ASSERT_STR(err.text, "hypervisor: it was started for another machine");
}

TEST(refusal_of_hv_becomes_a_sentence)
{
	FIXTURE f = { 0 };
	struct err err = { 0 };

	ASSERT_OK(fixture_init(&f, 1));
	f.hv->refuse_with = -EEXIST;
	f.hv->refuse_verb = WALL_VERB_MAP;
	ASSERT_ERR(worker_map(f.end,
			      &(struct worker_map){ .kind = WALL_MAP_RW, .size = 4096 },
			      &err),
		   EEXIST);
	ASSERT_STR(err.text, "hypervisor: map: file exists");
}

TEST(hv_that_has_gone_is_noticed)
{
	FIXTURE f = { 0 };
	struct err err = { 0 };

	ASSERT_OK(fixture_init(&f, 1));
	ipc_event_ring(f.hv->stop_event);
	pthread_join(f.hv->thread, NULL);
	f.hv->started = false;
	close(f.hv->hv_verbs);
	f.hv->hv_verbs = -1;
	ASSERT_ERR(worker_run(f.end, &err), EPIPE);
	ASSERT_STR(err.text, "hypervisor: run: it is gone");
}

TEST(processor_state_arrives_and_comes_back)
{
	FIXTURE f = { 0 };
	struct err err = { 0 };
	struct vp_state state = { .version = VP_STATE_VERSION, .size = sizeof state },
			back;

	ASSERT_OK(fixture_init(&f, 3));
	state.rip = 0x1000200;
	state.reserved[511] = 3;
	ASSERT_EQ(worker_set_vp(f.end, 2, &state, &err), 0);
	ASSERT_EQ(worker_get_vp(f.end, 2, &back, &err), 0);
	ASSERT_MEM(&back, &state, sizeof state);
	ASSERT_ERR(worker_set_vp(f.end, 3, &state, &err), EBADMSG);
}

TEST(overlapping_and_impossible_ranges_are_refused)
{
	FIXTURE f = { 0 };
	struct err err = { 0 };
	struct worker_range range = device;

	ASSERT_OK(fixture_init(&f, 1));
	ASSERT_EQ(worker_add_range(f.end, &range, &err), 0);
	ASSERT_EQ(fake_hv_request(f.hv, WALL_VERB_IO_RANGE, 0)->u.io_range.base, 0x3100);
	range.base += 7;
	ASSERT_ERR(worker_add_range(f.end, &range, &err), EEXIST);
	range.base = 0xfffc;
	ASSERT_ERR(worker_add_range(f.end, &range, &err), EINVAL);
	range.base = UINT64_MAX;
	range.mmio = true;
	ASSERT_ERR(worker_add_range(f.end, &range, &err), EINVAL);
	ASSERT_EQ(worker_remove_range(f.end, false, 0x3100, &err), 0);
	ASSERT_ERR(worker_remove_range(f.end, false, 0x3100, &err), ENOENT);
}

TEST(access_is_answered_in_place)
{
	FIXTURE f = { 0 };
	u32 value = 0x1234, back = 0;

	ASSERT_OK(fixture_init(&f, 2));
	ASSERT_OK(fixture_serve(&f));
	ASSERT_EQ(fake_hv_access(f.hv, 1, WALL_PIO_WRITE, 0x3100, 4, 1, &value), 0);
	ASSERT_EQ(fake_hv_access(f.hv, 0, WALL_PIO_READ, 0x3104, 4, 1, &back), 0);
	ASSERT_EQ(back, 0x1238);
	/* Nobody answers there: all ones. */
	ASSERT_EQ(fake_hv_access(f.hv, 0, WALL_PIO_READ, 0x3200, 4, 1, &back), 0);
	ASSERT_EQ(back, 0xffffffff);
	ASSERT_EQ(fake_hv_access(f.hv, 0, WALL_MMIO_READ, 0x3100, 4, 1, &back), 0);
	ASSERT_EQ(back, 0xffffffff);
}

TEST(string_io_is_one_crossing)
{
	FIXTURE f = { 0 };
	struct worker_end_counts counts;
	u16 data[2048], back[2048];

	ASSERT_OK(fixture_init(&f, 1));
	ASSERT_OK(fixture_serve(&f));
	for (unsigned i = 0; i < 2048; i++)
		data[i] = (u16)(i * 3);
	ASSERT_EQ(fake_hv_access(f.hv, 0, WALL_PIO_WRITE, 0x3100, 2, 2048, data), 0);
	ASSERT_EQ(f.logged, 2048);
	ASSERT_EQ(f.log[2047], 2047 * 3);
	ASSERT_EQ(fake_hv_access(f.hv, 0, WALL_PIO_READ, 0x3100, 2, 2048, back), 0);
	ASSERT_EQ(back[2047], 2047 * 3);
	worker_end_count(f.end, &counts);
	ASSERT_EQ(counts.accesses, 2);
	ASSERT_EQ(counts.strings, 2);
}

TEST(line_moved_by_an_access_is_there_when_the_access_is_done)
{
	FIXTURE f = { 0 };
	struct wall_line line;

	ASSERT_OK(fixture_init(&f, 1));
	ASSERT_OK(fixture_serve(&f));
	for (u8 i = 0; i < 100; i++) {
		u8 level = i & 1;

		ASSERT_EQ(fake_hv_access(f.hv, 0, WALL_PIO_WRITE, 0x3101, 1, 1, &level),
			  0);
		ASSERT(fake_hv_take_line(f.hv, &line));
		ASSERT_EQ(line.kind, WALL_LINE_LEVEL);
		ASSERT_EQ(line.a, 5);
		ASSERT_EQ(line.b, level);
		ASSERT(!fake_hv_take_line(f.hv, &line));
	}
}

TEST(posted_writes_are_seen_before_the_read_that_follows_them)
{
	FIXTURE f = { 0 };
	u32 back;

	ASSERT_OK(fixture_init(&f, 1));
	ASSERT_OK(fixture_serve(&f));
	for (u32 i = 0; i < 3000; i++) {
		ASSERT(fake_hv_post(f.hv, WALL_PIO_WRITE, 0x3102, 4, i));
		if (i % 3 != 0)
			continue;
		ASSERT_EQ(fake_hv_access(f.hv, 0, WALL_PIO_READ, 0x3100, 4, 1, &back), 0);
		ASSERT_EQ(back, i);
	}
}

TEST(full_lines_ring_waits_for_hv_and_keeps_the_order)
{
	FIXTURE f = { 0 };
	struct wall_line line;

	ASSERT_OK(fixture_init(&f, 1));
	for (unsigned i = 0; i < WALL_LINES; i++)
		ASSERT_EQ(worker_msi(f.end, 0xfee00000, i), 0);
	for (unsigned i = 0; i < WALL_LINES / 2; i++) {
		ASSERT(fake_hv_take_line(f.hv, &line));
		ASSERT_EQ(line.b, i);
	}
	ASSERT_EQ(worker_msi(f.end, 0xfee00000, WALL_LINES), 0);
	for (unsigned i = WALL_LINES / 2; i <= WALL_LINES; i++) {
		ASSERT(fake_hv_take_line(f.hv, &line));
		ASSERT_EQ(line.b, i);
	}
	/* hv takes nothing for five seconds: the caller is told. */
	for (unsigned i = 0; i < WALL_LINES; i++)
		ASSERT_EQ(worker_msi(f.end, 0xfee00000, i), 0);
	ASSERT_ERR(worker_msi(f.end, 0xfee00000, 0), EPIPE);
}

/* ---- synthetic interrupts ---- */

static u16 on_message(void *owner, u32 connection, u32 type, const void *payload,
		      u32 size)
{
	struct fixture *f = owner;

	f->log[0] = connection;
	f->log[1] = type;
	f->log[2] = size;
	memcpy(&f->log[3], payload, 8);
	return 0x13;
}

TEST(posted_message_arrives_whole_and_its_status_comes_back)
{
	FIXTURE f = { 0 };
	u8 payload[240];

	ASSERT_OK(fixture_init(&f, 2));
	ASSERT_OK(fixture_serve(&f));
	memset(payload, 0x5a, sizeof payload);
	ASSERT_EQ(fake_hv_post_message(f.hv, 1, 1, 1, payload, 240), 0x12);
	worker_on_message(f.end, on_message, &f);
	ASSERT_EQ(fake_hv_post_message(f.hv, 1, 4, 1, payload, 240), 0x13);
	ASSERT_EQ(f.log[0], 4);
	ASSERT_EQ(f.log[1], 1);
	ASSERT_EQ(f.log[2], 240);
	ASSERT_EQ(f.log[3], 0x5a5a5a5a5a5a5a5aull);
	/* Longer than a message can be: the handler never sees it. */
	ASSERT_EQ(fake_hv_post_message(f.hv, 1, 4, 1, payload, 241), 0x12);
}

TEST(event_flag_is_set_once_and_its_vp_is_named)
{
	FIXTURE f = { 0 };

	ASSERT_OK(fixture_init(&f, 2));
	worker_signal(f.end, 1, 2047);
	worker_signal(f.end, 1, 2047);
	ASSERT_EQ(atomic_load(&f.hv->control->signalled[0]), 2);
	ASSERT(fake_hv_take_flag(f.hv, 1, 2047));
	ASSERT(!fake_hv_take_flag(f.hv, 1, 2047));
	/* Neither a VP nor a flag that is none writes anywhere. */
	worker_signal(f.end, 2, 1);
	worker_signal(f.end, 1, 2048);
	ASSERT_EQ(atomic_load(&f.hv->control->signalled[0]), 2);
}

TEST(lent_flag_is_set_where_the_guest_has_it_and_rings_once)
{
	FIXTURE f = { 0 };
	struct guest_memory *gm;
	struct err err = { 0 };

	ASSERT_OK(fixture_init(&f, 2));
	ASSERT_EQ(gm_open(f.hv->ram_fd, f.hv->ram_size, f.hv->dirty_fd, f.hv->code_fd,
			  f.hv->control, f.hv->hv_event, &gm),
		  0);
	ASSERT_EQ(worker_make_vp_events(f.end), 0);
	ASSERT_EQ(worker_borrow_events(f.end, gm, &err), 0);
	f.hv->control->synic[1].lent = 0x4200;
	worker_signal(f.end, 1, 70);
	ASSERT_EQ(f.hv->ram[0x4208], 0x40);
	ASSERT_EQ(f.hv->dirty[4], 1);
	ASSERT(ipc_event_clear(f.hv->vp_event[1]));
	/* The guest has not looked yet: it needs no second interrupt. */
	worker_signal(f.end, 1, 70);
	worker_signal(f.end, 0, 70);
	ASSERT(!ipc_event_clear(f.hv->vp_event[1]));
	ASSERT_EQ(atomic_load(&f.hv->control->signalled[0]), 1);
	ASSERT(fake_hv_take_flag(f.hv, 0, 70));
	/* Where it was taken back, or is no memory, it goes by hv. */
	f.hv->control->synic[1].lent = WALL_NOT_LENT;
	worker_signal(f.end, 1, 71);
	f.hv->control->synic[1].lent = f.hv->ram_size - 8;
	worker_signal(f.end, 1, 72);
	ASSERT(fake_hv_take_flag(f.hv, 1, 71));
	ASSERT(fake_hv_take_flag(f.hv, 1, 72));
	ASSERT(!ipc_event_clear(f.hv->vp_event[1]));
	gm_close(gm);
}

TEST(flags_go_by_hv_where_its_engine_lends_none)
{
	FIXTURE f = { 0 };
	struct err err = { 0 };

	ASSERT_OK(fixture_init(&f, 2));
	ASSERT_EQ(worker_make_vp_events(f.end), 0);
	f.hv->refuse_verb = WALL_VERB_LEND_EVENTS;
	f.hv->refuse_with = -EOPNOTSUPP;
	ASSERT_EQ(worker_borrow_events(f.end, NULL, &err), 0);
	f.hv->control->synic[1].lent = 0x4200;
	worker_signal(f.end, 1, 70);
	ASSERT(fake_hv_take_flag(f.hv, 1, 70));
	ASSERT_EQ(f.hv->ram[0x4208], 0);
}

TEST(connection_rings_its_event_until_it_is_taken_away)
{
	FIXTURE f = { 0 };
	struct err err = { 0 };

	ASSERT_OK(fixture_init(&f, 1));
	AUTO_CLOSE int event = ipc_event_new();
	ASSERT_EQ(worker_connect(f.end, 0x10001, event, &err), 0);
	ASSERT_ERR(worker_connect(f.end, 0x10001, event, &err), EEXIST);
	ASSERT(fake_hv_signal_event(f.hv, 0x10001));
	ASSERT(ipc_event_clear(event));
	err = (struct err){ 0 };
	ASSERT_EQ(worker_disconnect(f.end, 0x10001, &err), 0);
	ASSERT(!fake_hv_signal_event(f.hv, 0x10001));
}

TEST(message_for_a_vp_travels_with_its_bytes_alone)
{
	FIXTURE f = { 0 };
	const struct wall_request *request;

	ASSERT_OK(fixture_init(&f, 2));
	ASSERT_EQ(worker_post(f.end, 1, 2, 1, "0123456789", 10), 0);
	request = fake_hv_request(f.hv, WALL_VERB_POST, 0);
	ASSERT(request);
	ASSERT_EQ(request->u.post.vp, 1);
	ASSERT_EQ(request->u.post.sint, 2);
	ASSERT_EQ(request->u.post.type, 1);
	ASSERT_EQ(request->u.post.size, 10);
	ASSERT_MEM(request->u.post.payload, "0123456789\0\0\0\0\0\0", 16);
	ASSERT_ERR(worker_post(f.end, 2, 2, 1, "", 0), EINVAL);
	ASSERT_ERR(worker_post(f.end, 1, 2, 1, "", 241), EINVAL);
	atomic_store(&f.hv->refuse_with, -EAGAIN);
	atomic_store(&f.hv->refuse_verb, WALL_VERB_POST);
	ASSERT_ERR(worker_post(f.end, 1, 2, 1, "", 0), EAGAIN);
}
