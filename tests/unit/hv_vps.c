/* SPDX-License-Identifier: Apache-2.0 */
/* Processors: starting, sleeping, waking, standing, ending; the chips' wires to them. */
#include "hv_fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/ipc.h"

static u64 now_ns(void)
{
	return host_clock.monotonic_ns(&host_clock);
}

static void lapic_write(struct script_vp *vp, unsigned reg, u32 value)
{
	vp->bus->mmio_write(vp->bus_vp, LAPIC_GPA + reg, 4, value);
}

static void out8(struct script_vp *vp, u16 port, u8 value)
{
	vp->bus->pio_write(vp->bus_vp, port, 1, value);
}

/* ---- startup --------------------------------------------------------------------------------- */

static enum script_result start_all_others(struct script_vp *vp)
{
	if (vp->step++ > 0)
		return SCRIPT_HALT;
	script_open_lapic(vp);
	lapic_write(vp, 0x300, 0xc4500); /* INIT, all but self */
	lapic_write(vp, 0x300, 0xc4608); /* startup at 0x8000 */
	lapic_write(vp, 0x300, 0xc4608); /* as everybody does it: twice */
	return SCRIPT_HALT;
}

static enum script_result note_start(struct script_vp *vp)
{
	vp->result[0] = vp->state.seg[SEG_CS].base;
	vp->result[1] = vp->state.rip;
	vp->result[2]++;
	return SCRIPT_HALT;
}

static bool starts(u32 count)
{
	AUTO_MACHINE struct machine *m = machine_new(count);

	CHECK(m);
	m->script[0] = start_all_others;
	for (u32 k = 1; k < count; k++)
		m->script[k] = note_start;
	CHECK_EQ(machine_run(m), 0);
	for (u32 k = 1; k < count; k++) {
		for (int n = 0; n < 100000 && m->vp[k]->result[2] == 0; n++)
			usleep(100);
		CHECK_EQ(m->vp[k]->result[2], 1);
		CHECK_EQ(m->vp[k]->result[0], 0x8000);
		CHECK_EQ(m->vp[k]->result[1], 0);
	}
	/* The loop tells it when it comes round: perhaps after it has answered STOP. */
	for (int n = 0; n < 100000 && m->first_entries == 0; n++)
		usleep(100);
	CHECK_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	CHECK_EQ(m->first_entries, 1);
	return true;
}

TEST(second_vp_starts_at_the_page_that_sipi_names)
{
	ASSERT_OK(starts(2));
}

TEST(sixty_four_vps_start_and_stop)
{
	ASSERT_OK(starts(64));
}

/* ---- the timer ------------------------------------------------------------------------------- */

static enum script_result one_shot(struct script_vp *vp)
{
	if (vp->step++ > 0) {
		vp->result[1] = now_ns();
		return SCRIPT_HALT;
	}
	script_open_lapic(vp);
	lapic_write(vp, 0x3e0, 0xb);	  /* divide by 1: a tick is 1 ns */
	lapic_write(vp, 0x320, 0x51);	  /* one-shot, vector 0x51 */
	lapic_write(vp, 0x380, 20000000); /* 20 ms */
	vp->result[0] = now_ns();
	return SCRIPT_HALT;
}

TEST(halted_vp_is_woken_by_its_timer_and_not_before)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, one_shot);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[1]);
	ASSERT_EQ(m->vp[0]->taken, 0x51);
	ASSERT(m->vp[0]->result[1] - m->vp[0]->result[0] >= 19900000);
	/* Into the guest, out by HLT, and once more for the interrupt: it did not poll. */
	ASSERT(m->vp[0]->runs <= 4);
}

static enum script_result spin_under_timer(struct script_vp *vp)
{
	if (vp->step++ == 0) {
		script_open_lapic(vp);
		lapic_write(vp, 0x3e0, 0xb);
		lapic_write(vp, 0x320, 0x20052); /* periodic */
		lapic_write(vp, 0x380, 1000000);
	}
	if (vp->taken_count > vp->result[0]) {
		vp->result[0] = vp->taken_count;
		lapic_write(vp, 0xb0, 0);
	}
	return SCRIPT_AGAIN;
}

TEST(timer_interrupts_a_vp_that_never_leaves)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, spin_under_timer);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[0] >= 50);
	ASSERT_EQ(m->vp[0]->taken, 0x52);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
}

TEST(idle_vps_cost_no_processor_time)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(4, start_all_others);
	struct timespec before, after;
	u64 used;

	ASSERT(m);
	WAIT_FOR(m->vp[3]->calls > 0);
	usleep(50000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	usleep(300000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	used = (u64)(after.tv_sec - before.tv_sec) * NS_PER_SEC + (u64)after.tv_nsec -
	       (u64)before.tv_nsec;
	ASSERT(used < 3000000); /* 1 % */
}

/* ---- interrupts of the board ----------------------------------------------------------------- */

static enum script_result pit_through_pic(struct script_vp *vp)
{
	if (vp->step++ == 0) {
		script_open_lapic(vp);
		lapic_write(vp, 0x350, 0x700); /* LINT0: ExtINT */
		out8(vp, 0x20, 0x11);
		out8(vp, 0x21, 0x30);
		out8(vp, 0x21, 4);
		out8(vp, 0x21, 1);
		out8(vp, 0x21, 0xfe);
		out8(vp, 0x43, 0x34);
		out8(vp, 0x40, 0xa9);
		out8(vp, 0x40, 0x04); /* 1 ms */
		return SCRIPT_HALT;
	}
	out8(vp, 0x20, 0x20);
	vp->result[0]++;
	return SCRIPT_HALT;
}

TEST(pit_reaches_the_first_vp_through_the_8259_and_lint0)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(2, pit_through_pic);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[0] >= 20);
	ASSERT_EQ(m->vp[0]->taken, 0x30);
	ASSERT_EQ(m->vp[1]->taken_count, 0);
}

static void write_ioapic(struct script_vp *vp, u32 index, u32 value)
{
	vp->bus->mmio_write(vp->bus_vp, 0xfec00000, 4, index);
	vp->bus->mmio_write(vp->bus_vp, 0xfec00010, 4, value);
}

static enum script_result line_through_ioapic(struct script_vp *vp)
{
	if (vp->step++ == 0) {
		script_open_lapic(vp);
		write_ioapic(vp, 0x10 + 2 * 11 + 1, 0);
		write_ioapic(vp, 0x10 + 2 * 11, 0x8000 | 0x71); /* level */
		vp->result[1] = 1;
		return SCRIPT_HALT;
	}
	vp->result[0]++;
	while (vp->result[2] < vp->result[0])
		;
	lapic_write(vp, 0xb0, 0);
	return SCRIPT_HALT;
}

TEST(level_line_of_the_worker_interrupts_again_after_eoi_while_it_is_high)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, line_through_ioapic);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->result[1]);
	fake_worker_line(m->worker, 11, true, true);
	WAIT_FOR(m->vp[0]->result[0] == 1);
	ASSERT_EQ(m->vp[0]->taken, 0x71);
	m->vp[0]->result[2] = 1; /* EOI, the line still up: once more */
	WAIT_FOR(m->vp[0]->result[0] == 2);
	fake_worker_line(m->worker, 11, false, true);
	WAIT_FOR(m->worker->control->lines.tail == 2);
	m->vp[0]->result[2] = 2;
	usleep(20000);
	ASSERT_EQ(m->vp[0]->result[0], 2);
}

TEST(nmi_wakes_a_halted_vp_whose_interrupts_are_off)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, script_halt);
	struct wall_request request = { .verb = WALL_VERB_NMI };

	ASSERT(m);
	WAIT_FOR(m->vp[0]->calls == 1);
	ASSERT_EQ(fake_worker_verb(m->worker, &request, NULL, -1, NULL, NULL), 0);
	WAIT_FOR(m->vp[0]->nmis == 1);
	request.u.vp.index = 1;
	ASSERT_ERR(fake_worker_verb(m->worker, &request, NULL, -1, NULL, NULL), EINVAL);
}

/* ---- standing -------------------------------------------------------------------------------- */

static enum script_result count_up(struct script_vp *vp)
{
	vp->result[0]++;
	return SCRIPT_AGAIN;
}

TEST(nothing_moves_between_stop_and_run)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	u64 seen;

	ASSERT(m);
	m->script[0] = count_up;
	for (int round = 0; round < 50; round++) {
		ASSERT_EQ(machine_run(m), 0);
		seen = m->vp[0]->result[0];
		WAIT_FOR(m->vp[0]->result[0] > seen);
		ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
		seen = m->vp[0]->result[0];
		usleep(500);
		ASSERT_EQ(m->vp[0]->result[0], seen);
	}
}

TEST(map_changes_while_vps_run)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(2, count_up);
	struct wall_request request = { .verb = WALL_VERB_MAP };
	u64 before;

	ASSERT(m);
	before = m->maps_changed;
	request.u.map.kind = WALL_MAP_ROM;
	request.u.map.gpa = 0xe0000;
	request.u.map.size = 0x1000;
	request.u.map.region = WALL_REGION_ROM;
	ASSERT_EQ(fake_worker_verb(m->worker, &request, NULL, -1, NULL, NULL), 0);
	ASSERT_EQ(m->maps_changed, before + 1);
	request.u.map.gpa = 1;
	ASSERT_ERR(fake_worker_verb(m->worker, &request, NULL, -1, NULL, NULL), EINVAL);
	ASSERT_EQ(m->maps_changed, before + 1);
	before = m->vp[0]->result[0];
	WAIT_FOR(m->vp[0]->result[0] > before);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

TEST(hello_names_what_both_sides_must_agree_on)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	struct wall_request request = { .verb = WALL_VERB_HELLO };
	struct wall_reply reply;

	ASSERT(m);
	ASSERT_ERR(fake_worker_verb(m->worker, &request, NULL, -1, &reply, NULL), EPROTO);
	ASSERT_EQ(reply.u.hello.version, WALL_VERSION);
	ASSERT_EQ(reply.u.hello.vp_count, 2);
	request.u.hello.version = reply.u.hello.version;
	request.u.hello.vp_count = reply.u.hello.vp_count;
	request.u.hello.ram_size = reply.u.hello.ram_size;
	ASSERT_EQ(fake_worker_verb(m->worker, &request, NULL, -1, &reply, NULL), 0);
}

TEST(state_blocks_of_every_chip_come_back_as_they_were_given)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	struct wall_request get = { .verb = WALL_VERB_GET_CHIP },
			    set = { .verb = WALL_VERB_SET_CHIP };
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];

	ASSERT(m);
	for (u32 chip = 0; chip < WALL_CHIP_COUNT; chip++) {
		get.u.chip.chip = set.u.chip.chip = chip;
		ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, block), 0);
		ASSERT_EQ(fake_worker_verb(m->worker, &set, block, -1, NULL, NULL), 0);
		ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, again), 0);
		ASSERT_MEM(block, again, sizeof block); /* time stands */
		memset(again, 0xff, sizeof again);
		ASSERT_ERR(fake_worker_verb(m->worker, &set, again, -1, NULL, NULL),
			   EINVAL);
	}
	get.u.chip.chip = WALL_CHIP_COUNT;
	ASSERT_ERR(fake_worker_verb(m->worker, &get, NULL, -1, NULL, block), EINVAL);
	get.u.chip.chip = WALL_CHIP_LAPIC;
	get.u.chip.index = 2;
	ASSERT_ERR(fake_worker_verb(m->worker, &get, NULL, -1, NULL, block), EINVAL);
}

TEST(vp_state_that_no_processor_could_have_is_refused)
{
	AUTO_MACHINE struct machine *m = machine_new(1);
	struct wall_request set = { .verb = WALL_VERB_SET_VP },
			    get = { .verb = WALL_VERB_GET_VP };
	struct vp_state state, back;

	ASSERT(m);
	vp_state_reset(&state, true);
	state.gpr[R_CX] = 42;
	ASSERT_EQ(fake_worker_verb(m->worker, &set, &state, -1, NULL, NULL), 0);
	ASSERT_EQ(fake_worker_verb(m->worker, &get, NULL, -1, NULL, &back), 0);
	ASSERT_EQ(back.gpr[R_CX], 42);
	state.cr0 = 0x80000000; /* paging without protection */
	ASSERT_ERR(fake_worker_verb(m->worker, &set, &state, -1, NULL, NULL), EINVAL);
	set.u.vp.index = 1;
	ASSERT_ERR(fake_worker_verb(m->worker, &set, &back, -1, NULL, NULL), EINVAL);
}

/* ---- ends and resets ------------------------------------------------------------------------- */

static enum script_result fault(struct script_vp *vp)
{
	(void)vp;
	return SCRIPT_TRIPLE_FAULT;
}

TEST(triple_fault_ends_the_vm)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(2, fault);

	ASSERT(m);
	WAIT_FOR(m->ends == 1);
	ASSERT_EQ(m->end, VM_END_TRIPLE_FAULT);
	ASSERT_ERR(machine_run(m), ESHUTDOWN);
}

static enum script_result fail(struct script_vp *vp)
{
	(void)vp;
	return SCRIPT_FAILED;
}

TEST(engine_that_fails_ends_the_vm_with_its_name)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, fail);

	ASSERT(m);
	WAIT_FOR(m->ends == 1);
	ASSERT_EQ(m->end, VM_END_ENGINE);
	ASSERT(strstr(m->end_text, "scripted"));
}

static enum script_result power_off(struct script_vp *vp)
{
	for (const char *s = "last words\n"; *s; s++)
		out8(vp, 0x3f8, (u8)*s);
	vp->bus->pio_write(vp->bus_vp, BOARD_PORT_PM1_CONTROL, 2,
			   0x2000 | BOARD_SLP_TYP_S5 << 10);
	vp->result[0] = 1;
	return SCRIPT_AGAIN;
}

TEST(power_off_ends_the_vm_and_the_console_has_the_last_words)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, power_off);
	char text[32] = "";

	ASSERT(m);
	WAIT_FOR(m->ends == 1);
	ASSERT_EQ(m->end, VM_END_POWER_OFF);
	ASSERT(read(m->serial, text, sizeof text - 1) > 0);
	ASSERT_STR(text, "last words\n");
}

static void with_debug_exit(struct machine *m)
{
	m->debug_exit = true;
}

static enum script_result debug_exit(struct script_vp *vp)
{
	vp->bus->pio_write(vp->bus_vp, 0xf4, 4, 33);
	return SCRIPT_HALT;
}

TEST(debug_exit_port_is_there_only_where_it_was_asked_for)
{
	AUTO_MACHINE struct machine *with = machine_new_with(1, with_debug_exit);

	ASSERT(with);
	with->script[0] = debug_exit;
	ASSERT_EQ(machine_run(with), 0);
	WAIT_FOR(with->ends == 1);
	ASSERT_EQ(with->end, VM_END_DEBUG_EXIT);
	ASSERT_EQ(with->end_code, 33);
}

TEST(without_debug_exit_the_port_does_nothing)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, debug_exit);

	ASSERT(m);
	WAIT_FOR(m->vp[0]->calls == 1);
	usleep(10000);
	ASSERT_EQ(m->ends, 0);
}

static enum script_result ask_reset(struct script_vp *vp)
{
	vp->result[0]++;
	if (vp->result[0] == 1) {
		vp->state.gpr[R_AX] = 5;
		out8(vp, 0x64, 0xfe);
	}
	return SCRIPT_HALT;
}

TEST(guest_that_resets_stands_until_the_worker_reset_and_ran_it)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, ask_reset);

	ASSERT(m);
	WAIT_FOR(m->resets == 1);
	ASSERT_EQ(m->ends, 0);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_STOP), 0);
	ASSERT_EQ(fake_worker_ask(m->worker, WALL_VERB_RESET), 0);
	ASSERT_EQ(m->vp[0]->state.gpr[R_AX], 0);
	ASSERT_EQ(m->vp[0]->state.rip, 0xfff0);
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[0] == 2);
	ASSERT_ERR(fake_worker_ask(m->worker, WALL_VERB_RESET), EBUSY);
}

static void with_test_devices(struct machine *m)
{
	m->test_devices = true;
}

static enum script_result remap(struct script_vp *vp)
{
	u64 before = vp->machine->maps_changed;

	vp->bus->pio_write(vp->bus_vp, 0xe4, 4, 0x1000);
	vp->result[1] = vp->machine->maps_changed - before;
	vp->result[0] = 1;
	return SCRIPT_HALT;
}

TEST(test_device_remaps_before_the_vp_goes_on)
{
	AUTO_MACHINE struct machine *m = machine_new_with(2, with_test_devices);

	ASSERT(m);
	m->script[0] = remap;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[0]);
	ASSERT_EQ(m->vp[0]->result[1], 1);
}

/* ---- the console ----------------------------------------------------------------------------- */

#define BYTES 100000

static u8 byte_at(u32 k)
{
	return (u8)(k * 7 + (k >> 8));
}

/* A driver that looks at LSR, as Linux does. */
static enum script_result send_bytes(struct script_vp *vp)
{
	while (vp->step < BYTES && (vp->bus->pio_read(vp->bus_vp, 0x3fd, 1) & 0x20))
		out8(vp, 0x3f8, byte_at(vp->step++));
	vp->result[0] = vp->step;
	return vp->step < BYTES ? SCRIPT_AGAIN : SCRIPT_HALT;
}

TEST(console_loses_no_byte_that_the_guest_sends_to_a_slow_reader)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, send_bytes);
	u32 seen = 0;

	ASSERT(m);
	usleep(50000); /* the socket and everything behind it are full now */
	ASSERT(m->vp[0]->result[0] < BYTES);
	while (seen < BYTES) {
		u8 piece[777];
		ssize_t n = read(m->serial, piece, sizeof piece);

		if (n < 0) {
			ASSERT_EQ(errno, EAGAIN);
			usleep(100);
			continue;
		}
		for (ssize_t k = 0; k < n; k++)
			ASSERT_EQ(piece[k], byte_at(seen++));
	}
}

static enum script_result receive_bytes(struct script_vp *vp)
{
	/* Slower than the sender. */
	for (unsigned k = 0; k < 5 && (vp->bus->pio_read(vp->bus_vp, 0x3fd, 1) & 1);
	     k++) {
		u8 byte = (u8)vp->bus->pio_read(vp->bus_vp, 0x3f8, 1);

		if (byte != byte_at(vp->step++))
			vp->result[1]++;
	}
	vp->result[0] = vp->step;
	return vp->step < BYTES ? SCRIPT_AGAIN : SCRIPT_HALT;
}

TEST(console_loses_no_byte_that_is_sent_to_a_slow_guest)
{
	AUTO_MACHINE struct machine *m = machine_that_runs(1, receive_bytes);
	u32 sent = 0;

	ASSERT(m);
	while (sent < BYTES) {
		u8 piece[500];
		ssize_t n;

		for (u32 k = 0; k < sizeof piece; k++)
			piece[k] = byte_at(sent + k);
		n = write(m->serial, piece, min_u64(sizeof piece, BYTES - sent));
		if (n < 0)
			usleep(100);
		else
			sent += (u32)n;
	}
	shutdown(m->serial, SHUT_WR); /* what is on the way still arrives */
	WAIT_FOR(m->vp[0]->result[0] == BYTES);
	ASSERT_EQ(m->vp[0]->result[1], 0);
}

TEST(console_that_is_closed_does_not_stop_the_guest)
{
	AUTO_MACHINE struct machine *m = machine_new(1);

	ASSERT(m);
	close(m->serial);
	m->serial = -1;
	m->script[0] = send_bytes;
	ASSERT_EQ(machine_run(m), 0);
	WAIT_FOR(m->vp[0]->result[0] == BYTES);
	ASSERT_EQ(m->ends, 0);
}

/* ---- inspect --------------------------------------------------------------------------------- */

TEST(inspect_shows_registers_map_and_chips)
{
	AUTO_MACHINE struct machine *m = machine_new(2);
	AUTO_FREE char *text = malloc(65536);

	ASSERT(m);
	ASSERT(text);
	/* The loop's thread is idle; nothing else touches the partition meanwhile. */
	partition_inspect(m->partition, "", text, 65536);
	ASSERT(strstr(text, "vm.state"));
	ASSERT(strstr(text, "vp.1.rip"));
	ASSERT(strstr(text, "waits for startup"));
	ASSERT(strstr(text, "memory"));
	partition_inspect(m->partition, "vp/1", text, 65536);
	ASSERT(!strstr(text, "vp.0.rip"));
	ASSERT(strstr(text, "vp.1.rip"));
	partition_inspect(m->partition, "vm", text, 20);
	ASSERT(strlen(text) <= 19);
}
