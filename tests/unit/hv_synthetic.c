/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's synthetic MSRs and hypercalls, and through them the worker: messages and events. */
#include "hv_guest.h"

#include <sched.h>
#include <sys/eventfd.h>

#include "base/ipc.h"
#include "hv/hypercall.h"

static enum script_result open_and_halt(struct script_vp *vp)
{
	if (vp->step++ == 0)
		guest_open(vp);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

/* ---- from the worker ----------------------------------------------------------------------------- */

static int post(struct machine *m, u32 vp, u32 sint, u32 type, u32 size)
{
	struct wall_request request = { .verb = WALL_VERB_POST };

	request.u.post.vp = vp;
	request.u.post.sint = sint;
	request.u.post.type = type;
	request.u.post.size = size;
	memset(request.u.post.payload, 0xab, sizeof request.u.post.payload);
	return fake_worker_verb(m->worker, &request, NULL, -1, NULL, NULL);
}

TEST(message_of_the_worker_wakes_the_guest_and_lies_in_its_slot)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct hv_message *slot;

	ASSERT(m);
	slot = (struct hv_message *)(m->worker->ram + GUEST_MESSAGES) + HV_SINT_VMBUS;
	m->script[0] = open_and_halt;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(post(m, 0, HV_SINT_VMBUS, 1, 40), 0);
	WAIT_FOR(m->vp[0]->taken_count > 0);
	ASSERT_EQ(m->vp[0]->taken, GUEST_VECTOR);
	ASSERT_EQ(le32_get(slot->type), 1);
	ASSERT_EQ(slot->payload_size, 40);
	ASSERT_EQ(slot->payload[39], 0xab);
}

TEST(message_to_nobody_is_refused)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	ASSERT_ERR(post(m, 1, 2, 1, 40), EINVAL);
	ASSERT_ERR(post(m, 0, 16, 1, 40), EINVAL);
	ASSERT_ERR(post(m, 0, 2, 0, 40), EINVAL);
	ASSERT_ERR(post(m, 0, 2, 0x80000010, 40), EINVAL);
	ASSERT_ERR(post(m, 0, 2, 1, 241), EINVAL);
}

TEST(message_posted_while_the_vm_stands_arrives_when_it_runs)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct hv_message *slot;

	ASSERT(m);
	slot = (struct hv_message *)(m->worker->ram + GUEST_MESSAGES) + HV_SINT_VMBUS;
	m->script[0] = open_and_halt;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(post(m, 0, HV_SINT_VMBUS, 1, 40), 0);
	ASSERT_EQ(le32_get(slot->type), 0);
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->taken_count > 0);
	ASSERT_EQ(le32_get(slot->type), 1);
}

TEST(event_of_the_worker_sets_its_flag_and_interrupts)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	struct worker_end *end;

	ASSERT(m);
	end = machine_worker_end(m);
	ASSERT(end);
	ASSERT_OK(machine_start_vp(m, 1));
	m->script[1] = open_and_halt;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[1]->result[7]);
	worker_signal(end, 1, 2047);
	WAIT_FOR(m->vp[1]->taken_count > 0);
	ASSERT_EQ(m->vp[1]->taken, GUEST_VECTOR);
	ASSERT_EQ(m->worker->ram[GUEST_EVENTS + HV_SINT_VMBUS * 256 + 255], 0x80);
	worker_end_close(end);
}

TEST(event_that_came_while_the_vm_stood_is_not_lost)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct worker_end *end;

	ASSERT(m);
	end = machine_worker_end(m);
	m->script[0] = open_and_halt;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	worker_signal(end, 0, 5);
	/* hv's loop has seen the bell once this was answered. */
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(m->worker->ram[GUEST_EVENTS + HV_SINT_VMBUS * 256], 0);
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->taken_count > 0);
	ASSERT_EQ(m->worker->ram[GUEST_EVENTS + HV_SINT_VMBUS * 256], 0x20);
	worker_end_close(end);
}

/* An interrupt handler that takes its flag, in a processor that sleeps between two of them. */
static enum script_result take_flags(struct script_vp *vp)
{
	_Atomic u8 *flags = (_Atomic u8 *)vp->machine->worker->ram + GUEST_EVENTS +
			    HV_SINT_VMBUS * 256;

	if (vp->step++ == 0)
		guest_open(vp);
	else
		vp->bus->mmio_write(vp->bus_vp, LAPIC_GPA + 0xb0, 4, 0); /* EOI */
	if (atomic_exchange(&flags[3], 0) & 0x80)
		atomic_fetch_add(&vp->result[0], 1);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

static bool ping(struct machine *m, struct worker_end *end, unsigned rounds)
{
	m->script[0] = take_flags;
	CHECK_EQ(machine_run(m), 0);
	for (int n = 0; n < 100000 && !m->vp[0]->result[7]; n++)
		usleep(100);
	for (unsigned k = 1; k <= rounds; k++) {
		worker_signal(end, 0, 31);
		for (unsigned n = 0; m->vp[0]->result[0] < k; n++) {
			CHECK(n < 10000000); /* lost */
			sched_yield();
		}
	}
	return true;
}

TEST(event_is_never_lost_on_a_processor_that_is_about_to_sleep)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct worker_end *end;

	ASSERT(m);
	end = machine_worker_end(m);
	ASSERT_OK(ping(m, end, UNDER_TSAN ? 2000 : 20000));
	worker_end_close(end);
}

TEST(event_is_never_lost_where_the_kernel_cannot_wait_for_two_words)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct worker_end *end;

	ASSERT(m);
	m->partition->park = false;
	end = machine_worker_end(m);
	ASSERT_OK(ping(m, end, 2000));
	worker_end_close(end);
}

/* ---- flags that are lent to the worker ------------------------------------------------------- */

#define OTHER_EVENTS 0x206000ull
#define LENT_AT (HV_SINT_VMBUS * 256)

/* A register a step, whenever the test says so. */
static enum script_result open_then_move(struct script_vp *vp)
{
	unsigned step = vp->step;

	if (step == 0)
		guest_open(vp);
	else if (step == 2)
		guest_wrmsr(vp, HV_MSR_SIEFP, OTHER_EVENTS | 1);
	else if (step == 4)
		guest_wrmsr(vp, HV_MSR_SINT0 + HV_SINT_VMBUS,
			    GUEST_VECTOR | HV_SINT_POLLING);
	else if (step == 6)
		guest_wrmsr(vp, HV_MSR_SINT0 + HV_SINT_VMBUS, GUEST_VECTOR + 1);
	vp->step += step % 2 == 0;
	return SCRIPT_AGAIN;
}

/* What the worker saw when it was asked to let the flags be. */
struct asked_back {
	_Atomic unsigned count;
	bool lent, moved;
};

static void on_asked_back(void *owner, struct fake_worker *worker, vp_index_t vp,
			  struct wall_access *slot)
{
	struct asked_back *seen = owner;

	if (slot->kind != WALL_EVENTS_BACK)
		return;
	seen->lent |= worker->control->synic[vp].lent != WALL_NOT_LENT;
	/* A page that is enabled begins as zeros. */
	seen->moved |= worker->ram[OTHER_EVENTS] == 0;
	seen->count++;
}

static int borrow(struct machine *m, u32 vp, int event)
{
	struct wall_request request = { .verb = WALL_VERB_LEND_EVENTS };

	request.u.vp.index = vp;
	return fake_worker_verb(m->worker, &request, NULL, event, NULL, NULL);
}

TEST(flags_are_lent_and_asked_back_before_the_guest_moves_them)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	AUTO_CLOSE int event = ipc_event_new();
	struct asked_back seen = { 0 };
	_Atomic u64 *lent;

	ASSERT(m);
	lent = &m->worker->control->synic[0].lent;
	m->worker->on_access = on_asked_back;
	m->worker->owner = &seen;
	m->worker->ram[OTHER_EVENTS] = 1;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	ASSERT_EQ(borrow(m, 0, event), 0);
	ASSERT_EQ(*lent, WALL_NOT_LENT);
	m->script[0] = open_then_move;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->step == 1);
	ASSERT_EQ(*lent, GUEST_EVENTS + LENT_AT);
	ASSERT(m->event_route[0].valid);
	ASSERT_EQ(m->event_route[0].data, GUEST_VECTOR);
	ASSERT_EQ(seen.count, 0);

	m->vp[0]->step = 2;
	WAIT_FOR(m->vp[0]->step == 3);
	ASSERT_EQ(seen.count, 1);
	ASSERT(!seen.lent);
	ASSERT(!seen.moved);
	ASSERT_EQ(*lent, OTHER_EVENTS + LENT_AT);
	/* One that does not interrupt is not lent. */
	m->vp[0]->step = 4;
	WAIT_FOR(m->vp[0]->step == 5);
	ASSERT_EQ(seen.count, 2);
	ASSERT_EQ(*lent, WALL_NOT_LENT);
	ASSERT(!m->event_route[0].valid);
	m->vp[0]->step = 6;
	WAIT_FOR(m->vp[0]->step == 7);
	ASSERT_EQ(seen.count, 2);
	ASSERT_EQ(*lent, OTHER_EVENTS + LENT_AT);
	ASSERT_EQ(m->event_route[0].data, GUEST_VECTOR + 1);
}

/* A guest that moves its flags again and again, and looks whether anything comes to the old place. */
static enum script_result move_and_look(struct script_vp *vp)
{
	static const gpa_t page[] = { GUEST_EVENTS, OTHER_EVENTS };
	unsigned round = vp->step++;
	_Atomic u64 *old = (_Atomic u64 *)(void *)(vp->machine->worker->ram +
						   page[round % 2] + LENT_AT);

	if (round == 0)
		guest_open(vp);
	for (unsigned k = 0; k < 1000 && !atomic_load(old); k++)
		sched_yield();
	vp->result[0] += atomic_load(old) != 0;
	guest_wrmsr(vp, HV_MSR_SIEFP, page[(round + 1) % 2] | 1);
	atomic_store(old, 0);
	for (unsigned k = 0; k < 5000; k++)
		vp->result[1] += atomic_load(old) != 0;
	vp->result[7] = round + 1;
	return SCRIPT_AGAIN;
}

/* As the worker's loop: a flag where they are lent, an answer, a flag. */
TEST(flag_never_comes_to_a_place_that_was_asked_back)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	AUTO_CLOSE int event = ipc_event_new();
	struct worker_end *end;
	_Atomic u64 *lent;

	ASSERT(m);
	lent = &m->worker->control->synic[0].lent;
	end = machine_worker_end(m);
	ASSERT_EQ(borrow(m, 0, event), 0);
	m->script[0] = move_and_look;
	ASSERT_EQ(machine_run(m), 0);
	while (m->vp[0]->result[7] < (UNDER_TSAN ? 500 : 5000)) {
		gpa_t at = atomic_load(lent);

		/* The other threads' turn, at the worst moment. */
		for (unsigned k = 0; k < 500; k++)
			__builtin_ia32_pause();
		sched_yield();
		if (at != WALL_NOT_LENT)
			atomic_fetch_or((_Atomic u64 *)(void *)(m->worker->ram + at), 2);
		worker_serve(end);
	}
	ASSERT(m->vp[0]->result[0] > 100);
	ASSERT_EQ(m->vp[0]->result[1], 0);
	worker_end_close(end);
}

/* The worker waits for the answer meanwhile: it cannot be asked anything. */
TEST(flags_are_not_lent_after_a_reset_and_nobody_is_asked)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	AUTO_CLOSE int event = ipc_event_new();
	_Atomic u64 *lent;

	ASSERT(m);
	lent = &m->worker->control->synic[0].lent;
	m->script[0] = open_then_move;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->step == 1);
	ASSERT_EQ(*lent, WALL_NOT_LENT);
	/* Late is good as well. */
	ASSERT_EQ(borrow(m, 0, event), 0);
	ASSERT_EQ(*lent, GUEST_EVENTS + LENT_AT);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_RESET), 0);
	ASSERT_EQ(*lent, WALL_NOT_LENT);
	ASSERT(!m->event_route[0].valid);
	/* And are again when the next guest has its own. */
	m->vp[0]->step = 0;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(*lent == GUEST_EVENTS + LENT_AT);
}

TEST(flags_of_nobody_are_not_lent)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	AUTO_CLOSE int event = ipc_event_new();

	ASSERT(m);
	ASSERT_ERR(borrow(m, 1, event), EINVAL);
	ASSERT_ERR(borrow(m, 0, -1), EINVAL);
	ASSERT_EQ(borrow(m, 0, event), 0);
	ASSERT_ERR(borrow(m, 0, event), EEXIST);
}

/* ---- to the worker -------------------------------------------------------------------------------- */

static enum script_result signal_connection(struct script_vp *vp)
{
	if (vp->step++ == 0) {
		guest_open(vp);
		vp->result[0] = guest_call(vp, HV_SIGNAL_EVENT | HV_CALL_FAST, 77, 0);
		vp->result[1] = guest_call(vp, HV_SIGNAL_EVENT | HV_CALL_FAST, 78, 0);
		vp->result[2] = guest_call(vp, HV_SIGNAL_EVENT | HV_CALL_FAST,
					   77 | 1ull << 32, 0);
		/* The same by the hypercall page's port. */
		vp->call.gpr[R_9] = 99;
		vp->bus->pio_write(vp->bus_vp, HYPERCALL_PORT_SIGNAL, 4, 77);
		vp->result[3] = vp->call.gpr[R_9];
		vp->bus->pio_write(vp->bus_vp, HYPERCALL_PORT_SIGNAL, 4, 78);
		vp->result[4] = vp->call.gpr[R_9];
		vp->result[7] = 1;
	}
	return SCRIPT_HALT;
}

TEST(signal_event_rings_the_descriptor_of_its_connection)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct worker_end *end;
	struct err err = { 0 };
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	u64 count = 0;

	ASSERT(m);
	end = machine_worker_end(m);
	ASSERT_EQ(worker_connect(end, 77, event, &err), 0);
	ASSERT_ERR(worker_connect(end, 77, event, &err), EEXIST);
	m->script[0] = signal_connection;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(m->vp[0]->result[0], HV_SUCCESS);
	ASSERT_EQ(m->vp[0]->result[1], HV_INVALID_CONNECTION);
	ASSERT_EQ(m->vp[0]->result[2], HV_INVALID_PARAMETER);
	ASSERT_EQ(m->vp[0]->result[3], HV_SUCCESS);
	ASSERT_EQ(m->vp[0]->result[4], HV_INVALID_CONNECTION);
	ASSERT_EQ(read(event, &count, 8), 8);
	ASSERT_EQ(count, 2);
	ASSERT_EQ(worker_disconnect(end, 77, &err), 0);
	worker_end_close(end);
	close(event);
}

static void take_message(void *owner, struct fake_worker *w, vp_index_t vp,
			 struct wall_access *slot)
{
	struct wall_message m;

	memcpy(&m, slot->data, sizeof m);
	w->accesses += slot->kind == WALL_POST_MESSAGE && m.connection == 4 &&
		       m.type == 1 && m.size == 240 && m.payload[239] == 0x5a;
	m.status = HV_NO_BUFFERS;
	memcpy(slot->data, &m, sizeof m);
}

static enum script_result post_to_worker(struct script_vp *vp)
{
	struct hv_post_message m = { .connection = le32_of(4),
				     .type = le32_of(1),
				     .size = le32_of(240) };
	u8 *ram = vp->machine->worker->ram;

	if (vp->step++ > 0)
		return SCRIPT_HALT;
	guest_open(vp);
	memset(m.payload, 0x5a, sizeof m.payload);
	memcpy(ram + GUEST_INPUT, &m, sizeof m);
	vp->result[0] = guest_call(vp, HV_POST_MESSAGE, GUEST_INPUT, 0);
	m.size = le32_of(241);
	memcpy(ram + GUEST_INPUT, &m, sizeof m);
	vp->result[1] = guest_call(vp, HV_POST_MESSAGE, GUEST_INPUT, 0);
	vp->result[2] = guest_call(vp, HV_POST_MESSAGE, GUEST_INPUT + 4, 0);
	vp->result[3] = guest_call(vp, HV_POST_MESSAGE, GUEST_INPUT + 0xf08, 0);
	vp->result[4] = guest_call(vp, HV_POST_MESSAGE | HV_CALL_FAST, GUEST_INPUT, 0);
	vp->result[5] = guest_call(vp, HV_POST_MESSAGE, 0xfee00000, 0);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(post_message_is_answered_by_the_worker_and_badly_made_ones_are_not_sent)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	m->worker->on_access = take_message;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	m->script[0] = post_to_worker;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(m->vp[0]->result[0], HV_NO_BUFFERS);
	ASSERT_EQ(m->vp[0]->result[1], HV_INVALID_PARAMETER);
	ASSERT_EQ(m->vp[0]->result[2], HV_INVALID_ALIGNMENT);
	ASSERT_EQ(m->vp[0]->result[3], HV_INVALID_PARAMETER);
	ASSERT_EQ(m->vp[0]->result[4], HV_INVALID_INPUT);
	ASSERT_EQ(m->vp[0]->result[5], HV_INVALID_PARAMETER);
	ASSERT_EQ(m->worker->accesses, 2); /* it came, and was as it should be */
}

/* ---- other calls ------------------------------------------------------------------------------------ */

static enum script_result make_calls(struct script_vp *vp)
{
	u8 *ram = vp->machine->worker->ram;
	struct hv_send_ipi ipi = { .vector = le32_of(0x61), .processors = le64_of(3) };
	struct hv_flush flush = { .processors = le64_of(5) };
	le64 list[2] = { le64_of(0x7000), le64_of(0x9001) };

	if (vp->step++ > 0)
		return SCRIPT_HALT;
	EXPECT(!vp->bus->hypercall(vp->bus_vp)); /* no page yet: #UD */
	guest_open(vp);
	vp->result[0] = guest_call(vp, 0x4242, 0, 0);
	vp->result[1] = guest_call(vp, HV_SEND_IPI | HV_CALL_FAST | BIT64(27), 0x61, 2);
	vp->result[2] = guest_call(vp, HV_SEND_IPI | HV_CALL_FAST, 15, 2);
	memcpy(ram + GUEST_INPUT, &ipi, sizeof ipi);
	vp->result[3] = guest_call(vp, HV_SEND_IPI, GUEST_INPUT, 0);
	memcpy(ram + GUEST_INPUT, &flush, sizeof flush);
	memcpy(ram + GUEST_INPUT + sizeof flush, list, sizeof list);
	vp->result[4] = guest_call(vp, HV_FLUSH_LIST | 2ull << HV_CALL_REPS_SHIFT,
				   GUEST_INPUT, 0);
	vp->result[5] = guest_call(vp, HV_FLUSH_LIST, GUEST_INPUT, 0);
	vp->call.privileged = false;
	EXPECT(!vp->bus->hypercall(vp->bus_vp));
	vp->call.privileged = true;
	vp->call.wide = false;
	vp->call.gpr[R_DX] = 0;
	vp->call.gpr[R_AX] = 0x4242;
	EXPECT(vp->bus->hypercall(vp->bus_vp));
	vp->result[6] = vp->call.gpr[R_DX] << 32 | vp->call.gpr[R_AX];
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(calls_are_checked_and_reach_other_processors)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(3, make_calls);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(m->vp[0]->result[0], HV_INVALID_CODE);
	ASSERT_EQ(m->vp[0]->result[1], HV_INVALID_INPUT);
	ASSERT_EQ(m->vp[0]->result[2], HV_INVALID_PARAMETER);
	ASSERT_EQ(m->vp[0]->result[3], HV_SUCCESS);
	WAIT_FOR(m->vp[0]->taken_count > 0);
	ASSERT_EQ(m->vp[0]->taken, 0x61);
	ASSERT_EQ(m->vp[0]->result[4], 2ull << HV_CALL_REPS_SHIFT);
	ASSERT_EQ(m->flushes, 1);
	ASSERT_EQ(m->flush_vps, 5);
	ASSERT_EQ(m->flush.count, 3);
	ASSERT_EQ(m->flush.page[0], 0x7000);
	ASSERT_EQ(m->flush.page[2], 0xa000);
	ASSERT_EQ(m->vp[0]->result[5], HV_INVALID_INPUT);
	ASSERT_EQ(m->vp[0]->result[6], HV_INVALID_CODE);
}

/* ---- more than two registers ------------------------------------------------------------------- */

static enum script_result call_by_xmm(struct script_vp *vp)
{
	/* What follows address space and flags: processors, then two pages. */
	const le64 list[3] = { le64_of(6), le64_of(0x7000), le64_of(0x9001) };
	const u64 fast = HV_CALL_FAST | 2ull << HV_CALL_REPS_SHIFT;

	if (vp->step++ > 0)
		return SCRIPT_HALT;
	guest_open(vp);
	memcpy(vp->xmm, list, sizeof list);
	vp->result[0] = guest_call(vp, HV_FLUSH_LIST | fast, 0, 0);
	/* 24 bytes and eleven elements are 112; twelve are not. */
	vp->result[1] = guest_call(
		vp, HV_FLUSH_LIST | HV_CALL_FAST | 11ull << HV_CALL_REPS_SHIFT, 0, 0);
	vp->result[2] = guest_call(
		vp, HV_FLUSH_LIST | HV_CALL_FAST | 12ull << HV_CALL_REPS_SHIFT, 0, 0);
	/* Results have no registers to come back in. */
	vp->result[3] = guest_call(
		vp, HV_GET_VP_REGISTERS | HV_CALL_FAST | 1ull << HV_CALL_REPS_SHIFT, 0,
		0);
	vp->result[4] = guest_call(vp, HV_QUERY_EXTENDED | HV_CALL_FAST, 0, 0);
	vp->result[5] = guest_call(vp, HV_POST_MESSAGE | HV_CALL_FAST, 0, 0);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(fast_calls_have_up_to_112_bytes_in_registers)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(3, call_by_xmm);
	u32 regs[4];

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	m->vp[0]->bus->cpuid(m->vp[0]->bus_vp, HV_CPUID_FEATURES, 0, regs);
	ASSERT(regs[3] & HV_XMM_INPUT_AVAILABLE);
	ASSERT_EQ(m->vp[0]->result[0], 2ull << HV_CALL_REPS_SHIFT);
	ASSERT_EQ(m->vp[0]->result[1], 11ull << HV_CALL_REPS_SHIFT);
	ASSERT_EQ(m->flushes, 2);
	ASSERT_EQ(m->flush_vps, 6);
	ASSERT_EQ(m->flush.page[0], 0x7000);
	ASSERT_EQ(m->flush.page[1], 0x9000);
	ASSERT_EQ(m->flush.page[2], 0xa000);
	ASSERT_EQ(m->vp[0]->result[2] & 0xffff, HV_INVALID_INPUT);
	ASSERT_EQ(m->vp[0]->result[3] & 0xffff, HV_INVALID_INPUT);
	ASSERT_EQ(m->vp[0]->result[4], HV_INVALID_INPUT);
	ASSERT_EQ(m->vp[0]->result[5], HV_INVALID_INPUT);
}

/* ---- registers by name -------------------------------------------------------------------------- */

static u64 call_registers(struct script_vp *vp, u16 code, u32 who, const void *elements,
			  unsigned count, size_t size)
{
	const struct hv_vp_registers in = { .partition = le64_of(HV_PARTITION_SELF),
					    .vp = le32_of(who) };
	u8 *ram = vp->machine->worker->ram;

	memcpy(ram + GUEST_INPUT, &in, sizeof in);
	memcpy(ram + GUEST_INPUT + sizeof in, elements, count * size);
	return guest_call(vp, code | (u64)count << HV_CALL_REPS_SHIFT, GUEST_INPUT,
			  GUEST_OUTPUT);
}

static enum script_result name_registers(struct script_vp *vp)
{
	static const le32 names[] = { { HV_REGISTER_GUEST_OS_ID },
				      { HV_REGISTER_VP_INDEX },
				      { HV_REGISTER_SINT0 + 2 },
				      { HV_REGISTER_FEATURES },
				      { HV_REGISTER_SCONTROL + 3 } };
	static const le32 unknown[] = { { HV_REGISTER_VP_INDEX }, { 0x00020000 } };
	static const struct hv_register_setting settings[] = {
		{ .name = { HV_REGISTER_SINT0 + 5 }, .value = { { { 0x77 } } } },
		{ .name = { HV_REGISTER_VP_INDEX }, .value = { { { 1 } } } },
	};

	if (vp->step++ > 0)
		return SCRIPT_HALT;
	guest_open(vp);
	vp->result[0] = call_registers(vp, HV_GET_VP_REGISTERS, HV_VP_SELF, names,
				       ARRAY_COUNT(names), sizeof names[0]);
	/* The first of two is served, and the answer says so. */
	vp->result[1] =
		call_registers(vp, HV_GET_VP_REGISTERS, 1, unknown, 2, sizeof unknown[0]);
	vp->result[2] = call_registers(vp, HV_SET_VP_REGISTERS, HV_VP_SELF, settings, 2,
				       sizeof settings[0]);
	vp->result[3] = guest_rdmsr(vp, HV_MSR_SINT0 + 5);
	vp->result[4] =
		call_registers(vp, HV_GET_VP_REGISTERS, 0, names, 1, sizeof names[0]);
	vp->result[5] =
		call_registers(vp, HV_GET_VP_REGISTERS, 2, names, 1, sizeof names[0]);
	/* Results that would lie in two pages. */
	vp->result[6] = guest_call(vp, HV_GET_VP_REGISTERS | 2ull << HV_CALL_REPS_SHIFT,
				   GUEST_INPUT, GUEST_OUTPUT + 4096 - 16);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(registers_are_read_and_written_by_their_names)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	struct hv_register_value got[5];
	u32 regs[4];

	ASSERT(m);
	ASSERT_OK(machine_start_vp(m, 1));
	m->script[1] = name_registers;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[1]->result[7]);
	memcpy(got, m->worker->ram + GUEST_OUTPUT, sizeof got);
	ASSERT_EQ(m->vp[1]->result[0], 5ull << HV_CALL_REPS_SHIFT);
	ASSERT_EQ(m->vp[1]->result[1], 1ull << HV_CALL_REPS_SHIFT | HV_INVALID_PARAMETER);
	ASSERT_EQ(m->vp[1]->result[2], 1ull << HV_CALL_REPS_SHIFT | HV_INVALID_PARAMETER);
	ASSERT_EQ(m->vp[1]->result[3], 0x77);
	ASSERT_EQ(m->vp[1]->result[4], HV_ACCESS_DENIED);
	ASSERT_EQ(m->vp[1]->result[5], HV_INVALID_VP);
	ASSERT_EQ(m->vp[1]->result[6], HV_INVALID_PARAMETER);
	ASSERT_EQ(le64_get(got[1].word[0]), 1);
	ASSERT_EQ(le64_get(got[2].word[0]), GUEST_VECTOR);
	m->vp[1]->bus->cpuid(m->vp[1]->bus_vp, HV_CPUID_FEATURES, 0, regs);
	ASSERT_EQ(le64_get(got[3].word[0]), (u64)regs[1] << 32 | regs[0]);
	ASSERT_EQ(le64_get(got[3].word[1]), (u64)regs[3] << 32 | regs[2]);
	ASSERT_EQ(le64_get(got[4].word[0]), GUEST_MESSAGES | 1);
}

/* ---- registers ------------------------------------------------------------------------------------- */

static enum script_result read_registers(struct script_vp *vp)
{
	if (vp->step++ > 0)
		return SCRIPT_HALT;
	/* Linux makes the page of the time before it says who it is. */
	EXPECT(guest_wrmsr(vp, HV_MSR_REFERENCE_TSC, GUEST_TIME | 1));
	EXPECT(guest_wrmsr(vp, HV_MSR_HYPERCALL, GUEST_CALLS | 1));
	vp->result[0] = guest_rdmsr(vp, HV_MSR_HYPERCALL);
	EXPECT(guest_wrmsr(vp, HV_MSR_GUEST_OS_ID, 1));
	EXPECT(guest_wrmsr(vp, HV_MSR_HYPERCALL, GUEST_CALLS | 1));
	vp->result[1] = guest_rdmsr(vp, HV_MSR_HYPERCALL);
	EXPECT(guest_wrmsr(vp, HV_MSR_GUEST_OS_ID, 0));
	vp->result[2] = guest_rdmsr(vp, HV_MSR_HYPERCALL);
	vp->result[3] = guest_rdmsr(vp, HV_MSR_VP_INDEX);
	vp->result[4] = guest_rdmsr(vp, HV_MSR_TIME_REF_COUNT);
	vp->result[5] = guest_rdmsr(vp, HV_MSR_TSC_FREQUENCY);
	vp->result[6] = vp->bus->msr_write(vp->bus_vp, HV_MSR_VP_INDEX, 0) ||
			vp->bus->msr_write(vp->bus_vp, HV_MSR_TIME_REF_COUNT, 0) ||
			vp->bus->msr_write(vp->bus_vp, 0x400001ff, 0);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(registers_of_the_partition_are_as_the_guest_wrote_them)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, read_registers);
	struct hv_reference_tsc_page page;

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(m->vp[0]->result[0], GUEST_CALLS);
	ASSERT_EQ(m->vp[0]->result[1], GUEST_CALLS | 1);
	ASSERT_EQ(m->vp[0]->result[2], GUEST_CALLS);
	ASSERT_EQ(m->vp[0]->result[3], 0);
	ASSERT(m->vp[0]->result[4] > 0);
	ASSERT(m->vp[0]->result[4] < 20 * 10000000);
	ASSERT_EQ(m->vp[0]->result[5], NS_PER_SEC);
	ASSERT_EQ(m->vp[0]->result[6], 0);
	memcpy(&page, m->worker->ram + GUEST_TIME, sizeof page);
	ASSERT(le32_get(page.sequence) != 0);
	ASSERT(le64_get(page.scale) != 0);
}

static enum script_result move_pages(struct script_vp *vp)
{
	u8 *ram = vp->machine->worker->ram;

	if (vp->step++ > 0)
		return SCRIPT_HALT;
	memset(ram + GUEST_MESSAGES, 0xee, 0x6000);
	guest_open(vp);
	vp->result[0] = ram[GUEST_MESSAGES] | ram[GUEST_MESSAGES + 0xfff] |
			ram[GUEST_EVENTS] | ram[GUEST_EVENTS + 0xfff];
	/* Off and on again: what was in it is in it. Elsewhere: zeros, and the old page stays. */
	ram[GUEST_EVENTS + 77] = 0x31;
	EXPECT(guest_wrmsr(vp, HV_MSR_SIEFP, 0));
	EXPECT(guest_wrmsr(vp, HV_MSR_SIEFP, GUEST_EVENTS | 1));
	vp->result[1] = ram[GUEST_EVENTS + 77];
	EXPECT(guest_wrmsr(vp, HV_MSR_SIEFP, GUEST_OUTPUT | 1));
	vp->result[2] = (u64)ram[GUEST_EVENTS + 77] << 8 | ram[GUEST_OUTPUT + 77];
	/* No page at all is nobody's memory. */
	EXPECT(guest_wrmsr(vp, HV_MSR_SIMP, 0xfee00001));
	/* The hypercall page is code, and stays when it is switched off: calls are refused. */
	vp->result[3] = ram[GUEST_CALLS + 0xfff];
	EXPECT(guest_wrmsr(vp, HV_MSR_HYPERCALL, 0));
	vp->result[4] = ram[GUEST_CALLS + 0xfff];
	vp->result[5] = vp->bus->hypercall(vp->bus_vp);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(pages_of_the_guest_are_its_memory_and_those_of_the_synic_begin_as_zeros)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, move_pages);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(m->vp[0]->result[0], 0);
	ASSERT_EQ(m->vp[0]->result[1], 0x31);
	ASSERT_EQ(m->vp[0]->result[2], 0x3100);
	ASSERT_EQ(m->vp[0]->result[3], 0xcc);
	ASSERT_EQ(m->vp[0]->result[4], 0xcc);
	ASSERT_EQ(m->vp[0]->result[5], 0);
	/* What lay beside its pages is as it was. */
	ASSERT_EQ(m->worker->ram[GUEST_INPUT], 0xee);
}

static void get_time(struct machine *m, u64 *ret_ns)
{
	struct wall_request request = { .verb = WALL_VERB_GET_CLOCK };
	struct wall_reply reply = { 0 };

	EXPECT_EQ(fake_worker_verb(m->worker, &request, NULL, -1, &reply, NULL), 0);
	*ret_ns = reply.u.clock.reference_ns;
}

TEST(reference_time_goes_on_from_where_it_was_stopped_or_set)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, read_registers);
	struct wall_request set = { .verb = WALL_VERB_SET_CLOCK };
	struct hv_reference_tsc_page before, after;
	u64 stood, later;

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	memcpy(&before, m->worker->ram + GUEST_TIME, sizeof before);
	get_time(m, &stood);
	usleep(2000);
	get_time(m, &later);
	ASSERT_EQ(later, stood);
	set.u.clock.reference_ns = 3600 * NS_PER_SEC;
	ASSERT_EQ(fake_worker_verb(m->worker, &set, NULL, -1, NULL, NULL), 0);
	ASSERT_EQ(machine_run(m), 0);
	get_time(m, &later);
	ASSERT(later >= 3600 * NS_PER_SEC && later < 3620 * NS_PER_SEC);
	memcpy(&after, m->worker->ram + GUEST_TIME, sizeof after);
	ASSERT(le32_get(after.sequence) != le32_get(before.sequence));
	ASSERT(le64_get(after.offset) != le64_get(before.offset));
}

TEST(frequency_of_the_counter_is_what_the_guest_was_told_where_it_began)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct worker_clock clock;
	struct worker_end *end;
	struct err err = { 0 };
	u32 regs[4];

	ASSERT(m);
	end = machine_worker_end(m);
	ASSERT_EQ(worker_get_clock(end, &clock, &err), 0);
	ASSERT_EQ(clock.tsc_hz, NS_PER_SEC);
	clock.tsc_hz = NS_PER_SEC + NS_PER_SEC / 1000;
	ASSERT_ERR(worker_set_clock(end, &clock, &err), ERANGE);
	clock.tsc_hz = NS_PER_SEC / 2;
	ASSERT_ERR(worker_set_clock(end, &clock, &err), ERANGE);
	clock.tsc_hz = NS_PER_SEC - 123456;
	clock.reference_ns = 100 * NS_PER_SEC;
	ASSERT_EQ(worker_set_clock(end, &clock, &err), 0);
	m->script[0] = read_registers;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(m->vp[0]->result[5], NS_PER_SEC - 123456);
	struct hv_reference_tsc_page page;
	memcpy(&page, m->worker->ram + GUEST_TIME, sizeof page);
	ASSERT_EQ(le64_get(page.scale),
		  (u64)(((unsigned __int128)10000000 << 64) / (NS_PER_SEC - 123456)));
	m->vp[0]->bus->cpuid(m->vp[0]->bus_vp, 0x15, 0, regs);
	ASSERT_EQ(regs[2] ? regs[2] : clock.tsc_hz, clock.tsc_hz);
	ASSERT_EQ(worker_get_clock(end, &clock, &err), 0);
	ASSERT_EQ(clock.tsc_hz, NS_PER_SEC - 123456);
	ASSERT(clock.reference_ns >= 100 * NS_PER_SEC);
	/* Not while it runs, and another one not even after. */
	ASSERT_ERR(worker_set_clock(end, &clock, &err), EBUSY);
	worker_end_close(end);
}

static enum script_result move_counter(struct script_vp *vp)
{
	if (vp->step++ > 0)
		return SCRIPT_HALT;
	EXPECT(guest_wrmsr(vp, HV_MSR_REFERENCE_TSC, GUEST_TIME | 1));
	vp->result[0] = *(u32 *)(vp->machine->worker->ram + GUEST_TIME);
	vp->result[1] = guest_rdmsr(vp, HV_MSR_TIME_REF_COUNT);
	vp->tsc_offset += 3600 * (s64)NS_PER_SEC;
	vp->bus->tsc_moved(vp->bus_vp);
	vp->result[2] = *(u32 *)(vp->machine->worker->ram + GUEST_TIME);
	vp->result[3] = guest_rdmsr(vp, HV_MSR_TIME_REF_COUNT);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(guest_that_moves_its_counter_moves_no_time_but_has_no_page_of_it)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, move_counter);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT(m->vp[0]->result[0] != 0);
	ASSERT_EQ(m->vp[0]->result[2], 0);
	ASSERT(m->vp[0]->result[3] >= m->vp[0]->result[1]);
	ASSERT(m->vp[0]->result[3] - m->vp[0]->result[1] < 20 * 10000000);
	/* It agrees with itself: the next run begins with a page that is true. */
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(machine_run(m), 0);
	ASSERT(*(u32 *)(m->worker->ram + GUEST_TIME) != 0);
}

static enum script_result crash(struct script_vp *vp)
{
	if (vp->step++ > 0)
		return SCRIPT_HALT;
	EXPECT(guest_wrmsr(vp, HV_MSR_CRASH_P0, 0xdead));
	EXPECT(guest_wrmsr(vp, HV_MSR_CRASH_CTL, HV_CRASH_NOTIFY));
	EXPECT(guest_wrmsr(vp, HV_MSR_RESET, 1));
	return SCRIPT_HALT;
}

TEST(guest_that_resets_itself_after_a_crash_has_crashed)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, crash);

	ASSERT(m);
	WAIT_FOR(m->ends > 0);
	ASSERT_EQ(m->end, VM_END_CRASH);
	ASSERT(strstr(m->end_text, "0xdead"));
	ASSERT_EQ(m->resets, 0);
}

TEST(state_of_the_guests_interface_comes_back_through_the_wall)
{
	static const u32 chips[] = { WALL_CHIP_GUEST_INTERFACE, WALL_CHIP_SYNIC,
				     WALL_CHIP_SYNIC_QUEUE };
	AUTO_MACHINE struct machine *m = machine_that_runs(1, open_and_halt);
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(post(m, 0, HV_SINT_VMBUS, 1, 40), 0);
	for (unsigned k = 0; k < ARRAY_COUNT(chips); k++) {
		struct wall_request get = { .verb = WALL_VERB_GET_CHIP };
		struct wall_request set = { .verb = WALL_VERB_SET_CHIP };
		struct wall_request reset = { .verb = WALL_VERB_SET_CHIP };
		u8 empty[WALL_CHIP_STATE_SIZE] = { 0 };

		get.u.chip.chip = set.u.chip.chip = reset.u.chip.chip = chips[k];
		ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, block), 0);
		ASSERT_ERR(fake_worker_verb(m->worker, &reset, empty, -1, NULL, NULL),
			   EINVAL);
		set.u.chip.index = 2;
		ASSERT_ERR(fake_worker_verb(m->worker, &set, block, -1, NULL, NULL),
			   EINVAL);
		set.u.chip.index = 0;
		if (chips[k] == WALL_CHIP_SYNIC_QUEUE)
			ASSERT(block[4] == 0); /* restoring the registers emptied it */
		ASSERT_EQ(fake_worker_verb(m->worker, &set, block, -1, NULL, NULL), 0);
		ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, again), 0);
		ASSERT_MEM(block, again, sizeof block);
	}
}
