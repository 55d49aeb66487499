/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as a loader sees it: what the guest is told about it (e820), and who has taken which
 * part while kernel, modules and tables find their places.
 *
 *	000000	interrupt vectors, BIOS data		taken
 *	000500	free: boot information goes here
 *	09fc00	extended BIOS data			reserved
 *	0a0000	VGA hole
 *	0e0000	ACPI tables (BOOT_ACPI)			reserved
 *	100000	free to the end of low RAM: kernels, modules
 *	4 GiB	the rest: never used by a loader
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

#define BOOT_LOW_FREE 0x500u
#define BOOT_EBDA 0x9fc00u
#define BOOT_HOLE 0xa0000u
#define BOOT_HOLE_END 0xc0000u
#define BOOT_ACPI 0xe0000u
#define BOOT_ACPI_SIZE 0x20000u
#define BOOT_HIGH 0x100000u /* where RAM goes on for ever */

#define BOOT_RAM 1u /* types as in e820, multiboot and PVH */
#define BOOT_RESERVED 2u

struct boot_region {
	gpa_t base;
	u64 size;
	u32 type;
};
#define BOOT_REGIONS 8

/* The memory map for the guest, sorted; its entries, at most BOOT_REGIONS. */
unsigned boot_memory_map(u64 ram_size, struct boot_region ret_region[BOOT_REGIONS]);

#define BOOT_CLAIMS 96

struct boot_space {
	u64 ram_size, low_size;
	struct boot_claim {
		gpa_t base;
		u64 size;
		const char *what; /* a string that stays */
	} claim[BOOT_CLAIMS];
	unsigned count;
};

void boot_space_init(struct boot_space *space, u64 ram_size);

/*
 * Take [base, base + size) for `what`. -ENOMEM where memory ends before it, -EEXIST where
 * something else lies; the sentence begins with what.
 */
int boot_space_claim(struct boot_space *space, gpa_t base, u64 size, const char *what,
		     struct err *err) MUST_CHECK;

/*
 * Find size bytes at a multiple of align (a power of two) in [min, max) of low RAM, the lowest or the
 * highest place, and take them. -ENOMEM: no room.
 */
enum boot_place { BOOT_LOWEST, BOOT_HIGHEST };
int boot_space_find(struct boot_space *space, enum boot_place place, u64 size, u64 align,
		    gpa_t min, gpa_t max, const char *what, gpa_t *ret_base,
		    struct err *err) MUST_CHECK;

/* "512 MiB", "300 KiB" for messages, rounded up; returns buffer. */
const char *boot_size_words(u64 size, char buffer[32]);
