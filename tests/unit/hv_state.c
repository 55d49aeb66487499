/* SPDX-License-Identifier: Apache-2.0 */
/* hv/partition.c, vp.c, guest_clock.c: blocks of a VM that stands, and how it goes on with them. */
#include <x86intrin.h>

#include "hv_fixture.h"

static void lapic_write(struct script_vp *vp, unsigned reg, u32 value)
{
	vp->bus->mmio_write(vp->bus_vp, LAPIC_GPA + reg, 4, value);
}

static enum script_result count_up(struct script_vp *vp)
{
	vp->result[0]++;
	return SCRIPT_AGAIN;
}

/* Timers of three kinds, all running. */
static enum script_result start_timers(struct script_vp *vp)
{
	if (vp->step++ > 0)
		return SCRIPT_AGAIN;
	if (vp->index == 0) {
		vp->bus->pio_write(vp->bus_vp, 0x43, 1, 0x34); /* channel 0, rate */
		vp->bus->pio_write(vp->bus_vp, 0x40, 1, 0);
		vp->bus->pio_write(vp->bus_vp, 0x40, 1, 0);
	}
	script_open_lapic(vp);
	lapic_write(vp, 0x3e0, 0xb);
	lapic_write(vp, 0x320, 0x10051);
	lapic_write(vp, 0x380, 0xffffffff);
	return SCRIPT_AGAIN;
}

/* Everything that hv gives of a VM: processors, chips. */
static void take_blocks(struct machine *m, struct vp_state *vps,
			u8 (*chips)[2][WALL_CHIP_STATE_SIZE])
{
	struct wall_request get = { .verb = WALL_VERB_GET_VP };

	for (u32 k = 0; k < 2; k++) {
		get.u.vp.index = k;
		ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, &vps[k]), 0);
	}
	get.verb = WALL_VERB_GET_CHIP;
	for (u32 chip = 0; chip < WALL_CHIP_COUNT; chip++) {
		for (u32 k = 0; k < (chip == WALL_CHIP_LAPIC ? 2 : 1); k++) {
			get.u.chip.chip = chip;
			get.u.chip.index = k;
			ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL,
						   chips[chip][k]),
				  0);
		}
	}
}

/* Clocks were read when their blocks were asked for, so those of a save were of many instants. */
TEST(all_clocks_stand_between_stop_and_run)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	static u8 first[WALL_CHIP_COUNT][2][WALL_CHIP_STATE_SIZE];
	static u8 second[WALL_CHIP_COUNT][2][WALL_CHIP_STATE_SIZE];
	struct vp_state vps[2], again[2];
	struct wall_request set = { .verb = WALL_VERB_SET_VP, .u.vp.index = 1 };
	u64 tsc, stood;

	ASSERT(m);
	vp_state_reset(&vps[1], false);
	vps[1].activity = VP_RUNNING;
	ASSERT_EQ(fake_worker_verb(m->worker, &set, &vps[1], -1, NULL, NULL), 0);
	m->script[0] = m->script[1] = start_timers;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->step > 3 && m->vp[1]->step > 3);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	take_blocks(m, vps, first);
	usleep(20000);
	take_blocks(m, again, second);
	ASSERT_MEM(vps, again, sizeof vps);
	ASSERT_MEM(first, second, sizeof first);
	ASSERT_EQ(vps[0].tsc, vps[1].tsc);

	/* And none of them has seen the time that went by. */
	stood = vps[0].tsc;
	usleep(20000);
	tsc = __rdtsc();
	ASSERT_EQ(machine_run(m), 0);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	tsc = __rdtsc() - tsc;
	take_blocks(m, again, second);
	ASSERT_EQ(again[0].tsc, again[1].tsc);
	ASSERT(again[0].tsc > stood);
	ASSERT(again[0].tsc - stood <= tsc);
}

/* They were set one after the other, each to "now": further apart the longer that took. */
TEST(counters_of_all_vps_go_on_together_after_a_load)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	struct wall_request set = { .verb = WALL_VERB_SET_VP },
			    get = { .verb = WALL_VERB_GET_VP };
	struct vp_state state, back[2];

	ASSERT(m);
	for (u32 k = 0; k < 2; k++) {
		vp_state_reset(&state, k == 0);
		state.tsc = 1000000000000;
		set.u.vp.index = k;
		ASSERT_EQ(fake_worker_verb(m->worker, &set, &state, -1, NULL, NULL), 0);
		usleep(10000);
	}
	m->script[0] = m->script[1] = count_up;
	ASSERT_EQ(machine_run(m), 0);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	for (u32 k = 0; k < 2; k++) {
		get.u.vp.index = k;
		ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, &back[k]), 0);
	}
	ASSERT_EQ(back[0].tsc, back[1].tsc);
	ASSERT(back[0].tsc > 1000000000000);
	ASSERT_EQ(m->vp[0]->tsc_offset, m->vp[1]->tsc_offset);
}

/* A block of a halted VP made it fall through its HLT, and its next block said "halted" for ever. */
TEST(halted_vp_that_is_loaded_waits_for_its_interrupt)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct wall_request set = { .verb = WALL_VERB_SET_VP },
			    get = { .verb = WALL_VERB_GET_VP };
	struct vp_state state, back;

	ASSERT(m);
	m->script[0] = count_up;
	vp_state_reset(&state, true);
	state.activity = VP_HALTED;
	ASSERT_EQ(fake_worker_verb(m->worker, &set, &state, -1, NULL, NULL), 0);
	ASSERT_EQ(machine_run(m), 0);
	usleep(20000);
	ASSERT_EQ(m->vp[0]->runs, 0);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, &back), 0);
	ASSERT_EQ(back.activity, VP_HALTED);
	ASSERT_EQ(machine_run(m), 0);
	vp_nmi(m->partition->vp[0]);
	WAIT_FOR(m->vp[0]->result[0] > 0);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, &back), 0);
	ASSERT_EQ(back.activity, VP_RUNNING);
}
