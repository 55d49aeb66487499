/* SPDX-License-Identifier: Apache-2.0 */
/* machine/direct.c and its test devices against the hypervisor that executes nothing. */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/ipc.h"
#include "base/loop.h"
#include "boot/space.h"
#include "harness.h"
#include "machine/direct.h"
#include "wall/fake_hv.h"
#include "wall/guest_memory.h"
#include "wall/worker_config.h"
#include "wall/worker_end.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

struct fixture {
	struct fake_hv *hv;
	struct guest_memory *gm;
	struct worker_end *end;
	struct loop *loop;
	struct loop_watch *watch;
	struct direct *machine;
	struct worker_config config;
	u8 *rom;
	int kernel_fd;
	pthread_t thread;
	bool looping;
	struct err err;
};

static void on_access(void *owner, unsigned events)
{
	struct fixture *f = owner;

	worker_serve(f->end);
}

static void *run_loop(void *arg)
{
	struct fixture *f = arg;

	EXPECT_EQ(loop_run(f->loop), 0);
	return NULL;
}

static void fixture_done(struct fixture *f)
{
	if (f->looping) {
		loop_stop(f->loop);
		pthread_join(f->thread, NULL);
	}
	direct_free(f->machine);
	loop_watch_remove(f->watch);
	loop_free(f->loop);
	worker_end_close(f->end);
	gm_close(f->gm);
	if (f->rom)
		munmap(f->rom, 65536);
	fake_hv_free(f->hv);
	if (f->kernel_fd > 0)
		close(f->kernel_fd);
}
#define FIXTURE __attribute__((cleanup(fixture_done))) struct fixture

/* `hlt` again and again, as a multiboot kernel that gives its own addresses. */
static bool make_kernel(struct fixture *f)
{
	u8 file[1024];
	const u32 header[8] = { 0x1badb002, 0x10000,  -(0x1badb002u + 0x10000),
				0x200000,   0x200000, 0x200400,
				0x200400,   0x200020 };

	memset(file, 0xf4, sizeof file);
	memcpy(file, header, sizeof header);
	f->kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	CHECK(f->kernel_fd > 0);
	CHECK_EQ(write(f->kernel_fd, file, sizeof file), sizeof file);
	return true;
}

static bool fixture_init(struct fixture *f, u64 ram_size, u32 vp_count)
{
	CHECK_EQ(fake_hv_new(ram_size, 65536, vp_count, &f->hv), 0);
	CHECK_EQ(fake_hv_start(f->hv), 0);
	CHECK_EQ(gm_open(f->hv->ram_fd, ram_size, f->hv->dirty_fd, f->hv->code_fd,
			 f->hv->control, f->hv->hv_event, &f->gm),
		 0);
	const struct worker_end_config end = {
		.control = f->hv->control,
		.vp_count = vp_count,
		.verbs = f->hv->verbs,
		.access_event = f->hv->access_event,
		.hv_event = f->hv->hv_event,
	};
	CHECK_EQ(worker_end_open(&end, &f->end), 0);
	CHECK_EQ(loop_new(&f->loop), 0);
	CHECK_EQ(loop_watch_add(f->loop, f->hv->access_event, LOOP_READ, on_access, f,
				&f->watch),
		 0);
	f->rom = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, f->hv->rom_fd, 0);
	CHECK(f->rom != MAP_FAILED);
	CHECK_OK(make_kernel(f));
	f->config = (struct worker_config){
		.vp_count = vp_count,
		.ram_size = ram_size,
		.rom_size = 65536,
		.test_devices = 1,
		.kernel_name = "halt",
	};
	const struct direct_parts parts = {
		.config = &f->config,
		.gm = f->gm,
		.end = f->end,
		.loop = f->loop,
		.rom = f->rom,
		.kernel_fd = f->kernel_fd,
	};
	CHECK_EQ(direct_new(&parts, &f->machine, &f->err), 0);
	return true;
}

static bool power_on(struct fixture *f)
{
	CHECK_EQ(direct_load(f->machine, &f->err), 0);
	CHECK_EQ(direct_power_on(f->machine, &f->err), 0);
	CHECK_EQ(pthread_create(&f->thread, NULL, run_loop, f), 0);
	f->looping = true;
	return true;
}

TEST(machine_is_told_to_hv_in_power_on_order)
{
	static const u32 order[] = { WALL_VERB_HELLO,	 WALL_VERB_MAP,
				     WALL_VERB_IO_RANGE, WALL_VERB_PCI_PRESENT,
				     WALL_VERB_FWCFG,	 WALL_VERB_IO_RANGE,
				     WALL_VERB_DOORBELL, WALL_VERB_LEND_EVENTS,
				     WALL_VERB_SET_VP,	 WALL_VERB_RUN };
	FIXTURE f = { 0 };
	unsigned step = 0;

	ASSERT_OK(fixture_init(&f, 4 * GIB, 3));
	ASSERT_OK(power_on(&f));
	for (unsigned i = 0; i < f.hv->request_count; i++) {
		while (step < ARRAY_COUNT(order) && order[step] != f.hv->request[i].verb)
			step++;
		ASSERT(step < ARRAY_COUNT(order));
	}
	ASSERT_EQ(step, ARRAY_COUNT(order) - 1);
	ASSERT(f.hv->running);

	const struct wall_request *map = fake_hv_request(f.hv, WALL_VERB_MAP, 1);
	ASSERT_EQ(map->u.map.gpa, 0xc0000);
	ASSERT_EQ(map->u.map.size, 3 * GIB - 0xc0000);
	map = fake_hv_request(f.hv, WALL_VERB_MAP, 2);
	ASSERT_EQ(map->u.map.gpa, 4 * GIB);
	ASSERT_EQ(map->u.map.size, GIB);
	ASSERT_EQ(map->u.map.offset, 3 * GIB);

	/* One processor begins, the others wait to be woken. */
	ASSERT_EQ(f.hv->vp[0].rip, 0x200020);
	ASSERT_EQ(f.hv->vp[0].activity, VP_RUNNING);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_EQ(vp_state_check(&f.hv->vp[i], 7, &f.err), 0);
	ASSERT_EQ(f.hv->vp[2].activity, VP_WAIT_SIPI);
	ASSERT_MEM(f.hv->ram + BOOT_ACPI, "RSD PTR ", 8);
}

TEST(firmware_configuration_says_what_the_machine_has)
{
	FIXTURE f = { 0 };
	u64 ram = 0;
	u32 seen = 0;

	ASSERT_OK(fixture_init(&f, 16 * MIB, 2));
	ASSERT_OK(power_on(&f));
	for (unsigned i = 0;; i++) {
		const struct wall_request *r = fake_hv_request(f.hv, WALL_VERB_FWCFG, i);

		if (!r)
			break;
		const u8 *at = f.rom + r->u.fwcfg.offset;
		seen |= BIT(r->u.fwcfg.key);
		if (r->u.fwcfg.key == 3)
			memcpy(&ram, at, 8);
		if (r->u.fwcfg.key == 5)
			ASSERT_EQ(at[0], 2);
		if (r->u.fwcfg.key == 0x11)
			ASSERT_EQ(at[1023], 0xf4);
	}
	ASSERT_EQ(ram, 16 * MIB);
	ASSERT_EQ(seen, BIT(1) | BIT(3) | BIT(5) | BIT(8) | BIT(15) | BIT(17));
}

static void on_reset(void *owner, int r, const struct err *err)
{
	*(int *)owner = r;
}

TEST(reset_loads_the_guest_again_into_empty_memory)
{
	FIXTURE f = { 0 };
	int r = 1;

	ASSERT_OK(fixture_init(&f, 16 * MIB, 1));
	ASSERT_EQ(direct_load(f.machine, &f.err), 0);
	ASSERT_EQ(direct_power_on(f.machine, &f.err), 0);
	memset(f.hv->ram, 0x55, 16 * MIB);
	direct_reset(f.machine, on_reset, &r);
	ASSERT_EQ(r, 0);
	ASSERT_EQ(f.hv->ram[5 * MIB], 0);
	ASSERT_EQ(f.hv->ram[0x200000], 0x02);
	ASSERT_EQ(f.hv->ram[0x200020], 0xf4);
	ASSERT(fake_hv_request(f.hv, WALL_VERB_STOP, 0));
	ASSERT(fake_hv_request(f.hv, WALL_VERB_RESET, 0));
	ASSERT(fake_hv_request(f.hv, WALL_VERB_RUN, 1));
}

TEST(refusal_of_hv_stops_the_power_on_with_its_sentence)
{
	FIXTURE f = { 0 };

	ASSERT_OK(fixture_init(&f, 16 * MIB, 1));
	f.hv->refuse_with = -EINVAL;
	f.hv->refuse_verb = WALL_VERB_SET_VP;
	ASSERT_EQ(direct_load(f.machine, &f.err), 0);
	ASSERT_ERR(direct_power_on(f.machine, &f.err), EINVAL);
	ASSERT_STR(f.err.text, "hypervisor: set vp: invalid argument");
	ASSERT(!fake_hv_request(f.hv, WALL_VERB_RUN, 0));
}

static bool out32(struct fixture *f, u16 port, u32 value)
{
	CHECK_EQ(fake_hv_access(f->hv, 0, WALL_PIO_WRITE, port, 4, 1, &value), 0);
	return true;
}

static bool in32(struct fixture *f, u16 port, u32 *ret_value)
{
	CHECK_EQ(fake_hv_access(f->hv, 0, WALL_PIO_READ, port, 4, 1, ret_value), 0);
	return true;
}

static bool disk_read(struct fixture *f, u32 pattern, u64 gpa, u32 length,
		      u32 *ret_status)
{
	CHECK_OK(out32(f, 0x3100, pattern));
	CHECK_OK(out32(f, 0x3104, (u32)gpa));
	CHECK_OK(out32(f, 0x3108, (u32)(gpa >> 32)));
	CHECK_OK(out32(f, 0x310c, length));
	CHECK_OK(out32(f, 0x3110, 1));
	do {
		CHECK_OK(in32(f, 0x3110, ret_status));
	} while (*ret_status == 1);
	return true;
}

TEST(disk_is_done_only_when_hv_has_flushed_the_code)
{
	FIXTURE f = { 0 };
	struct wall_line line;
	u32 status;

	ASSERT_OK(fixture_init(&f, 16 * MIB, 1));
	ASSERT_OK(power_on(&f));
	ASSERT_OK(out32(&f, 0x3114, 1));
	f.hv->code[0x300] = 1;
	ASSERT_OK(disk_read(&f, 0x1234, 0x300000, 16, &status));
	ASSERT_EQ(status, 2);
	ASSERT_EQ(f.hv->control->flushes.done, 1);
	ASSERT_MEM(f.hv->ram + 0x300000,
		   "\xb8\x34\x12\0\0\xc3\x90\x90\xb8\x34\x12\0\0\xc3", 14);
	ASSERT(fake_hv_take_line(f.hv, &line));
	ASSERT_EQ(line.a, 11);
	ASSERT_EQ(line.b, 1);
	ASSERT_OK(out32(&f, 0x3110, 2));
	ASSERT(fake_hv_take_line(f.hv, &line));
	ASSERT_EQ(line.b, 0);
}

TEST(disk_refuses_what_is_not_ram_and_odd_lengths)
{
	FIXTURE f = { 0 };
	u32 status;

	ASSERT_OK(fixture_init(&f, 16 * MIB, 1));
	ASSERT_OK(power_on(&f));
	ASSERT_OK(disk_read(&f, 1, 16 * MIB - 8, 16, &status));
	ASSERT_EQ(status, 3);
	ASSERT_OK(disk_read(&f, 1, 0xfffffffffffffff8, 8, &status));
	ASSERT_EQ(status, 3);
	ASSERT_OK(disk_read(&f, 1, 0x1000, 12, &status));
	ASSERT_EQ(status, 3);
	ASSERT_OK(disk_read(&f, 1, 0x1000, 2 * MIB, &status));
	ASSERT_EQ(status, 3);
	ASSERT_OK(disk_read(&f, 1, 0x1000, 0, &status));
	ASSERT_EQ(status, 3);
	ASSERT_OK(disk_read(&f, 1, 16 * MIB - 8, 8, &status));
	ASSERT_EQ(status, 2);
}
