/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF executable, 32 or 64 bits, read with distrust: the segments that multiboot and PVH
 * kernels are made of, and their notes. Only physical addresses count.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "boot/load.h"

#define ELF_MAX_SEGMENTS 64

struct elf_part {
	u32 type; /* ELF_SEGMENT_... */
	u64 offset, vaddr, paddr, file_size, memory_size;
};

struct elf {
	bool is_64;
	u64 entry; /* virtual */
	unsigned count;
	struct elf_part part[ELF_MAX_SEGMENTS];
};

/* *ret_mine: does it begin as an ELF file for x86? With -errno it does, and is broken. */
int elf_read(const struct boot_image *image, const u8 head[LOADER_HEAD],
	     struct elf *ret_elf, bool *ret_mine, struct err *err) MUST_CHECK;

/* Claim and fill what the LOAD segments say. *ret_end: behind the highest byte of them. */
int elf_load(const struct elf *elf, struct loader *loader, u64 *ret_end, struct err *err)
	MUST_CHECK;

/* Where the entry lies in physical memory; false where no segment holds it. */
bool elf_physical_entry(const struct elf *elf, u64 *ret_entry);

/*
 * The contents of the first note of this name and type, 0 to max bytes. *ret_size: its size;
 * *ret_found false when there is none.
 */
int elf_find_note(const struct elf *elf, const struct boot_image *image, const char *name,
		  u32 type, u8 *ret_content, u32 max, u32 *ret_size, bool *ret_found,
		  struct err *err) MUST_CHECK;
