/* SPDX-License-Identifier: Apache-2.0 */
/* What a VP sees of the worker: accesses, posted writes, lines, doorbells, the end. */
#include "hv_fixture.h"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/ipc.h"

#define PORT 0x1230

/* ---- answers --------------------------------------------------------------------------------- */

static void answer_address(void *owner, struct fake_worker *w, vp_index_t vp,
			   struct wall_access *slot)
{
	u64 value = slot->address * 3 + slot->size;

	(void)owner;
	(void)w;
	(void)vp;
	for (u32 k = 0; k < slot->count; k++) {
		u64 element = value + k;
		memcpy(slot->data + k * slot->size, &element, slot->size);
	}
}

static enum script_result read_port_once(struct script_vp *vp)
{
	vp->result[3] = vp->state.gpr[R_BX];
	vp->result[0] = vp->bus->pio_read(vp->bus_vp, PORT, 4);
	vp->result[1] = vp->bus->mmio_read(vp->bus_vp, 0xe0000010, 8);
	vp->result[2] = 1;
	return SCRIPT_HALT;
}

TEST(vp_gets_what_the_worker_answers_at_a_port_and_an_address)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->on_access = answer_address;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, false, PORT, 4);
	machine_io_range(m, true, false, 0xe0000000, 0x1000);
	m->script[0] = read_port_once;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[2]);
	ASSERT_EQ(m->vp[0]->result[0], PORT * 3 + 4);
	ASSERT_EQ(m->vp[0]->result[1], 0xe0000010ull * 3 + 8);
	ASSERT_EQ(m->worker->accesses, 2);
}

static enum script_result read_nobody(struct script_vp *vp)
{
	vp->result[0] = vp->bus->pio_read(vp->bus_vp, 0x5678, 2);
	vp->result[1] = vp->bus->mmio_read(vp->bus_vp, 0xd0000000, 4);
	vp->bus->pio_write(vp->bus_vp, 0x5678, 4, 1);
	vp->bus->mmio_write(vp->bus_vp, 0xd0000000, 4, 1);
	vp->result[2] = 1;
	return SCRIPT_HALT;
}

TEST(what_nobody_answers_reads_as_all_ones)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, read_nobody);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[2]);
	ASSERT_EQ(m->vp[0]->result[0], 0xffff);
	ASSERT_EQ(m->vp[0]->result[1], 0xffffffff);
}

static enum script_result read_string(struct script_vp *vp)
{
	u16 data[5000] = { 0 };

	vp->bus->pio_read_string(vp->bus_vp, PORT, 2, data, ARRAY_COUNT(data));
	vp->result[0] = data[0];
	vp->result[1] = data[2047];
	vp->result[2] = data[2048];
	vp->result[3] = data[4999];
	vp->bus->pio_write_string(vp->bus_vp, PORT, 2, data, 100);
	vp->result[4] = 1;
	return SCRIPT_HALT;
}

TEST(string_io_crosses_the_wall_once_for_what_a_slot_holds)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->on_access = answer_address;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, false, PORT, 4);
	m->script[0] = read_string;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[4]);
	ASSERT_EQ(m->vp[0]->result[0], (u16)(PORT * 3 + 2));
	ASSERT_EQ(m->vp[0]->result[1], (u16)(PORT * 3 + 2 + 2047));
	ASSERT_EQ(m->vp[0]->result[2], (u16)(PORT * 3 + 2));
	ASSERT_EQ(m->vp[0]->result[3], (u16)(PORT * 3 + 2 + 4999 - 4096));
	ASSERT_EQ(m->worker->accesses, 4);
}

/* ---- posted writes --------------------------------------------------------------------------- */

static u64 posted_seen;
static u32 posted_sum;

static void on_posted(void *owner, const struct wall_posted_write *write)
{
	(void)owner;
	posted_sum = posted_sum * 31 + (u32)write->value + (u32)write->address;
}

static void note_posted(void *owner, struct fake_worker *w, vp_index_t vp,
			struct wall_access *slot)
{
	(void)owner;
	(void)vp;
	posted_seen = w->posted;
	memset(slot->data, 0, 8);
}

static enum script_result post_then_read(struct script_vp *vp)
{
	for (u32 k = 0; k < 3000; k++)
		vp->bus->pio_write(vp->bus_vp, PORT + 1, 1, (u8)k);
	vp->bus->pio_read(vp->bus_vp, PORT, 1);
	vp->result[0] = 1;
	return SCRIPT_HALT;
}

TEST(posted_writes_reach_the_worker_in_order_and_before_a_read)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	u32 sum = 0;

	ASSERT(m);
	m->worker->on_access = note_posted;
	m->worker->on_posted = on_posted;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, true, PORT, 4);
	m->script[0] = post_then_read;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[0]);
	/* A full ring turns a write into an access; all the others were posted. */
	ASSERT_EQ(m->worker->posted + m->worker->accesses, 3001);
	ASSERT_EQ(posted_seen, m->worker->posted);
	for (u32 k = 0; k < 3000 && m->worker->accesses == 1; k++)
		sum = sum * 31 + (u8)k + PORT + 1;
	if (m->worker->accesses == 1)
		ASSERT_EQ(posted_sum, sum);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void raise_and_answer(void *owner, struct fake_worker *w, vp_index_t vp,
			     struct wall_access *slot)
{
	(void)owner;
	(void)vp;
	/* No bell for the ring: the VP itself must look. */
	fake_worker_msi(w, LAPIC_GPA, 0x4000 | 0x61, false);
	memset(slot->data, 0, 8);
}

static enum script_result read_then_take(struct script_vp *vp)
{
	if (vp->step++ == 0)
		script_open_lapic(vp);
	vp->interrupts_on = false;
	vp->bus->pio_read(vp->bus_vp, PORT, 1);
	vp->result[vp->step] = (u64)vp->bus->interrupt_take(vp->bus_vp);
	vp->bus->mmio_write(vp->bus_vp, LAPIC_GPA + 0xb0, 4, 0);
	vp->result[0]++;
	return vp->step == 5 ? SCRIPT_HALT : SCRIPT_AGAIN;
}

TEST(lines_that_an_access_moved_are_applied_before_the_vp_goes_on)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->on_access = raise_and_answer;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, false, PORT, 4);
	m->script[0] = read_then_take;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[0] == 5);
	for (unsigned k = 1; k <= 5; k++)
		ASSERT_EQ(m->vp[0]->result[k], 0x61);
}

static enum script_result wait_for_interrupts(struct script_vp *vp)
{
	if (vp->step++ == 0)
		script_open_lapic(vp);
	else
		vp->bus->mmio_write(vp->bus_vp, LAPIC_GPA + 0xb0, 4, 0);
	vp->result[0]++;
	return SCRIPT_HALT;
}

TEST(halted_vp_wakes_for_an_msi_of_the_worker)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, wait_for_interrupts);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[0] == 1);
	for (u32 k = 1; k <= 100; k++) {
		fake_worker_msi(m->worker, LAPIC_GPA, 0x4000 | (0x30 + k), true);
		WAIT_FOR(m->vp[0]->taken_count == k);
		ASSERT_EQ(m->vp[0]->taken, 0x30 + k);
	}
}

/* ---- doorbells ------------------------------------------------------------------------------- */

static int set_doorbell(struct machine *m, u32 kind, u64 address, u32 size, u64 match,
			u32 remove, int event)
{
	struct wall_request request = { .verb = WALL_VERB_DOORBELL };

	request.u.doorbell.kind = kind;
	request.u.doorbell.size = size;
	request.u.doorbell.address = address;
	request.u.doorbell.match = match;
	request.u.doorbell.remove = remove;
	return fake_worker_verb(m->worker, &request, NULL, event, NULL, NULL);
}

static enum script_result ring_doorbells(struct script_vp *vp)
{
	vp->bus->pio_write(vp->bus_vp, PORT, 4, 7);
	vp->bus->pio_write(vp->bus_vp, PORT, 4, 8);
	vp->bus->mmio_write(vp->bus_vp, 0xe0000040, 4, 1);
	vp->bus->mmio_write(vp->bus_vp, 0xe0000044, 4, 1);
	vp->result[0]++;
	return SCRIPT_HALT;
}

TEST(doorbells_ring_for_their_value_and_nothing_else)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	AUTO_CLOSE int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);

	ASSERT(m);
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, false, PORT, 4);
	machine_io_range(m, true, false, 0xe0000000, 0x1000);
	ASSERT_EQ(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 4, 7, 0, a), 0);
	ASSERT_ERR(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 4, 7, 0, a), EEXIST);
	ASSERT_ERR(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 4, 9, 0, -1), EINVAL);
	ASSERT_ERR(set_doorbell(m, WALL_DOORBELL_PIO, 0x10000, 4, 7, 0, a), EINVAL);
	ASSERT_ERR(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 3, 7, 0, a), EINVAL);
	ASSERT_EQ(set_doorbell(m, WALL_DOORBELL_MMIO, 0xe0000040, 0, 1, 0, b), 0);
	m->script[0] = ring_doorbells;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[0]);
	ASSERT(ipc_event_clear(a));
	ASSERT(ipc_event_clear(b));
	/* The other port value and the other address went to the worker. */
	ASSERT_EQ(m->worker->accesses, 2);
	ASSERT_EQ(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 4, 7, 1, -1), 0);
	ASSERT_ERR(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 4, 7, 1, -1), ENOENT);
}

TEST(doorbell_that_blocks_its_writer_does_not_keep_the_vm_from_stopping)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	AUTO_CLOSE int full = eventfd(0, 0);
	u64 most = UINT64_MAX - 1, drained;

	ASSERT(m);
	ASSERT_EQ(write(full, &most, sizeof most), 8);
	ASSERT_EQ(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 0, 7, 0, full), 0);
	m->script[0] = ring_doorbells;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->partition->io.ringing == 1);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(set_doorbell(m, WALL_DOORBELL_PIO, PORT, 0, 7, 1, -1), 0);
	ASSERT_EQ(read(full, &drained, sizeof drained), 8);
}

/* ---- standing -------------------------------------------------------------------------------- */

static int stop(struct machine *m, u32 *ret_unfinished)
{
	struct wall_request request = { .verb = WALL_VERB_STOP };
	struct wall_reply reply = { 0 };
	int r = fake_worker_verb(m->worker, &request, NULL, -1, &reply, NULL);

	*ret_unfinished = reply.u.stop.unfinished;
	return r;
}

TEST(vp_in_an_access_counts_as_stopped_ends_its_instruction_and_no_other)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	struct wall_request request = { .verb = WALL_VERB_GET_VP };
	struct vp_state state;
	u32 unfinished;

	ASSERT(m);
	m->worker->on_access = answer_address;
	m->worker->hold = true;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, false, PORT, 4);
	m->script[0] = read_port_once;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->worker->control->access[0].state == WALL_ACCESS_ASKED);
	ASSERT_EQ(stop(m, &unfinished), 0);
	ASSERT_EQ(unfinished, 1);
	/* It cannot give its registers now; the map can change and answers come. */
	ASSERT_ERR(fake_worker_verb(m->worker, &request, NULL, -1, NULL, &state), EBUSY);
	machine_io_range(m, false, false, 0x1000, 4);
	fake_worker_release(m->worker);
	for (unfinished = 1; unfinished;)
		ASSERT_EQ(stop(m, &unfinished), 0);
	ASSERT_EQ(m->vp[0]->result[2], 1);
	ASSERT_EQ(m->vp[0]->result[0], PORT * 3 + 4);
	ASSERT_EQ(m->vp[0]->calls, 1);
	ASSERT_EQ(fake_worker_verb(m->worker, &request, NULL, -1, NULL, &state), 0);
	ASSERT_EQ(machine_run(m), 0);
}

static u64 read_one(void *owner, u64 offset, unsigned size)
{
	return 0x77;
}

/* Each processor is in an access that nobody serves but who stops them. */
TEST(worker_that_stops_the_vm_serves_who_waits_for_it)
{
	static const struct worker_range_ops ops = { .read = read_one };
	AUTO_MACHINE struct machine *m = machine_new(4);
	struct worker_end *end;
	struct err err = { 0 };
	struct vp_state state;

	ASSERT(m);
	end = machine_worker_end(m);
	ASSERT_EQ(worker_add_range(
			  end,
			  &(struct worker_range){ .base = PORT, .size = 4, .ops = &ops },
			  &err),
		  0);
	for (u32 k = 0; k < 4; k++) {
		ASSERT_OK(machine_start_vp(m, k));
		m->script[k] = read_port_once;
	}
	ASSERT_EQ(worker_run(end, &err), 0);
	for (u32 k = 0; k < 4; k++)
		WAIT_FOR(m->worker->control->access[k].state == WALL_ACCESS_ASKED);
	ASSERT_EQ(worker_stop(end, &err), 0);
	for (u32 k = 0; k < 4; k++) {
		ASSERT_EQ(worker_get_vp(end, k, &state, &err), 0);
		ASSERT_EQ(m->vp[k]->result[0], 0x77);
		ASSERT_EQ(m->vp[k]->result[2], 1);
	}
	worker_end_close(end);
}

TEST(state_that_is_set_during_an_access_holds_when_the_access_is_over)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct wall_request request = { .verb = WALL_VERB_SET_VP };
	struct vp_state state;

	ASSERT(m);
	m->worker->hold = true;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, false, PORT, 4);
	m->script[0] = read_port_once;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->worker->control->access[0].state == WALL_ACCESS_ASKED);
	vp_state_reset(&state, true);
	state.gpr[R_BX] = 0x1234;
	ASSERT_ERR(fake_worker_verb(m->worker, &request, &state, -1, NULL, NULL), EBUSY);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(fake_worker_verb(m->worker, &request, &state, -1, NULL, NULL), 0);
	ASSERT_EQ(machine_run(m), 0);
	fake_worker_release(m->worker);
	WAIT_FOR(m->vp[0]->result[3] == 0x1234);
}

TEST_TIMEOUT(worker_that_does_not_answer_for_5_seconds_makes_the_vm_critical_paused, 40)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->hold = true;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	machine_io_range(m, false, false, PORT, 4);
	m->script[0] = read_port_once;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->worker->control->access[0].state == WALL_ACCESS_ASKED);
	ASSERT_EQ(m->partition->slow_now, 0);
	WAIT_FOR(m->partition->slow_now == 1);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(machine_run(m), 0);
	fake_worker_release(m->worker);
	WAIT_FOR(m->partition->slow_now == 0);
}

/* ---- the end --------------------------------------------------------------------------------- */

TEST(vm_ends_when_the_worker_is_gone_even_from_an_access)
{
	AUTO_MACHINE struct machine *m = machine_new(2);

	ASSERT(m);
	machine_io_range(m, false, false, PORT, 4);
	m->script[0] = read_port_once;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->worker->control->access[0].state == WALL_ACCESS_ASKED);
	close(m->worker->worker_verbs);
	m->worker->worker_verbs = -1;
	WAIT_FOR(m->ends == 1);
	ASSERT_EQ(m->end, VM_END_WORKER_GONE);
	ASSERT_EQ(m->worker->control->access[0].state, WALL_ACCESS_IDLE);
}

static bool lied(struct machine *m, const char *how)
{
	for (int n = 0; n < 100000 && m->ends == 0; n++)
		usleep(100);
	CHECK_EQ(m->ends, 1);
	CHECK_EQ(m->end, VM_END_WORKER_LIED);
	if (!strstr(m->end_text, how))
		CHECK_STR(m->end_text, how);
	return true;
}

TEST(lines_ring_that_is_fuller_than_full_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->control->lines.head = WALL_LINES + 1;
	ipc_event_ring(m->worker->hv_event);
	ASSERT_OK(lied(m, "lines ring"));
}

TEST(line_that_does_not_exist_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	fake_worker_line(m->worker, 24, true, true);
	ASSERT_OK(lied(m, "line 24"));
}

TEST(flush_of_what_is_no_ram_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	fake_worker_flush(m->worker, (16 << 20) / 4096 - 1, 2);
	ASSERT_OK(lied(m, "flush"));
	ASSERT_EQ(m->drops, 0);
}

TEST(flush_ring_that_is_fuller_than_full_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->control->flushes.head = WALL_FLUSHES + 1;
	ipc_event_ring(m->worker->hv_event);
	ASSERT_OK(lied(m, "flush ring"));
}

static void answer_nonsense(void *owner, struct fake_worker *w, vp_index_t vp,
			    struct wall_access *slot)
{
	(void)owner;
	(void)w;
	(void)vp;
	atomic_store(&slot->state, 77);
	syscall(SYS_futex, &slot->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

TEST(slot_in_a_state_that_does_not_exist_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->on_access = answer_nonsense;
	machine_io_range(m, false, false, PORT, 4);
	m->script[0] = read_port_once;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	ASSERT_EQ(machine_run(m), 0);
	ASSERT_OK(lied(m, "state 77"));
	WAIT_FOR(m->partition->inside == 0);
}

TEST(request_of_the_wrong_size_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct wall_request request = { .verb = WALL_VERB_HELLO };

	ASSERT(m);
	ASSERT_EQ(ipc_send(m->worker->worker_verbs, &request, sizeof request - 1, NULL,
			   0),
		  0);
	ASSERT_OK(lied(m, "bytes"));
}

TEST(request_with_a_descriptor_that_it_should_not_bring_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct wall_request request = { .verb = WALL_VERB_HELLO };
	AUTO_CLOSE int fd = eventfd(0, 0);

	ASSERT(m);
	ASSERT_EQ(ipc_send(m->worker->worker_verbs, &request, sizeof request, &fd, 1), 0);
	ASSERT_OK(lied(m, "descriptor"));
}

TEST(request_that_does_not_exist_is_a_lie)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	ASSERT_ERR(fake_worker_ask(m->worker, WALL_VERB_COUNT), EBADMSG);
	ASSERT_OK(lied(m, "does not exist"));
}

/* ---- flushes --------------------------------------------------------------------------------- */

TEST(flush_tickets_are_done_in_order_and_neighbours_together)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct wall_flushes *ring;

	ASSERT(m);
	ring = &m->worker->control->flushes;
	ASSERT_EQ(fake_worker_flush(m->worker, 10, 5), 1);
	WAIT_FOR(ring->done == 1);
	ASSERT_EQ(m->drops, 1);
	ASSERT_EQ(m->dropped_first, 10);
	ASSERT_EQ(m->dropped_count, 5);
	/* Three at once, seen as one: the entries first, then head for all of them. */
	for (u64 k = 0; k < 3; k++)
		ring->entry[1 + k] =
			(struct wall_flush){ .first_page = 20 + k, .count = 1 };
	atomic_store(&ring->head, 4);
	ipc_event_ring(m->worker->hv_event);
	WAIT_FOR(ring->done == 4);
	ASSERT_EQ(m->drops, 2);
	ASSERT_EQ(m->dropped_first, 20);
	ASSERT_EQ(m->dropped_count, 3);
	ASSERT_EQ(ring->done_futex, 4);
}
