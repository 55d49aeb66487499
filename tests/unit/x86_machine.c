/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of x86_machine.h: engine/soft, one VP, memory and ports by arrays. */
#include "x86_machine.h"

#include "quiet_bus.h"

#define TABLES 0x1000u /* PML4, PDPT, PD, PT, a page each */
#define IDT 0x6000u
#define GDT 0x7000u
#define HANDLERS 0x8000u /* 32 of 16 bytes, each a HLT */
#define PAGE_TABLE (TABLES + 0x3000)

static void put64(struct machine *m, u64 address, u64 v)
{
	memcpy(m->ram + address, &v, 8);
}

/* ---- the bus ----------------------------------------------------------------------------------- */

static void bus_resolve(void *vp, gpa_t gpa, struct x86_page *ret_page)
{
	struct machine *m = vp;
	const u64 page = gpa >> 12;

	*ret_page = (struct x86_page){ 0 };
	if (gpa >= MACHINE_RAM)
		return;
	*ret_page = (struct x86_page){
		.host = m->ram + (page << 12),
		.code = &m->code_map[page],
		.dirty = NULL,
		.ram_page = page,
		.writable = true,
	};
}

static void bus_pio_read_string(void *vp, u16 port, unsigned size, void *data,
				unsigned count)
{
	struct machine *m = vp;

	memcpy(data, m->port_data, (size_t)size * count);
}

static void bus_pio_write_string(void *vp, u16 port, unsigned size, const void *data,
				 unsigned count)
{
	struct machine *m = vp;

	if (m->port_size + size * count > sizeof(m->port_data))
		return;
	memcpy(m->port_data + m->port_size, data, (size_t)size * count);
	m->port_size += size * count;
}

static u32 bus_pio_read(void *vp, u16 port, unsigned size)
{
	u32 v = ~0u;

	bus_pio_read_string(vp, port, size, &v, 1);
	return v;
}

static void bus_pio_write(void *vp, u16 port, unsigned size, u32 value)
{
	bus_pio_write_string(vp, port, size, &value, 1);
}

static u64 bus_mmio_read(void *vp, gpa_t gpa, unsigned size)
{
	return ~0ull;
}

static void bus_mmio_write(void *vp, gpa_t gpa, unsigned size, u64 value) {}

static bool bus_msr_read(void *vp, u32 index, u64 *ret_value)
{
	return false;
}

static const struct x86_bus_ops bus = {
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
	.interrupt_take = quiet_interrupt_take,
};

/* ---- making it --------------------------------------------------------------------------------- */

static void make_tables(struct machine *m)
{
	put64(m, TABLES, (TABLES + 0x1000) | 3);
	put64(m, TABLES + 0x1000, (TABLES + 0x2000) | 3);
	put64(m, TABLES + 0x2000, PAGE_TABLE | 3);
	for (u64 n = 0; n < MACHINE_RAM / 4096; n++)
		put64(m, PAGE_TABLE + 8 * n, n << 12 | 3);
}

/* Flat segments: 8 code, 16 data. Interrupt gates to a HLT each. */
static void make_descriptors(struct machine *m)
{
	put64(m, GDT + 8, m->bits == 64 ? 0x00209b0000000000 : 0x00cf9b000000ffff);
	put64(m, GDT + 16, 0x00cf93000000ffff);
	for (unsigned n = 0; n < 32; n++) {
		const u64 handler = HANDLERS + 16 * n;

		m->ram[handler] = 0xf4;
		if (m->bits == 16) {
			const u32 vector = (u32)handler;

			memcpy(m->ram + 4 * n, &vector, 4);
		} else if (m->bits == 32) {
			put64(m, IDT + 8 * n, 0x00008e0000080000 | handler);
		} else {
			put64(m, IDT + 16 * n, 0x00008e0000080000 | handler);
		}
	}
}

static void make_state(struct machine *m)
{
	struct vp_state *s = &m->s;
	const u16 code = m->bits == 64 ? 0xa09b : 0xc09b;

	vp_state_reset(s, true);
	for (unsigned n = 0; n < SEG_COUNT; n++) {
		if (m->bits == 16)
			s->seg[n] = (struct vp_segment){ .limit = 0xffff, .attr = 0x93 };
		else
			s->seg[n] = (struct vp_segment){
				.selector = n == SEG_CS ? 8 : 16,
				.limit = 0xffffffff,
				.attr = n == SEG_CS ? code : 0xc093,
			};
	}
	s->gdtr = (struct vp_table){ .base = GDT, .limit = 23 };
	s->idtr = (struct vp_table){ .base = m->bits == 16 ? 0 : IDT, .limit = 0xfff };
	s->cr0 = m->bits == 64 ? 0x80010031 : m->bits == 32 ? 0x31 : 0x30;
	if (m->bits == 64) {
		s->cr3 = TABLES;
		s->cr4 = 0x620;
		s->efer = 0x500;
	}
}

struct machine *machine_new(unsigned bits)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct err err;

	if (!m)
		return NULL;
	m->bits = bits;
	m->ram = aligned_alloc(4096, MACHINE_RAM);
	m->code_map = calloc(1, MACHINE_RAM / 4096);
	m->dirty_map = calloc(1, MACHINE_RAM / 4096);
	if (!m->ram || !m->code_map || !m->dirty_map) {
		machine_free(m);
		return NULL;
	}
	memset(m->ram, 0, MACHINE_RAM);
	if (bits == 64)
		make_tables(m);
	make_descriptors(m);
	make_state(m);

	const struct engine_vm_config config = {
		.vp_count = 1,
		.ram_size = MACHINE_RAM,
		.code_map = m->code_map,
		.dirty_map = m->dirty_map,
		.kvm_fd = -1,
	};
	const struct engine_slot slot = {
		.size = MACHINE_RAM,
		.host = m->ram,
		.writable = true,
		.is_ram = true,
	};
	if (engine_soft_ops.vm_new(&config, &m->vm, &err) < 0 ||
	    engine_soft_ops.vp_new(m->vm, 0, &bus, m, &m->vp, &err) < 0 ||
	    engine_soft_ops.map_changed(m->vm, &slot, 1, &err) < 0 ||
	    engine_soft_ops.vp_thread_start(m->vp) < 0) {
		machine_free(m);
		return NULL;
	}
	return m;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	if (m->vp)
		engine_soft_ops.vp_free(m->vp);
	if (m->vm)
		engine_soft_ops.vm_free(m->vm);
	free((void *)m->dirty_map);
	free((void *)m->code_map);
	free(m->ram);
	free(m);
}

/* ---- running ----------------------------------------------------------------------------------- */

/* Real mode reaches 64 KiB by offset alone: its code, data and stack lie lower, by segment bases. */
static u64 offset_of(const struct machine *m, u64 address)
{
	return m->bits == 16 ? address & 0xffff : address;
}

void machine_code(struct machine *m, struct machine_code code)
{
	memcpy(m->ram + MACHINE_CODE, code.bytes, code.size);
	engine_soft_ops.drop_code(m->vm, MACHINE_CODE >> 12, 1);
	m->s.rip = offset_of(m, MACHINE_CODE);
	m->s.gpr[R_SP] = m->bits == 16 ? 0x8000 : MACHINE_STACK;
	m->s.rflags = 2;
	m->s.activity = VP_RUNNING;
	if (m->bits == 16) {
		m->s.seg[SEG_CS].base = MACHINE_CODE;
		m->s.seg[SEG_CS].selector = MACHINE_CODE >> 4;
		for (unsigned n = 0; n < SEG_COUNT; n++) {
			if (n == SEG_CS)
				continue;
			m->s.seg[n].base = n == SEG_SS ? 0x30000 : MACHINE_DATA;
			m->s.seg[n].selector = (u16)(m->s.seg[n].base >> 4);
		}
	}
}

void machine_page(struct machine *m, u64 address, bool present, bool writable)
{
	const u64 entry = PAGE_TABLE + 8 * (address >> 12);

	put64(m, entry, (address & ~0xfffull) | present | (u64)writable << 1);
}

/* What the exception pushed. */
static void read_frame(struct machine *m)
{
	static const u32 with_code = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 |
				     1u << 14 | 1u << 17;
	const unsigned slot = m->bits / 8;
	const bool has_code = m->bits != 16 && (with_code >> m->vector & 1);
	u64 at = m->s.gpr[R_SP] + m->s.seg[SEG_SS].base;
	u64 v[6] = { 0 };

	for (unsigned n = 0; n < 6; n++)
		memcpy(&v[n], m->ram + at + n * slot, slot);
	m->error_code = has_code ? (u32)v[0] : 0;
	const u64 *frame = v + has_code;
	m->fault_rip = frame[0];
	m->s.rflags = frame[2];
	m->s.gpr[R_SP] = m->bits == 64 ? frame[3]
				       : m->s.gpr[R_SP] + (3 + has_code) * slot;
}

bool machine_run(struct machine *m)
{
	struct err err;
	enum engine_exit result;
	u64 rip;

	CHECK_EQ(engine_soft_ops.vp_set_state(m->vp, &m->s, &err), 0);
	result = engine_soft_ops.vp_run(m->vp);
	CHECK_EQ(engine_soft_ops.vp_get_state(m->vp, &m->s), 0);
	m->fault_cr2 = m->s.cr2;
	if (result != ENGINE_HALTED) {
		m->vector = result == ENGINE_KICKED ? MACHINE_SPUN : MACHINE_DIED;
		return true;
	}
	rip = m->s.rip - 1;
	if (rip >= HANDLERS && rip < HANDLERS + 32 * 16) {
		m->vector = (int)(rip - HANDLERS) / 16;
		read_frame(m);
	} else {
		m->vector = MACHINE_HALTED;
	}
	return true;
}
