/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor state that a loaded kernel begins with: flat 32-bit protected mode, or long mode
 * with the first 4 GiB mapped to themselves. Interrupts off. Tables that the state needs are
 * written to the places that the loader found for them.
 */
#pragma once

#include "base/types.h"
#include "wall/vp_state.h"

struct guest_memory;

/* Bytes of the descriptor table and of the page tables, each at a multiple of its alignment. */
#define ENTRY_GDT_SIZE 0x28u
#define ENTRY_GDT_ALIGN 16u
#define ENTRY_PAGES_SIZE (6u * 4096)
#define ENTRY_PAGES_ALIGN 4096u

/* Memory types: write-back but for the hole below 4 GiB and the VGA window. Every VP. */
void entry_set_memory_types(struct vp_state *state);

/* CS 0x10, DS-SS 0x18, TR 0x20; paging off; EIP = entry. */
int entry_flat_32(struct vp_state *state, struct guest_memory *gm, gpa_t gdt, u32 entry)
	MUST_CHECK;
/* The same selectors; long mode; RIP = entry. */
int entry_long_64(struct vp_state *state, struct guest_memory *gm, gpa_t gdt, gpa_t pages,
		  u64 entry) MUST_CHECK;
