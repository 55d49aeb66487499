/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty log of engine/kvm: a guest writes as fast as it can while pages are copied away from it,
 * as a migration does; what was copied is in the end what the guest has.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "hv/engine.h"
#include "x86/cpuid.h"

#define PAGE 4096u
#define DATA_PAGE 256u	 /* the written pages begin at 1 MiB */
#define DATA_PAGES 1024u /* as the mask in the guest's code has it */
#define RAM_PAGES (DATA_PAGE + DATA_PAGES)
#define RAM_SIZE ((u64)RAM_PAGES * PAGE)
#define COUNTER 0x2000u
#define CODE 0x1000u

/* One page in 1024 by a linear congruence, then the counter, for ever. */
static const u8 writer[] = {
	0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00, /* imul $1664525, %eax, %eax */
	0x05, 0x5f, 0xf3, 0x6e, 0x3c,	    /* add $1013904223, %eax */
	0x89, 0xc1,			    /* mov %eax, %ecx */
	0xc1, 0xe9, 0x08,		    /* shr $8, %ecx */
	0x81, 0xe1, 0xfc, 0xff, 0x3f, 0x00, /* and $0x3ffffc, %ecx */
	0x89, 0x81, 0x00, 0x00, 0x10, 0x00, /* mov %eax, 0x100000(%ecx) */
	0xff, 0x05, 0x00, 0x20, 0x00, 0x00, /* incl 0x2000 */
	0xeb, 0xdc,			    /* jmp back to the beginning */
};

struct rig {
	int kvm;
	struct x86_model model;
	struct engine_vm *vm;
	struct engine_vp *vp;
	u8 *ram, *copy;
	_Atomic u8 dirty[RAM_PAGES], code[RAM_PAGES];
	struct engine_slot slot;
	pthread_t thread;
	enum engine_exit exit;
};

static void rig_cpuid(void *owner, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	struct rig *rig = owner;

	x86_cpuid(&rig->model, 0, leaf, subleaf, ret_regs);
}

static const struct x86_bus_ops bus = { .cpuid = rig_cpuid };

/* 0, or why there is no VP on KVM here. */
static const char *rig_start(struct rig *rig)
{
	static char why[ERR_TEXT_SIZE];
	struct engine_vm_config config = { .vp_count = 1,
					   .ram_size = RAM_SIZE,
					   .code_map = rig->code,
					   .dirty_map = rig->dirty };
	struct err err = { 0 };

	rig->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (rig->kvm < 0)
		return "/dev/kvm does not open";
	x86_model_init(&rig->model, 1, 0);
	config.kvm_fd = rig->kvm;
	if (engine_kvm_ops.vm_new(&config, &rig->vm, &err) < 0 ||
	    engine_kvm_ops.vp_new(rig->vm, 0, &bus, rig, &rig->vp, &err) < 0) {
		snprintf(why, sizeof why, "%s", err.text);
		return why;
	}
	rig->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	rig->copy = calloc(1, RAM_SIZE);
	if (rig->ram == MAP_FAILED || !rig->copy)
		return "no memory";
	rig->slot = (struct engine_slot){
		.size = RAM_SIZE,
		.host = rig->ram,
		.writable = true,
		.log = true,
		.is_ram = true,
	};
	return NULL;
}

static void rig_stop(struct rig *rig)
{
	engine_kvm_ops.vp_free(rig->vp);
	engine_kvm_ops.vm_free(rig->vm);
	munmap(rig->ram, RAM_SIZE);
	free(rig->copy);
	close(rig->kvm);
}

static void flat(struct vp_segment *s, u16 selector, u16 attr)
{
	*s = (struct vp_segment){ 0, 0xffffffff, selector, attr };
}

/* Flat 32-bit protected mode, no paging, at CODE. */
static bool load(struct rig *rig)
{
	struct vp_state s;
	struct err err = { 0 };

	memcpy(rig->ram + CODE, writer, sizeof writer);
	vp_state_reset(&s, true);
	for (unsigned k = 0; k < SEG_COUNT; k++)
		flat(&s.seg[k], 0x10, 0xc093);
	flat(&s.seg[SEG_CS], 0x08, 0xc09b);
	s.cr0 = 0x11;
	s.rip = CODE;
	CHECK_EQ(engine_kvm_ops.map_changed(rig->vm, &rig->slot, 1, &err), 0);
	CHECK_EQ(engine_kvm_ops.vp_set_state(rig->vp, &s, &err), 0);
	return true;
}

static void *run(void *owner)
{
	struct rig *rig = owner;

	if (engine_kvm_ops.vp_thread_start(rig->vp) == 0)
		rig->exit = engine_kvm_ops.vp_run(rig->vp);
	else
		rig->exit = ENGINE_FAILED;
	return NULL;
}

static u32 written(const struct rig *rig)
{
	return __atomic_load_n((const u32 *)(const void *)(rig->ram + COUNTER),
			       __ATOMIC_ACQUIRE);
}

static void wait_for_writes(const struct rig *rig, u32 more)
{
	u32 from = written(rig);

	while (written(rig) - from < more)
		sched_yield();
}

/* Fetch and clear, then read the page; WALL.md section 1. How many pages. */
static unsigned harvest(struct rig *rig)
{
	unsigned count = 0;

	engine_kvm_ops.drop_write_rights(rig->vm);
	for (unsigned page = 0; page < RAM_PAGES; page++) {
		if (!atomic_exchange(&rig->dirty[page], 0))
			continue;
		memcpy(rig->copy + (size_t)page * PAGE, rig->ram + (size_t)page * PAGE,
		       PAGE);
		count++;
	}
	return count;
}

static void stop(struct rig *rig)
{
	engine_kvm_ops.vp_kick(rig->vp);
	pthread_join(rig->thread, NULL);
}

TEST_TIMEOUT(guest_that_writes_while_it_is_copied_loses_no_page_on_kvm, 120)
{
	static struct rig rig;
	const char *why = rig_start(&rig);
	unsigned last, in_between = 0;

	if (why)
		SKIP("%s", why);
	ASSERT_OK(load(&rig));
	memcpy(rig.copy, rig.ram, RAM_SIZE);
	ASSERT_EQ(pthread_create(&rig.thread, NULL, run, &rig), 0);
	for (unsigned round = 0; round < 50; round++) {
		wait_for_writes(&rig, 500);
		in_between += harvest(&rig);
	}
	wait_for_writes(&rig, 500);
	stop(&rig);
	ASSERT_EQ(rig.exit, ENGINE_KICKED);
	/* Control: without the last harvest pages are missing. */
	ASSERT(memcmp(rig.copy, rig.ram, RAM_SIZE) != 0);
	last = harvest(&rig);
	ASSERT(in_between > 50 * 100 && last > 100);
	ASSERT_MEM(rig.copy, rig.ram, RAM_SIZE);
	/* Nothing moves any more, so nothing is dirty any more. */
	ASSERT_EQ(harvest(&rig), 0);
	rig_stop(&rig);
}

TEST_TIMEOUT(slot_that_is_mapped_anew_on_kvm_keeps_what_its_log_had, 60)
{
	static struct rig rig;
	const char *why = rig_start(&rig);
	struct engine_slot pieces[2];
	struct err err = { 0 };

	if (why)
		SKIP("%s", why);
	ASSERT_OK(load(&rig));
	memcpy(rig.copy, rig.ram, RAM_SIZE);
	ASSERT_EQ(pthread_create(&rig.thread, NULL, run, &rig), 0);
	wait_for_writes(&rig, 500);
	stop(&rig);
	ASSERT_EQ(rig.exit, ENGINE_KICKED);
	/* Cut in two, the first without a log, as a mapping of the worker's does it. */
	pieces[0] = pieces[1] = rig.slot;
	pieces[0].size = (DATA_PAGE + DATA_PAGES / 2) * PAGE;
	pieces[0].log = false;
	pieces[1].gpa = pieces[0].size;
	pieces[1].size = RAM_SIZE - pieces[0].size;
	pieces[1].host += pieces[0].size;
	pieces[1].ram_page = pieces[0].size / PAGE;
	ASSERT_EQ(engine_kvm_ops.map_changed(rig.vm, pieces, 2, &err), 0);
	ASSERT(harvest(&rig) > 100);
	ASSERT_MEM(rig.copy, rig.ram, RAM_SIZE);
	rig_stop(&rig);
}
