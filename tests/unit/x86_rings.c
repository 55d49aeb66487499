/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of x86_rings.h. */
#include "x86_rings.h"

void rings_put(struct machine *m, u64 address, u64 value, unsigned size)
{
	memcpy(m->ram + address, &value, size);
}

u64 rings_get(const struct machine *m, u64 address, unsigned size)
{
	u64 v = 0;

	memcpy(&v, m->ram + address, size);
	return v;
}

u64 rings_segment(u32 base, u32 limit, u8 type, u8 flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

void rings_descriptor(struct machine *m, u16 selector, u64 raw, u64 high)
{
	rings_put(m, RINGS_GDT + (selector & ~7u), raw, 8);
	if (m->bits == 64 && !(raw & BIT64(44)))
		rings_put(m, RINGS_GDT + (selector & ~7u) + 8, high, 8);
}

u64 rings_read_descriptor(const struct machine *m, u16 selector)
{
	return rings_get(m, RINGS_GDT + (selector & ~7u), 8);
}

void rings_gate(struct machine *m, unsigned vector, u16 selector, u64 offset, u8 type,
		unsigned ist)
{
	u64 raw = (offset & 0xffff) | (u64)selector << 16 | (u64)ist << 32 |
		  (u64)type << 40 | (offset >> 16 & 0xffff) << 48;

	if (m->bits == 64) {
		rings_put(m, RINGS_IDT + 16 * vector, raw, 8);
		rings_put(m, RINGS_IDT + 16 * vector + 8, offset >> 32, 8);
	} else {
		rings_put(m, RINGS_IDT + 8 * vector, raw, 8);
	}
}

/* Every page becomes the user's too. */
static void open_pages(struct machine *m)
{
	u64 table = m->s.cr3;

	for (unsigned level = 0; level < 4; level++) {
		u64 next = rings_get(m, table, 8) & ~0xfffull;

		for (unsigned n = 0; n < 512; n++) {
			u64 entry = rings_get(m, table + 8 * n, 8);

			if (entry & 1)
				rings_put(m, table + 8 * n, entry | 4, 8);
		}
		table = next;
	}
}

struct machine *rings_new(unsigned bits)
{
	struct machine *m = machine_new(bits);
	u8 code_flags = bits == 64 ? 0xa : 0xc;

	if (!m)
		return NULL;
	if (bits == 64)
		open_pages(m);
	rings_put(m, RINGS_GDT + RINGS_CODE, rings_segment(0, 0xfffff, 0x9b, code_flags),
		  8);
	rings_put(m, RINGS_GDT + RINGS_DATA, rings_segment(0, 0xfffff, 0x93, 0xc), 8);
	rings_put(m, RINGS_GDT + (RINGS_USER_CODE & ~7),
		  rings_segment(0, 0xfffff, 0xfb, 0xc), 8);
	rings_put(m, RINGS_GDT + (RINGS_USER_DATA & ~7),
		  rings_segment(0, 0xfffff, 0xf3, 0xc), 8);
	rings_put(m, RINGS_GDT + (RINGS_USER_CODE64 & ~7),
		  rings_segment(0, 0xfffff, 0xfb, 0xa), 8);
	rings_descriptor(m, RINGS_TSS, rings_segment(RINGS_TSS_BASE, 0x67, 0x8b, 0), 0);
	for (unsigned n = 0; n < 256; n++) {
		bool user = n == 3 || n == 4 || n == RINGS_SYSCALL;

		m->ram[RINGS_HANDLERS + 16 * n] = 0xf4;
		rings_gate(m, n, RINGS_CODE, RINGS_HANDLERS + 16 * n, user ? 0xee : 0x8e,
			   0);
	}
	if (bits == 64) {
		rings_put(m, RINGS_TSS_BASE + 4, RINGS_STACK0, 8);
		rings_put(m, RINGS_TSS_BASE + 0x24, RINGS_IST1, 8);
	} else {
		rings_put(m, RINGS_TSS_BASE + 4, RINGS_STACK0, 4);
		rings_put(m, RINGS_TSS_BASE + 8, RINGS_DATA, 4);
	}
	rings_put(m, RINGS_TSS_BASE + 0x66, 0x68, 2);
	m->s.gdtr = (struct vp_table){ .base = RINGS_GDT, .limit = 0xff };
	m->s.idtr = (struct vp_table){ .base = RINGS_IDT, .limit = 0xfff };
	m->s.tr = (struct vp_segment){
		.base = RINGS_TSS_BASE, .limit = 0x67, .selector = RINGS_TSS, .attr = 0x8b
	};
	return m;
}

void rings_user(struct machine *m)
{
	for (unsigned n = 0; n < SEG_COUNT; n++)
		m->s.seg[n] = (struct vp_segment){ .limit = 0xffffffff,
						   .selector = RINGS_USER_DATA,
						   .attr = 0xc0f3 };
	m->s.seg[SEG_CS].selector = m->bits == 64 ? RINGS_USER_CODE64 : RINGS_USER_CODE;
	m->s.seg[SEG_CS].attr = m->bits == 64 ? 0xa0fb : 0xc0fb;
}

void rings_code_at(struct machine *m, u64 address, struct machine_code code)
{
	memcpy(m->ram + address, code.bytes, code.size);
}

int rings_run(struct machine *m)
{
	enum engine_exit result;
	struct err err;
	u64 rip;

	if (engine_soft_ops.vp_set_state(m->vp, &m->s, &err) < 0) {
		harness_fail(__FILE__, __LINE__, "%s", err.text);
		return -3;
	}
	result = engine_soft_ops.vp_run(m->vp);
	if (engine_soft_ops.vp_get_state(m->vp, &m->s) < 0)
		return -3;
	if (result == ENGINE_TRIPLE_FAULT)
		return RINGS_DIED;
	if (result != ENGINE_HALTED)
		return -3;
	rip = m->s.rip - 1;
	if (rip < RINGS_HANDLERS || rip >= RINGS_HANDLERS + 0x1000)
		return RINGS_ELSEWHERE;
	return (int)(rip - RINGS_HANDLERS) / 16;
}

u64 rings_frame(const struct machine *m, unsigned n)
{
	unsigned slot = m->bits / 8;

	return rings_get(m, m->s.gpr[R_SP] + n * slot, slot);
}
