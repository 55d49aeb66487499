/* SPDX-License-Identifier: Apache-2.0 */
/* The state that a kernel begins with; see entry.h. SDM volume 3, sections 3.4.5, 4.5, 11.11. */
#include "boot/entry.h"

#include <errno.h>

#include "abi/linux_boot.h"
#include "wall/guest_memory.h"

enum {
	CR0_PE = 1u << 0,
	CR0_ET = 1u << 4,
	CR4_PAE = 1u << 5,
	EFER_LME = 1u << 8,
	EFER_LMA = 1u << 10,
	PTE_P = 1u << 0,
	PTE_RW = 1u << 1,
	PTE_A = 1u << 5,
	PTE_D = 1u << 6,
	PTE_PS = 1u << 7,
	MEMORY_UC = 0,
	MEMORY_WB = 6,
	MTRR_FIXED_ENABLE = 1u << 10,
	MTRR_ENABLE = 1u << 11,
};
#define CR0_PG 0x80000000u
#define MTRR_MASK_VALID BIT64(11)

#define CODE_64 (SEG_ATTR_G | SEG_ATTR_L | SEG_ATTR_P | SEG_ATTR_S | 0xb)
#define CODE_32 (SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_P | SEG_ATTR_S | 0xb)
#define DATA_32 (SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_P | SEG_ATTR_S | 0x3)
#define TSS_BUSY (SEG_ATTR_P | 0xb)
#define TSS_LIMIT 0x67u

void entry_set_memory_types(struct vp_state *state)
{
	state->mtrr_def_type = MTRR_ENABLE | MTRR_FIXED_ENABLE | MEMORY_WB;
	for (unsigned i = 0; i < ARRAY_COUNT(state->mtrr_fixed); i++)
		state->mtrr_fixed[i] = 0x0606060606060606;
	/* 64K_00000, 16K_80000, 16K_A0000: the third is the VGA window. */
	state->mtrr_fixed[2] = 0;
	/* 3 GiB to 4 GiB are devices. The mask is as wide as the map of addresses. */
	state->mtrr_base[0] = GM_LOW_MAX | MEMORY_UC;
	state->mtrr_mask[0] = ((BIT64(40) - 1) & ~(GM_HIGH_BASE - GM_LOW_MAX - 1)) |
			      MTRR_MASK_VALID;
}

/* A descriptor's eight bytes out of the parts that vp_segment keeps apart. */
static u64 descriptor(u32 base, u32 limit, u16 attr)
{
	u32 scaled = attr & SEG_ATTR_G ? limit >> 12 : limit;

	return (scaled & 0xffff) | (u64)(base & 0xffffff) << 16 |
	       (u64)(attr & 0xf0ff) << 40 | (u64)(scaled & 0xf0000) << 32 |
	       (u64)(base >> 24) << 56;
}

static int set_segments(struct vp_state *state, struct guest_memory *gm, gpa_t gdt,
			u16 code)
{
	const u64 table[ENTRY_GDT_SIZE / 8] = {
		[LINUX_BOOT_CS / 8] = descriptor(0, UINT32_MAX, code),
		[LINUX_BOOT_DS / 8] = descriptor(0, UINT32_MAX, DATA_32),
		[LINUX_BOOT_TSS / 8] = descriptor(0, TSS_LIMIT, TSS_BUSY),
	};
	u64 ticket = 0;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		state->seg[i] = (struct vp_segment){
			.selector = i == SEG_CS ? LINUX_BOOT_CS : LINUX_BOOT_DS,
			.limit = UINT32_MAX,
			.attr = i == SEG_CS ? code : DATA_32,
		};
	state->tr = (struct vp_segment){
		.selector = LINUX_BOOT_TSS,
		.limit = TSS_LIMIT,
		.attr = TSS_BUSY,
	};
	state->ldtr = (struct vp_segment){ 0 };
	state->gdtr = (struct vp_table){ .base = gdt, .limit = ENTRY_GDT_SIZE - 1 };
	state->idtr = (struct vp_table){ 0 };
	return gm_write(gm, gdt, table, sizeof table, &ticket);
}

int entry_flat_32(struct vp_state *state, struct guest_memory *gm, gpa_t gdt, u32 entry)
{
	state->cr0 = CR0_PE | CR0_ET;
	state->rip = entry;
	return set_segments(state, gm, gdt, CODE_32);
}

int entry_long_64(struct vp_state *state, struct guest_memory *gm, gpa_t gdt, gpa_t pages,
		  u64 entry)
{
	/* One PML4, one PDPT, four directories of 2 MiB pages. */
	u64 tables[6][512] = { 0 };
	u64 ticket = 0;

	tables[0][0] = (pages + 4096) | PTE_P | PTE_RW | PTE_A;
	for (u64 gib = 0; gib < 4; gib++) {
		tables[1][gib] = (pages + 4096 * (2 + gib)) | PTE_P | PTE_RW | PTE_A;
		for (u64 i = 0; i < 512; i++)
			tables[2 + gib][i] = (gib << 30 | i << 21) | PTE_P | PTE_RW |
					     PTE_A | PTE_D | PTE_PS;
	}
	int r = gm_write(gm, pages, tables, sizeof tables, &ticket);
	if (r < 0)
		return r;
	state->cr0 = CR0_PE | CR0_ET | CR0_PG;
	state->cr3 = pages;
	state->cr4 = CR4_PAE;
	state->efer = EFER_LME | EFER_LMA;
	state->rip = entry;
	return set_segments(state, gm, gdt, CODE_64);
}
