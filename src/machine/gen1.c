/* SPDX-License-Identifier: Apache-2.0 */
/* The board with a BIOS, in power-on order; see gen1.h. Loop thread. */
#include "machine/gen1.h"

#include <errno.h>
#include <stdio.h>

#include "abi/board.h"
#include "base/log.h"
#include "board/firmware_log.h"
#include "board/i440bx.h"
#include "board/ide.h"
#include "board/pci.h"
#include "board/piix4.h"
#include "boot/firmware.h"
#include "scsi/unit.h"
#include "wall/guest_memory.h"
#include "wall/worker_end.h"

_Static_assert(GEN1_SLOTS == 1 + I440BX_PIECES, "the ROM at its own place, and its "
						"shadows");

struct gen1 {
	struct gen1_parts parts;
	u64 rom_size; /* of the firmware, at the beginning of the ROM region */
	struct i440bx bridge;
	struct piix4 south;
	struct ide *ide;
	struct firmware_log log;
	char boot_order[512];
};

static void map_piece(void *owner, unsigned piece, gpa_t gpa, u64 size,
		      enum i440bx_kind kind);
static void set_ide_line(void *owner, unsigned channel, bool level);
static int map_rom(struct gen1 *g, struct err *err);

/* ---- power-on -------------------------------------------------------------------------------- */

int gen1_new(const struct gen1_parts *parts, struct gen1 **ret_gen1, struct err *err)
{
	struct gen1 *g = calloc(1, sizeof *g);
	const struct ide_config ide = { .gm = parts->gm,
					.set_line = set_ide_line,
					.owner = g };
	struct pci_function *functions[4];
	int r = g ? ide_new(&ide, &g->ide) : -ENOMEM;

	if (r < 0) {
		free(g);
		return err_set(err, r, "board: %s", err_words(r));
	}
	g->parts = *parts;
	i440bx_init(&g->bridge, map_piece, g);
	piix4_init(&g->south, g->ide, parts->end);
	functions[0] = &g->bridge.function;
	functions[1] = &g->south.isa;
	functions[2] = &g->south.ide;
	functions[3] = &g->south.pm;
	for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(functions); k++)
		r = pci_bus_add(parts->pci, functions[k]);
	if (r < 0) {
		gen1_free(g);
		return err_set(err, r, "PCI bus: %s", err_words(r));
	}
	*ret_gen1 = g;
	return 0;
}

/* The firmware, its files, and where everything answers. */
int gen1_connect(struct gen1 *g, const struct boot_image *firmware,
		 const struct boot_image *roms, unsigned rom_count,
		 struct fw_cfg_builder *fw_cfg, struct err *err)
{
	const struct firmware_facts facts = {
		.ram_size = gm_ram_size(g->parts.gm),
		.vp_count = g->parts.vp_count,
		.boot_order = g->boot_order,
		.rom = roms,
		.rom_count = rom_count,
		/* Without a screen its text is COM1's. */
		.serial_screen = rom_count == 0,
	};
	int r = firmware_check(firmware, err);

	g->rom_size = firmware->size;
	if (r == 0)
		r = firmware_load(firmware, fw_cfg, err);
	if (r == 0)
		r = fw_cfg_add_machine(fw_cfg, facts.ram_size, facts.vp_count, err);
	if (r == 0)
		r = firmware_add_files(&facts, fw_cfg, err);
	if (r == 0)
		r = fw_cfg_end(fw_cfg, err);
	if (r == 0)
		r = map_rom(g, err);
	if (r == 0)
		r = firmware_log_connect(&g->log, g->parts.end, err);
	return r < 0 ? r : ide_connect(g->ide, g->parts.end, err);
}

/* ---- life ------------------------------------------------------------------------------------ */

void gen1_free(struct gen1 *g)
{
	if (!g)
		return;
	ide_free(g->ide);
	free(g);
}

void gen1_pause(struct gen1 *g, void (*done)(void *owner), void *owner)
{
	ide_pause(g->ide, done, owner);
}

void gen1_resume(struct gen1 *g)
{
	ide_resume(g->ide);
}

void gen1_reset(struct gen1 *g)
{
	firmware_log_reset(&g->log);
	ide_reset(g->ide);
}

void gen1_save(const struct gen1 *g, struct state_writer *w)
{
	ide_save(g->ide, w);
}

int gen1_restore(struct gen1 *g, const u8 *bytes, size_t size, struct err *err)
{
	int r = ide_restore(g->ide, bytes, size);

	return r < 0 ? err_set(err, r, "restore the board: %s", err_words(r)) : 0;
}

void gen1_inspect(const struct gen1 *g, struct inspect *out)
{
	i440bx_inspect(&g->bridge, out);
	ide_inspect(g->ide, out);
	firmware_log_inspect(&g->log, out);
}

/* ---- drives ---------------------------------------------------------------------------------- */

/* The firmware tries drives in the order in which they came: a line each. */
static void add_to_boot_order(struct gen1 *g, unsigned channel, unsigned drive)
{
	size_t used = strlen(g->boot_order);

	snprintf(g->boot_order + used, sizeof g->boot_order - used,
		 "/pci@i0cf8/ide@1,1/drive@%u/disk@%u\n", channel, drive);
}

int gen1_attach(struct gen1 *g, unsigned channel, unsigned drive, struct scsi_unit *unit,
		struct err *err)
{
	int r = ide_attach(g->ide, channel, drive, unit);

	if (r == 0)
		add_to_boot_order(g, channel, drive);
	if (r == -EMEDIUMTYPE) {
		err_set(err, r,
			"IDE knows sectors of 512 bytes alone, this disk has "
			"larger ones");
		return err_fix(err, "use bus=scsi");
	}
	return r < 0 ? err_set(err, r, "%s", err_words(r)) : 0;
}

static void set_ide_line(void *owner, unsigned channel, bool level)
{
	struct gen1 *g = owner;

	/* hv that takes nothing any more is gone; the loop hears of it. */
	(void)worker_set_line(g->parts.end,
			      channel == 0 ? BOARD_IRQ_IDE0 : BOARD_IRQ_IDE1, level);
}

/* ---- the ROM --------------------------------------------------------------------------------- */

/* Its place below 4 GiB, where processors begin, and the shadows. */
static int map_rom(struct gen1 *g, struct err *err)
{
	const struct worker_map map = {
		.slot = g->parts.first_slot,
		.kind = WALL_MAP_ROM,
		.gpa = (1ull << 32) - g->rom_size,
		.size = g->rom_size,
		.region = WALL_REGION_ROM,
	};
	int r = worker_map(g->parts.end, &map, err);

	if (r == 0)
		i440bx_map_all(&g->bridge);
	return r;
}

/* A piece below 1 MiB. RAM is always there, below what is mapped over it. */
static void map_piece(void *owner, unsigned piece, gpa_t gpa, u64 size,
		      enum i440bx_kind kind)
{
	struct gen1 *g = owner;
	u64 from_end = (1u << 20) - gpa;
	bool rom = kind == I440BX_ROM && from_end <= FIRMWARE_LOW_SIZE &&
		   from_end <= g->rom_size;
	struct worker_map map = { .slot = g->parts.first_slot + 1 + piece,
				  .kind = WALL_MAP_NONE };
	struct err err = { 0 };

	if (rom) {
		map.kind = WALL_MAP_ROM;
		map.region = WALL_REGION_ROM;
		map.offset = g->rom_size - from_end;
	} else if (kind == I440BX_READ_ONLY) {
		map.kind = WALL_MAP_RO;
		map.region = WALL_REGION_RAM;
		map.offset = gpa;
	}
	if (map.kind != WALL_MAP_NONE) {
		map.gpa = gpa;
		map.size = size;
	}
	if (worker_map(g->parts.end, &map, &err) < 0)
		log_warn("memory at %#llx: %s", (unsigned long long)gpa, err.text);
}
