/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest: arbitrary code in every mode, with arbitrary registers and page tables that may
 * point to RAM, ROM, MMIO and nowhere. Whatever it does, vp_run comes back when it is kicked, and
 * nothing asserts or crashes. Input: a byte of mode, a byte of switches, then patches of the
 * tables (count, then index and entry each), then registers and code.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "hv/engine.h"
#include "unit/quiet_bus.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RAM_SIZE 0x400000ull
#define TABLES 0x1000 /* six pages */
#define CODE 0x10000
#define ROM 0x800000ull

static u8 *ram, rom[4096];
static _Atomic u8 code_map[RAM_SIZE >> 12], dirty_map[RAM_SIZE >> 12];
static struct engine_vm *vm;
static struct engine_vp *vp;

static void bus_resolve(void *arg, gpa_t gpa, struct x86_page *ret_page)
{
	if (gpa < RAM_SIZE)
		*ret_page = (struct x86_page){
			.host = ram + (gpa & ~0xfffull),
			.code = &code_map[gpa >> 12],
			.dirty = &dirty_map[gpa >> 12],
			.ram_page = gpa >> 12,
			.writable = true,
		};
	else if (gpa >> 12 == ROM >> 12)
		*ret_page = (struct x86_page){ .host = rom };
}

static u32 bus_pio_read(void *arg, u16 port, unsigned size)
{
	return port * 0x01010101u;
}

static void bus_pio_write(void *arg, u16 port, unsigned size, u32 value) {}

static void bus_pio_read_string(void *arg, u16 port, unsigned size, void *data,
				unsigned count)
{
	memset(data, port, (size_t)size * count);
}

static void bus_pio_write_string(void *arg, u16 port, unsigned size, const void *data,
				 unsigned count)
{
	/* Reads all of it, for the sanitizer. */
	for (size_t n = 0; n < (size_t)size * count; n++)
		(void)((const volatile u8 *)data)[n];
}

static u64 bus_mmio_read(void *arg, gpa_t gpa, unsigned size)
{
	return gpa * 0x9e3779b97f4a7c15ull;
}

static void bus_mmio_write(void *arg, gpa_t gpa, unsigned size, u64 value) {}

static bool bus_msr(void *arg, u32 index, u64 *ret_value)
{
	*ret_value = index;
	return index & 1;
}

static bool bus_msr_write(void *arg, u32 index, u64 value)
{
	return index & 1;
}

static const struct x86_bus_ops bus_ops = {
	QUIET_BUS,
	.resolve = bus_resolve,
	.pio_read = bus_pio_read,
	.pio_write = bus_pio_write,
	.pio_read_string = bus_pio_read_string,
	.pio_write_string = bus_pio_write_string,
	.mmio_read = bus_mmio_read,
	.mmio_write = bus_mmio_write,
	.msr_read = bus_msr,
	.msr_write = bus_msr_write,
	.interrupt_take = quiet_interrupt_take,
};

static void kick(int signal_number)
{
	engine_soft_ops.vp_kick(vp);
}

static void start(void)
{
	struct engine_vm_config config = {
		.vp_count = 1,
		.ram_size = RAM_SIZE,
		.code_map = code_map,
		.dirty_map = dirty_map,
		.kvm_fd = -1,
	};
	struct err err;
	struct sigaction action = { .sa_handler = kick, .sa_flags = SA_RESTART };

	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	if (ram == MAP_FAILED || engine_soft_ops.vm_new(&config, &vm, &err) < 0 ||
	    engine_soft_ops.vp_new(vm, 0, &bus_ops, NULL, &vp, &err) < 0)
		abort();
	sigaction(SIGPROF, &action, NULL);
}

static void put64(u64 at, u64 v)
{
	memcpy(ram + at, &v, 8);
}

static void segments(struct vp_state *s, u16 code, u16 data, u32 limit)
{
	for (unsigned n = 0; n < SEG_COUNT; n++)
		s->seg[n] = (struct vp_segment){ 0, limit, n == SEG_CS ? 0x08 : 0x10,
						 n == SEG_CS ? code : data };
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct vp_state s;
	struct err err;

	if (size < 16)
		return 0;
	if (!vm)
		start();

	const u8 *end = data + size;
	u8 mode = *data++, switches = *data++, patches = *data++ & 15;

	memset(ram, 0, 0x30000);
	engine_soft_ops.drop_code(vm, 0, RAM_SIZE >> 12);
	put64(0x508, mode & 1 ? 0x00cf9b000000ffffull : 0x00af9b000000ffffull);
	put64(0x510, 0x00cf93000000ffffull);
	put64(TABLES, 0x2007);
	put64(TABLES + 0x1000, 0x3007);
	for (u64 n = 0; n < 512; n++)
		put64(TABLES + 0x2000 + n * 8, n << 21 | 0x87);
	put64(TABLES + 0x2008, 0x4007);
	for (u64 n = 0; n < 512; n++)
		put64(TABLES + 0x3000 + n * 8, (n + 0x200) << 12 | 7);

	vp_state_reset(&s, true);
	s.activity = VP_RUNNING;
	s.rflags = 2 | (switches & 1 ? 0x100 : 0) | (switches & 2 ? 0x40000 : 0);
	s.gdtr = (struct vp_table){ 0x500, 0x3f, 0 };
	s.idtr = (struct vp_table){ 0x6000, 0xfff, 0 };
	s.tr = (struct vp_segment){ 0x580, 0x67, 0x30, 0x8b };
	s.rip = CODE;
	switch (mode % 5) {
	case 0: /* long, CPL 0 or 3 */
	case 1:
		segments(&s, mode % 5 ? 0xa0fb : 0xa09b, mode % 5 ? 0xc0f3 : 0xc093, ~0u);
		s.cr0 = 0x80010033;
		s.cr4 = 0x620 | (switches & 4 ? 1u << 20 : 0) |
			(switches & 8 ? 1u << 21 : 0) | (switches & 16 ? 1u << 17 : 0) |
			(switches & 32 ? 1u << 18 : 0);
		s.efer = 0xd01;
		s.cr3 = TABLES;
		break;
	case 2: /* protected, perhaps paged in 32 bits or PAE */
	case 3:
		segments(&s, 0xc09b, 0xc093, ~0u);
		s.cr0 = 0x10033 | (mode % 5 == 3 ? 0x80000000u : 0);
		s.cr4 = 0x610 | (switches & 4 ? 0x20 : 0);
		s.cr3 = switches & 4 ? TABLES + 0x1000 : TABLES + 0x2000;
		break;
	default: /* real */
		segments(&s, 0x9b, 0x93, 0xffff);
		s.seg[SEG_CS] = (struct vp_segment){ CODE, 0xffff, CODE >> 4, 0x9b };
		s.rip = 0;
	}
	for (; patches && end - data >= 10; patches--, data += 10) {
		u16 index;
		u64 entry;

		memcpy(&index, data, 2);
		memcpy(&entry, data + 2, 8);
		put64(TABLES + (index % (6 * 512)) * 8ull, entry);
	}
	for (unsigned n = 0; n < GPR_COUNT && end - data >= 4; n++, data += 4) {
		s32 v;

		memcpy(&v, data, 4);
		s.gpr[n] = v & 1 ? (u64)(s64)v : (u64)v & 0x3fffff;
	}
	size_t code = (size_t)(end - data) < 0x4000 ? (size_t)(end - data) : 0x4000;

	memcpy(ram + CODE + (switches & 64 ? 0xff8 : 0), data, code);
	if (switches & 64)
		s.rip += 0xff8;
	if (engine_soft_ops.vp_set_state(vp, &s, &err) < 0)
		return 0;

	struct itimerval soon = { .it_value = { .tv_usec = 2000 } };

	setitimer(ITIMER_PROF, &soon, NULL);
	engine_soft_ops.vp_run(vp);
	return 0;
}
