/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board's ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT. The numbers come from
 * abi/board.h, so that they are what hv answers to.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct guest_memory;

/*
 * Build the tables for VPs with APIC ids 0 to vp_count - 1 as they will lie at base (64-aligned,
 * below 4 GiB) into bytes. pc: with VGA and a PS/2 keyboard and mouse. The RSDP comes first. *ret_size: bytes used. -ENOSPC: size is too small.
 */
int acpi_build(u32 vp_count, bool pc, gpa_t base, u8 *bytes, size_t size,
	       size_t *ret_size) MUST_CHECK;

/* The same into RAM at BOOT_ACPI; *ret_rsdp is 0 where RAM ends before it. */
int acpi_install(struct guest_memory *gm, u32 vp_count, gpa_t *ret_rsdp, struct err *err)
	MUST_CHECK;
