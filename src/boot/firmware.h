/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that starts with firmware: the firmware's image in the ROM region, and what it is told of
 * the machine by files of fw_cfg: memory map, ACPI tables with orders how to place them, SMBIOS,
 * boot order, option ROMs. SeaBIOS is the witness (src/fw/paravirt.c, romfile_loader.c); firmware that
 * knows no fw_cfg finds memory's size in the CMOS.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "boot/fw_cfg.h"
#include "boot/image.h"

struct guest_memory;

#define FIRMWARE_MAX_SIZE (2u << 20)
#define FIRMWARE_MAX_ROMS 4
#define FIRMWARE_LOW_SIZE (128u << 10) /* of its end, what shows below 1 MiB */

/* -EINVAL: not a multiple of 4 KiB, or larger than FIRMWARE_MAX_SIZE. */
int firmware_check(const struct boot_image *image, struct err *err) MUST_CHECK;

/* Its bytes to the beginning of the ROM region; the builder goes on behind. */
int firmware_load(const struct boot_image *image, struct fw_cfg_builder *b,
		  struct err *err) MUST_CHECK;

struct firmware_facts {
	u64 ram_size;
	u32 vp_count;
	const char *boot_order;	      /* a path a line, "" */
	const struct boot_image *rom; /* option ROMs */
	unsigned rom_count;
	bool serial_screen; /* the text of the firmware's screen goes to COM1 */
};
int firmware_add_files(const struct firmware_facts *facts, struct fw_cfg_builder *b,
		       struct err *err) MUST_CHECK;
