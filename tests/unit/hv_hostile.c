/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that attacks hv's interface of Hyper-V: calls without end or sense, timers of one tick,
 * registers that were not offered. What holds in all of them: hv answers its worker, the other
 * processors run, memory is bounded. docs/hostile-guest.md has the whole table.
 */
#include <sched.h>

#include "base/log.h"
#include "hv_guest.h"
#include "storm.h"

#define RAM_END (16u << 20)
#define MEMORY_BOUND (1u << 20)

/* Until end: the worker stops the VM and lets it run again. Each answer comes soon. */
static bool stops_till(struct machine *m, u64 end)
{
	unsigned stops = 0;

	for (; now_ns() < end; stops++) {
		u64 asked = now_ns();

		usleep(10000);
		CHECK_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
		CHECK_EQ(machine_run(m), 0);
		CHECK(now_ns() - asked < 5 * NS_PER_SEC);
	}
	CHECK(stops > 3);
	return true;
}

/* ---- case 14: calls ---------------------------------------------------------------------------- */

static u32 next_random(struct script_vp *vp)
{
	u64 r = vp->result[6] * 6364136223846793005ull + 1442695040888963407ull;

	vp->result[6] = r;
	return (u32)(r >> 32);
}

/* Places for parameters: good, across the end of RAM, beyond it, devices, the guest's own pages. */
static u64 somewhere(struct script_vp *vp)
{
	static const u64 place[] = { GUEST_INPUT,     GUEST_INPUT + 8, RAM_END - 8,
				     RAM_END - 4096,  RAM_END,	       GUEST_CALLS,
				     GUEST_MESSAGES,  0xfee00000,      0xa0000,
				     GUEST_INPUT + 1, UINT64_MAX - 7,  1ull << 51 };

	return place[next_random(vp) % ARRAY_COUNT(place)];
}

static u64 any_word(struct script_vp *vp)
{
	static const u16 codes[] = {
		HV_FLUSH_SPACE,	 HV_FLUSH_LIST,	      HV_NOTIFY_LONG_SPIN_WAIT,
		HV_SEND_IPI,	 HV_FLUSH_SPACE_EX,   HV_FLUSH_LIST_EX,
		HV_SEND_IPI_EX,	 HV_GET_VP_REGISTERS, HV_SET_VP_REGISTERS,
		HV_POST_MESSAGE, HV_SIGNAL_EVENT,     HV_QUERY_EXTENDED,
		0x8003,
	};
	u64 word = codes[next_random(vp) % ARRAY_COUNT(codes)];

	switch (next_random(vp) % 8) {
	case 0:
		return (u64)next_random(vp) << 32 | next_random(vp);
	case 1:
		return word | 4095ull << HV_CALL_REPS_SHIFT;
	case 2:
		return word | HV_CALL_FAST |
		       (u64)(next_random(vp) % 16) << HV_CALL_REPS_SHIFT;
	case 3:
		return word | (u64)(next_random(vp) % 300) << HV_CALL_REPS_SHIFT;
	case 4:
		return word | 4095ull << HV_CALL_REPS_SHIFT |
		       4094ull << HV_CALL_START_SHIFT;
	case 5:
		return word | 1023ull << HV_CALL_VARHEAD_SHIFT;
	default:
		return word;
	}
}

static enum script_result call_without_end(struct script_vp *vp)
{
	if (vp->step++ == 0)
		guest_open(vp);
	for (unsigned k = 0; k < 100; k++) {
		u64 result = guest_call(vp, any_word(vp), somewhere(vp), somewhere(vp));

		/* Nothing but what the specification has in a result. */
		EXPECT_EQ(result & ~0xfff0000ffffull, 0);
	}
	atomic_fetch_add(&vp->result[0], 100);
	return SCRIPT_AGAIN;
}

static void busy_worker(void *owner, struct fake_worker *w, vp_index_t vp,
			struct wall_access *slot)
{
	struct wall_message m;

	memcpy(&m, slot->data, sizeof m);
	m.status = HV_NO_BUFFERS;
	memcpy(slot->data, &m, sizeof m);
}

TEST_TIMEOUT(calls_without_end_or_sense_leave_hv_to_its_worker, 120)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	u64 end = now_ns() + storm_ns();
	size_t before;

	ASSERT(m);
	if (UNDER_TSAN)
		SKIP("the races are the guest's, in its own pages");
	log_start("test", LOG_ERROR);
	m->worker->on_access = busy_worker;
	ASSERT_EQ(fake_worker_start(m->worker), 0);
	ASSERT_OK(machine_start_vp(m, 1));
	m->script[0] = m->script[1] = call_without_end;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[0] > 0 && m->vp[1]->result[0] > 0);
	before = memory_used();
	ASSERT_OK(stops_till(m, end));
	ASSERT(m->vp[0]->result[0] > 1000);
	ASSERT(memory_used() < before + MEMORY_BOUND);
	ASSERT_EQ(m->ends, 0);
}

static enum script_result write_over_own_page(struct script_vp *vp)
{
	const struct hv_vp_registers in = { .partition = le64_of(HV_PARTITION_SELF),
					    .vp = le32_of(HV_VP_SELF) };
	const le32 name = le32_of(HV_REGISTER_GUEST_OS_ID);
	u8 *ram = vp->machine->worker->ram;

	if (vp->step++ > 0)
		return SCRIPT_HALT;
	guest_open(vp);
	memcpy(ram + GUEST_INPUT, &in, sizeof in);
	memcpy(ram + GUEST_INPUT + sizeof in, &name, sizeof name);
	vp->result[0] = guest_call(vp, HV_GET_VP_REGISTERS | 1ull << HV_CALL_REPS_SHIFT,
				   GUEST_INPUT, GUEST_CALLS);
	/* The page is the guest's memory: its code is spoilt, and nothing else. */
	vp->result[1] = guest_call(vp, HV_QUERY_EXTENDED, 0, GUEST_OUTPUT);
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST(results_over_the_hypercall_page_spoil_the_guests_own_code_alone)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, write_over_own_page);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[7]);
	ASSERT_EQ(m->vp[0]->result[0], 1ull << HV_CALL_REPS_SHIFT);
	ASSERT_EQ(m->vp[0]->result[1], HV_SUCCESS);
	ASSERT_MEM(m->worker->ram + GUEST_CALLS, "\0\0\0\0\0\0\0\x81", 8);
	ASSERT_EQ(m->ends, 0);
}

/* ---- case 14: timers ---------------------------------------------------------------------------- */

static enum script_result start_timers(struct script_vp *vp)
{
	if (vp->step++ > 0) {
		vp->bus->mmio_write(vp->bus_vp, LAPIC_GPA + 0xb0, 4, 0); /* EOI */
		return SCRIPT_HALT;
	}
	guest_open(vp);
	for (unsigned k = 0; k < HV_STIMERS; k++) {
		u64 how = k % 2 ? HV_STIMER_DIRECT | 0x60ull << HV_STIMER_VECTOR_SHIFT
				: (u64)HV_SINT_VMBUS << HV_STIMER_SINT_SHIFT;

		EXPECT(guest_wrmsr(vp, HV_MSR_STIMER0_CONFIG + 2 * k,
				   HV_STIMER_ENABLED | HV_STIMER_PERIODIC | how));
		EXPECT(guest_wrmsr(vp, HV_MSR_STIMER0_CONFIG + 2 * k + 1, 1));
	}
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

TEST_TIMEOUT(timers_of_one_tick_on_every_processor_leave_time_for_the_rest, 120)
{
	AUTO_MACHINE struct machine *m = machine_new(4);
	u64 begun = now_ns(), end = begun + storm_ns(), fired = 0;
	size_t before;

	ASSERT(m);
	for (u32 k = 0; k < 4; k++) {
		ASSERT_OK(machine_start_vp(m, k));
		m->script[k] = start_timers;
	}
	ASSERT_EQ(machine_run(m), 0);
	for (u32 k = 0; k < 4; k++)
		WAIT_FOR(m->vp[k]->result[7]);
	before = memory_used();
	ASSERT_OK(stops_till(m, end));
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	for (u32 k = 0; k < 4; k++)
		for (unsigned n = 0; n < HV_STIMERS; n++)
			fired = max_u64(fired, m->partition->vp[k]->stimers.fired[n]);
	ASSERT(fired > 10);
	/* One tick is 100 ns; no timer tells more often than its least period allows. */
	ASSERT(fired <= (now_ns() - begun) / (STIMER_MIN_PERIOD * 100) + 1);
	ASSERT(memory_used() < before + MEMORY_BOUND);
	ASSERT_EQ(m->ends, 0);
}

/* ---- case 16: what was not offered ---------------------------------------------------------------- */

/* Is this register part of what CPUID says? */
static bool offered(u32 index, const u32 features[4])
{
	switch (index) {
	case HV_MSR_GUEST_OS_ID:
	case HV_MSR_HYPERCALL:
		return features[0] & HV_ACCESS_HYPERCALL_MSRS;
	case HV_MSR_VP_INDEX:
		return features[0] & HV_ACCESS_VP_INDEX;
	case HV_MSR_RESET:
		return features[0] & HV_ACCESS_RESET;
	case HV_MSR_VP_RUNTIME:
		return features[0] & HV_ACCESS_VP_RUNTIME;
	case HV_MSR_TIME_REF_COUNT:
		return features[0] & HV_ACCESS_TIME_REF_COUNT;
	case HV_MSR_REFERENCE_TSC:
		return features[0] & HV_ACCESS_REFERENCE_TSC;
	case HV_MSR_TSC_FREQUENCY:
	case HV_MSR_APIC_FREQUENCY:
		return features[3] & HV_FREQUENCIES_AVAILABLE;
	case HV_MSR_ICR:
	case HV_MSR_TPR:
		return features[0] & HV_ACCESS_APIC_MSRS;
	case HV_MSR_VP_ASSIST_PAGE: /* Linux writes it whatever was offered */
		return true;
	case HV_MSR_SCONTROL ... HV_MSR_EOM:
	case HV_MSR_SINT0 ... HV_MSR_SINT0 + HV_SINTS - 1:
		return features[0] & HV_ACCESS_SYNIC;
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT:
		return features[0] & HV_ACCESS_STIMERS;
	case HV_MSR_CRASH_P0 ... HV_MSR_CRASH_CTL:
		return features[3] & HV_CRASH_MSRS_AVAILABLE;
	}
	return false;
}

static enum script_result sweep_registers(struct script_vp *vp)
{
	static const u64 values[] = { 0, 1, UINT64_MAX, 0x8000000000000000, RAM_END | 1 };
	u32 features[4];

	if (vp->step++ > 0)
		return SCRIPT_HALT;
	guest_open(vp);
	vp->bus->cpuid(vp->bus_vp, HV_CPUID_FEATURES, 0, features);
	for (u32 index = HV_MSR_FIRST; index <= HV_MSR_LAST; index++) {
		u64 value = 0;

		if (vp->bus->msr_read(vp->bus_vp, index, &value) !=
		    offered(index, features))
			harness_fail(__FILE__, __LINE__, "read of 0x%x", index);
		if (index == HV_MSR_RESET || index == HV_MSR_CRASH_CTL)
			continue; /* the end */
		for (unsigned k = 0; k < ARRAY_COUNT(values); k++)
			if (guest_wrmsr(vp, index, values[k]) &&
			    !offered(index, features) && index != HV_MSR_EOI)
				harness_fail(__FILE__, __LINE__, "write of 0x%x", index);
	}
	/* The register that ends an interrupt can only be written. */
	EXPECT_EQ(guest_wrmsr(vp, HV_MSR_EOI, 0),
		  (features[0] & HV_ACCESS_APIC_MSRS) != 0);
	vp->result[0] = features[0];
	vp->result[7] = 1;
	return SCRIPT_HALT;
}

static void make_portable(struct machine *m)
{
	m->portable = true;
}

TEST(registers_are_there_as_far_as_they_are_offered_and_no_further)
{
	for (unsigned portable = 0; portable < 2; portable++) {
		AUTO_MACHINE struct machine *m =
			machine_new_with(1, portable ? make_portable : NULL);

		ASSERT(m);
		m->script[0] = sweep_registers;
		ASSERT_EQ(machine_run(m), 0);
		WAIT_FOR(m->vp[0]->result[7]);
		ASSERT_EQ((m->vp[0]->result[0] & HV_ACCESS_STIMERS) != 0, !portable);
		ASSERT_EQ(m->ends, 0);
	}
}

TEST(leaves_beyond_the_last_one_are_empty)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	u32 r[4];

	ASSERT(m);
	m->vp[0]->bus->cpuid(m->vp[0]->bus_vp, HV_CPUID_BASE, 0, r);
	ASSERT_EQ(r[0], HV_CPUID_MAX);
	for (u32 leaf = HV_CPUID_MAX + 1; leaf < HV_CPUID_BASE + 0x10000; leaf++) {
		m->vp[0]->bus->cpuid(m->vp[0]->bus_vp, leaf, leaf, r);
		ASSERT_EQ(r[0] | r[1] | r[2] | r[3], 0);
	}
	for (u32 k = 0; k < 100000; k++)
		m->vp[0]->bus->cpuid(m->vp[0]->bus_vp, k * 2654435761u, k, r);
}
