/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board of a machine that starts with a BIOS: what is there besides RAM, hv's chips and the VMBus.
 * direct.h drives it through the machine's life:
 *
 *	1. gen1_new
 *	2. gen1_attach	drives, as their images are opened
 *	3. gen1_connect	firmware and its files into the ROM region; hv is told of all of it
 *	4. gen1_pause	no disk works for us any more; then gen1_reset or gen1_save, and gen1_resume
 *	5. gen1_free	paused
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "base/types.h"

struct boot_image;
struct fw_cfg_builder;
struct gen1;
struct pci_bus;
struct guest_memory;
struct scsi_unit;
struct state_writer;
struct worker_end;

struct gen1_parts {
	struct guest_memory *gm;
	struct worker_end *end;
	struct pci_bus *pci; /* connected, reset, saved and restored by its owner */
	u32 vp_count;
	u32 first_slot; /* of the wall, GEN1_SLOTS of them are ours */
};
#define GEN1_SLOTS 14

int gen1_new(const struct gen1_parts *parts, struct gen1 **ret_gen1, struct err *err)
	MUST_CHECK;
void gen1_free(struct gen1 *gen1);

/* The drive shall be this unit: channel and drive 0 or 1. */
int gen1_attach(struct gen1 *gen1, unsigned channel, unsigned drive,
		struct scsi_unit *unit, struct err *err) MUST_CHECK;

/* roms: option ROMs, of a screen for instance. The images are read here and not needed later. */
int gen1_connect(struct gen1 *gen1, const struct boot_image *firmware,
		 const struct boot_image *roms, unsigned rom_count,
		 struct fw_cfg_builder *fw_cfg, struct err *err) MUST_CHECK;

/* done may be called from inside. */
void gen1_pause(struct gen1 *gen1, void (*done)(void *owner), void *owner);
void gen1_resume(struct gen1 *gen1);
/* As at power-on; it goes on. */
void gen1_reset(struct gen1 *gen1);

void gen1_save(const struct gen1 *gen1, struct state_writer *writer);
/* Connected, drives attached, paused. */
int gen1_restore(struct gen1 *gen1, const u8 *bytes, size_t size, struct err *err)
	MUST_CHECK;

void gen1_inspect(const struct gen1 *gen1, struct inspect *out);
