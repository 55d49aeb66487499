/* SPDX-License-Identifier: Apache-2.0 */
/* The board of the processor's tests: soft_board.h. */
#include "soft_board.h"

#include <sys/mman.h>

#include "quiet_bus.h"
#include "x86/jit/jit.h"

static void bus_resolve(void *arg, gpa_t gpa, struct x86_page *ret_page)
{
	struct board_vp *vp = arg;
	struct board *m = vp->board;

	if (gpa < RAM_SIZE) {
		*ret_page = (struct x86_page){
			.host = m->ram + (gpa & ~0xfffull),
			.code = &m->code_map[gpa >> 12],
			.dirty = m->log_dirty ? &m->dirty_map[gpa >> 12] : NULL,
			.ram_page = gpa >> 12,
			.span = RAM_SIZE - (gpa & ~0xfffull),
			.writable = true,
		};
	} else if (gpa >> 12 == ROM >> 12) {
		*ret_page = (struct x86_page){ .host = m->rom };
	}
}

static void note(struct board *m, bool mmio, u64 address, unsigned size, u64 value)
{
	u32 n = atomic_fetch_add(&m->out_count, 1) % ARRAY_COUNT(m->out);

	m->out[n].mmio = mmio;
	m->out[n].address = address;
	m->out[n].size = size;
	m->out[n].value = value;
}

static u32 bus_pio_read(void *arg, u16 port, unsigned size)
{
	struct board_vp *vp = arg;

	return (u32)vp->board->in_value;
}

static void bus_pio_write(void *arg, u16 port, unsigned size, u32 value)
{
	struct board_vp *vp = arg;
	struct board *m = vp->board;

	note(m, false, port, size, value);
	if (m->on_out)
		m->on_out(m, port, value);
}

static void bus_pio_read_string(void *arg, u16 port, unsigned size, void *data,
				unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		u32 v = bus_pio_read(arg, port, size);

		memcpy((u8 *)data + n * size, &v, size);
	}
}

static void bus_pio_write_string(void *arg, u16 port, unsigned size, const void *data,
				 unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		u32 v = 0;

		memcpy(&v, (const u8 *)data + n * size, size);
		bus_pio_write(arg, port, size, v);
	}
}

static u64 bus_mmio_read(void *arg, gpa_t gpa, unsigned size)
{
	struct board_vp *vp = arg;

	return gpa >= MMIO ? vp->board->in_value : ~0ull;
}

static void bus_mmio_write(void *arg, gpa_t gpa, unsigned size, u64 value)
{
	struct board_vp *vp = arg;

	note(vp->board, true, gpa, size, value);
}

static bool bus_msr_read(void *arg, u32 index, u64 *ret_value)
{
	*ret_value = 0;
	return index == 0x1b;
}

static int bus_interrupt_take(void *arg)
{
	struct board_vp *vp = arg;

	return atomic_exchange(&vp->vector, -1);
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
	.msr_read = bus_msr_read,
	.msr_write = quiet_msr_write,
	.interrupt_take = bus_interrupt_take,
};

bool board_start(struct board *m, unsigned vps)
{
	struct err err = { 0 };

	memset(m, 0, sizeof(*m));
	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	CHECK(m->ram != MAP_FAILED);
	m->code_map = calloc(RAM_SIZE >> 12, 1);
	m->dirty_map = calloc(RAM_SIZE >> 12, 1);
	CHECK(m->code_map && m->dirty_map);

	/* Everything that runs twice is translated, in all shapes that there are, whatever the clock says. */
	x86_jit_threshold = 1;
	x86_jit_patience = (struct x86_jit_patience){ UINT64_MAX, UINT64_MAX, UINT64_MAX,
						      UINT64_MAX };
	struct engine_vm_config config = {
		.kind = BOARD_TRANSLATES ? HV_ENGINE_SOFT : HV_ENGINE_INTERP,
		.vp_count = vps,
		.ram_size = RAM_SIZE,
		.code_map = m->code_map,
		.dirty_map = m->dirty_map,
		.kvm_fd = -1,
	};

	CHECK_EQ(engine_soft_ops.vm_new(&config, &m->vm, &err), 0);
	for (unsigned n = 0; n < vps; n++) {
		m->vp[n].board = m;
		m->vp[n].index = n;
		m->vp[n].vector = -1;
		CHECK_EQ(engine_soft_ops.vp_new(m->vm, n, &bus_ops, &m->vp[n],
						&m->vp[n].vp, &err),
			 0);
	}
	m->vp_count = vps;
	return true;
}

void board_stop(struct board *m)
{
	for (unsigned n = 0; n < m->vp_count; n++)
		engine_soft_ops.vp_free(m->vp[n].vp);
	engine_soft_ops.vm_free(m->vm);
	munmap(m->ram, RAM_SIZE);
	free((void *)m->code_map);
	free((void *)m->dirty_map);
}

void board_put(struct board *m, u64 at, const struct guest_code *code)
{
	u64 size = (u64)(code->end - code->start);

	memcpy(m->ram + at, code->start, size);
	engine_soft_ops.drop_code(m->vm, at >> 12,
				  ((at + size - 1) >> 12) - (at >> 12) + 1);
}

static void segment(struct vp_segment *s, u16 selector, u16 attr, u64 base, u32 limit)
{
	*s = (struct vp_segment){ base, limit, selector, attr };
}

/* Thirty-two handlers of 16 bytes: mov $vector, %al; out %al, $0xf4; hlt. */
static void put_handlers(struct board *m, bool long_mode)
{
	for (unsigned n = 0; n < 256; n++) {
		const u8 code[] = { 0xb0, (u8)n, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd };
		u32 at = HANDLERS + n * 16;

		memcpy(m->ram + at, code, sizeof(code));
		if (long_mode) {
			board_write64(m, IDT_BASE + n * 16ull,
				      (at & 0xffff) | SEL_CODE << 16 | 0x8eull << 40 |
					      (u64)(at >> 16) << 48);
			board_write64(m, IDT_BASE + n * 16ull + 8, 0);
		} else {
			board_write64(m, IDT_BASE + n * 8ull,
				      (at & 0xffff) | SEL_CODE << 16 | 0x8eull << 40 |
					      (u64)(at >> 16) << 48);
		}
	}
}

static void put_gdt(struct board *m, bool long_mode)
{
	board_write64(m, GDT + 0x00, 0);
	board_write64(m, GDT + 0x08,
		      long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull);
	board_write64(m, GDT + 0x10, 0x00cf93000000ffffull);
	board_write64(m, GDT + 0x18, 0x00cffb000000ffffull); /* 32-bit user code */
	board_write64(m, GDT + 0x20, 0x00cff3000000ffffull);
	board_write64(m, GDT + 0x28, 0x00affb000000ffffull);
	board_write64(m, GDT + 0x30, 0x0000890005800067ull); /* TSS at 0x580 */
	board_write64(m, GDT + 0x38, 0);
}

static void start_state(struct board *m, unsigned vp)
{
	struct vp_state *s = &m->state[vp];

	vp_state_reset(s, true);
	s->activity = VP_RUNNING;
	s->rflags = 2;
	s->gpr[R_SP] = STACK - vp * 0x1000;
	s->gdtr = (struct vp_table){ GDT, 0x3f, 0 };
	segment(&s->tr, 0x30, 0x8b, 0x580, 0x67);
	/* RSP0 / ESP0 for handlers that come from CPL 3 */
	board_write64(m, 0x584, 0x1f000);
}

static void flat(struct vp_state *s, u16 code_attr)
{
	segment(&s->seg[SEG_CS], SEL_CODE, code_attr, 0, 0xffffffff);
	for (unsigned n = 0; n < SEG_COUNT; n++) {
		if (n != SEG_CS)
			segment(&s->seg[n], SEL_DATA, 0xc093, 0, 0xffffffff);
	}
}

void board_long_mode(struct board *m, unsigned vp, u64 rip)
{
	struct vp_state *s = &m->state[vp];

	start_state(m, vp);
	put_gdt(m, true);
	put_handlers(m, true);
	board_write64(m, PML4, PDPT | 7);
	board_write64(m, PDPT, PD | 7);
	for (u64 n = 0; n < 512; n++)
		board_write64(m, PD + n * 8, n << 21 | 0x87);
	board_write64(m, PDPT + 8, (PD + 0x2000) | 7);
	board_write64(m, PD + 0x2000, PT | 7);

	flat(s, 0xa09b);
	s->idtr = (struct vp_table){ IDT_BASE, 0xfff, 0 };
	s->cr0 = 0x80010033; /* PG WP NE ET MP PE */
	s->cr3 = PML4;
	s->cr4 = 0x6a0 & ~0x80ull; /* PAE OSFXSR OSXMMEXCPT */
	s->efer = 0xd01;	   /* NXE LMA LME SCE */
	s->rip = rip;
}

void board_user_mode(struct board *m, unsigned vp)
{
	struct vp_state *s = &m->state[vp];

	segment(&s->seg[SEG_CS], SEL_USER_CODE, 0xa0fb, 0, 0xffffffff);
	for (unsigned n = 0; n < SEG_COUNT; n++) {
		if (n != SEG_CS)
			segment(&s->seg[n], SEL_USER_DATA, 0xc0f3, 0, 0xffffffff);
	}
}

void board_protected_mode(struct board *m, unsigned vp, u32 eip)
{
	struct vp_state *s = &m->state[vp];

	start_state(m, vp);
	put_gdt(m, false);
	put_handlers(m, false);
	flat(s, 0xc09b);
	s->idtr = (struct vp_table){ IDT_BASE, 0x7ff, 0 };
	s->cr0 = 0x10033;
	s->rip = eip;
}

void board_real_mode(struct board *m, unsigned vp, u32 base)
{
	struct vp_state *s = &m->state[vp];

	start_state(m, vp);
	for (unsigned n = 0; n < SEG_COUNT; n++)
		segment(&s->seg[n], 0, 0x93, 0, 0xffff);
	segment(&s->seg[SEG_CS], (u16)(base >> 4), 0x9b, base, 0xffff);
	s->gpr[R_SP] = 0xf000;
	s->rip = 0;
}

void board_page(struct board *m, unsigned n, u64 pte)
{
	board_write64(m, PT + n * 8ull, pte);
}

enum engine_exit board_run(struct board *m, unsigned vp)
{
	struct err err = { 0 };

	if (engine_soft_ops.vp_set_state(m->vp[vp].vp, &m->state[vp], &err) < 0) {
		harness_fail(__FILE__, __LINE__, "state refused: %s", err.text);
		return ENGINE_FAILED;
	}
	atomic_store(&m->out_count, 0);
	return board_continue(m, vp);
}

enum engine_exit board_continue(struct board *m, unsigned vp)
{
	enum engine_exit r;

	if (!m->vp[vp].thread || !pthread_equal(m->vp[vp].thread, pthread_self())) {
		m->vp[vp].thread = pthread_self();
		if (engine_soft_ops.vp_thread_start(m->vp[vp].vp) < 0)
			return ENGINE_FAILED;
	}
	do {
		r = engine_soft_ops.vp_run(m->vp[vp].vp);
	} while (r == ENGINE_KICKED);
	engine_soft_ops.vp_get_state(m->vp[vp].vp, &m->state[vp]);
	return r;
}

int board_exception(const struct board *m)
{
	u32 count = atomic_load(&m->out_count);

	if (!count || m->out[(count - 1) % ARRAY_COUNT(m->out)].address != 0xf4)
		return -1;
	return (int)m->out[(count - 1) % ARRAY_COUNT(m->out)].value;
}

u64 board_stack(const struct board *m, unsigned vp, unsigned word)
{
	return board_read64(m, m->state[vp].gpr[R_SP] + word * 8ull);
}
