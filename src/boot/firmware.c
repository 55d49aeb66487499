/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware and what it is told; see firmware.h. */
#include "boot/firmware.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "abi/acpi.h"
#include "abi/board.h"
#include "abi/pci.h"
#include "boot/acpi.h"
#include "boot/smbios.h"
#include "boot/space.h"
#include "wall/guest_memory.h"

#define PAGE 4096u
#define TABLES_SIZE (64u << 10)
#define MAX_ROM (256u << 10)

/* ---- the image ------------------------------------------------------------------------------- */

int firmware_check(const struct boot_image *image, struct err *err)
{
	if (image->size % PAGE == 0 && image->size <= FIRMWARE_MAX_SIZE)
		return 0;
	err_set(err, -EINVAL, "firmware '%s' is no ROM image: it has %llu bytes",
		image->name, (unsigned long long)image->size);
	return err_fix(err, "give an image of whole pages of 4 KiB, 2 MiB at most");
}

int firmware_load(const struct boot_image *image, struct fw_cfg_builder *b,
		  struct err *err)
{
	if (image->size > b->rom_size)
		return err_set(err, -ENOSPC, "firmware '%s' does not fit", image->name);
	b->used = image->size;
	return boot_image_read(image, 0, b->rom, image->size, err);
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct e820_entry {
	le64 base, size;
	le32 type;
} PACKED;

/* RAM as hv has it; the firmware takes out what it needs itself. */
static int add_memory(const struct firmware_facts *facts, struct fw_cfg_builder *b,
		      struct err *err)
{
	u64 low = min_u64(facts->ram_size, GM_LOW_MAX);
	const struct e820_entry map[] = {
		{ le64_of(0), le64_of(low), le32_of(BOOT_RAM) },
		{ le64_of(GM_HIGH_BASE), le64_of(facts->ram_size - low),
		  le32_of(BOOT_RAM) },
	};
	u32 count = facts->ram_size > low ? 2 : 1;

	return fw_cfg_add_file(b, "etc/e820", map, count * sizeof map[0], err);
}

/* ---- ACPI ------------------------------------------------------------------------------------ */

enum { LOADER_ALLOCATE = 1, LOADER_POINTER, LOADER_CHECKSUM };
enum { LOADER_HIGH = 1, LOADER_LOW }; /* zones: anywhere, where RSDPs are looked for */

#define LOADER_NAME 56
struct loader_order {
	le32 order;
	union {
		struct {
			char file[LOADER_NAME];
			le32 align;
			u8 zone;
		} PACKED allocate;
		struct {
			char to[LOADER_NAME], from[LOADER_NAME];
			le32 offset;
			u8 size;
		} PACKED pointer;
		struct {
			char file[LOADER_NAME];
			le32 offset, start, size;
		} PACKED checksum;
		u8 bytes[124];
	};
} PACKED;
_Static_assert(sizeof(struct loader_order) == 128, "an order of the table loader");

#define RSDP_FILE "etc/acpi/rsdp"
#define TABLES_FILE "etc/acpi/tables"

/* The tables as acpi_build made them for address 0, and the orders that move them. */
struct placing {
	u8 *bytes;
	size_t size;
	struct loader_order order[64];
	unsigned count;
};

static struct loader_order *next_order(struct placing *p, u32 order)
{
	/* A machine's tables are few and ours. */
	struct loader_order *o = &p->order[p->count++ % ARRAY_COUNT(p->order)];

	*o = (struct loader_order){ .order = le32_of(order) };
	return o;
}

static void allocate(struct placing *p, const char *file, u32 align, u8 zone)
{
	struct loader_order *o = next_order(p, LOADER_ALLOCATE);

	snprintf(o->allocate.file, LOADER_NAME, "%s", file);
	o->allocate.align = le32_of(align);
	o->allocate.zone = zone;
}

/* The number at offset is one of a place in the tables. */
static void point(struct placing *p, const char *file, size_t offset, u8 size)
{
	struct loader_order *o = next_order(p, LOADER_POINTER);

	snprintf(o->pointer.to, LOADER_NAME, "%s", file);
	snprintf(o->pointer.from, LOADER_NAME, "%s", TABLES_FILE);
	o->pointer.offset = le32_of((u32)offset);
	o->pointer.size = size;
}

static void sum(struct placing *p, const char *file, size_t at, size_t start, size_t size)
{
	struct loader_order *o = next_order(p, LOADER_CHECKSUM);

	snprintf(o->checksum.file, LOADER_NAME, "%s", file);
	o->checksum.offset = le32_of((u32)at);
	o->checksum.start = le32_of((u32)start);
	o->checksum.size = le32_of((u32)size);
}

static u32 number_at(const struct placing *p, size_t at)
{
	le32 value;

	memcpy(&value, p->bytes + at, sizeof value);
	return le32_get(value);
}

static void place_table(struct placing *p, size_t table)
{
	u32 size = number_at(p, table + offsetof(struct acpi_header, length));

	sum(p, TABLES_FILE, table + offsetof(struct acpi_header, checksum), table, size);
}

/* A root with numbers of that size behind its header; those of the 32-bit one are looked into. */
static void place_root(struct placing *p, size_t root, u8 entry)
{
	u32 size = number_at(p, root + offsetof(struct acpi_header, length));

	for (size_t at = root + sizeof(struct acpi_header); at < root + size; at += entry)
		point(p, TABLES_FILE, at, entry);
	place_table(p, root);
}

static void place_fadt(struct placing *p, size_t fadt)
{
	point(p, TABLES_FILE, fadt + offsetof(struct acpi_fadt, firmware_ctrl), 4);
	point(p, TABLES_FILE, fadt + offsetof(struct acpi_fadt, dsdt), 4);
	point(p, TABLES_FILE, fadt + offsetof(struct acpi_fadt, x_dsdt), 8);
	place_table(p, fadt);
}

static void place_all(struct placing *p, const struct acpi_rsdp *rsdp)
{
	size_t rsdt = le32_get(rsdp->rsdt), xsdt = (size_t)le64_get(rsdp->xsdt);

	allocate(p, RSDP_FILE, 16, LOADER_LOW);
	allocate(p, TABLES_FILE, 64, LOADER_HIGH);
	/* The FADT is the first that the roots name. */
	place_fadt(p, number_at(p, rsdt + sizeof(struct acpi_header)));
	place_root(p, rsdt, 4);
	place_root(p, xsdt, 8);
	point(p, RSDP_FILE, offsetof(struct acpi_rsdp, rsdt), 4);
	point(p, RSDP_FILE, offsetof(struct acpi_rsdp, xsdt), 8);
	sum(p, RSDP_FILE, offsetof(struct acpi_rsdp, checksum), 0, ACPI_RSDP_FIRST_SIZE);
	sum(p, RSDP_FILE, offsetof(struct acpi_rsdp, extended_checksum), 0, sizeof *rsdp);
}

static int add_acpi(const struct firmware_facts *facts, struct fw_cfg_builder *b,
		    struct err *err)
{
	struct placing p = { .bytes = calloc(1, TABLES_SIZE) };
	struct acpi_rsdp rsdp;
	int r = p.bytes ? acpi_build(facts->vp_count, facts->rom_count > 0, 0, p.bytes,
				     TABLES_SIZE, &p.size)
			: -ENOMEM;

	if (r < 0) {
		free(p.bytes);
		return err_set(err, r, "ACPI tables: %s", err_words(r));
	}
	memcpy(&rsdp, p.bytes, sizeof rsdp);
	place_all(&p, &rsdp);
	/* The one in its own file is the one that counts. */
	memset(p.bytes, 0, sizeof rsdp);
	r = fw_cfg_add_file(b, RSDP_FILE, &rsdp, sizeof rsdp, err);
	if (r == 0)
		r = fw_cfg_add_file(b, TABLES_FILE, p.bytes, (u32)p.size, err);
	if (r == 0)
		r = fw_cfg_add_file(b, "etc/table-loader", p.order,
				    (u32)(p.count * sizeof p.order[0]), err);
	free(p.bytes);
	return r;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int add_smbios(struct fw_cfg_builder *b, struct err *err)
{
	u8 table[SMBIOS_TABLE_SIZE];
	struct smbios_anchor anchor;
	u32 size = smbios_build(table, &anchor);
	int r = fw_cfg_add_file(b, "etc/smbios/smbios-anchor", &anchor, sizeof anchor,
				err);

	if (r == 0)
		r = fw_cfg_add_file(b, "etc/smbios/smbios-tables", table, size, err);
	return r;
}

/*
 * The ROM is the video function's: SeaBIOS finds it by the function's name, and the ROM finds the
 * function, whose frame buffer it needs, by its own. Those are Bochs' (1234:1111) in the one that is
 * there. ROM header: PCI firmware specification 3.0, 5.1.
 */
static void make_it_ours(u8 *bytes, u64 size)
{
	u32 at = size > 0x1a ? bytes[0x18] | (u32)bytes[0x19] << 8 : 0;
	u8 sum = 0;

	if (at == 0 || at + 8 > size || memcmp(bytes + at, "PCIR", 4) != 0)
		return;
	bytes[at + 4] = PCI_VENDOR_MICROSOFT & 0xff;
	bytes[at + 5] = PCI_VENDOR_MICROSOFT >> 8;
	bytes[at + 6] = PCI_DEVICE_VIDEO & 0xff;
	bytes[at + 7] = PCI_DEVICE_VIDEO >> 8;
	/* All bytes of it add up to 0; behind the jump there is one for that. */
	for (u64 k = 0; k < min_u64(size, bytes[2] * 512u); k++)
		sum += bytes[k];
	bytes[6] -= sum;
}

static int add_rom(const struct boot_image *rom, struct fw_cfg_builder *b,
		   struct err *err)
{
	char name[FW_CFG_NAME_SIZE];
	AUTO_FREE u8 *bytes = NULL;
	int r;

	if (rom->size > MAX_ROM)
		return err_set(err, -EFBIG, "option ROM '%s' is larger than 256 KiB",
			       rom->name);
	bytes = malloc(rom->size);
	if (!bytes)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	r = boot_image_read(rom, 0, bytes, rom->size, err);
	if (r == 0)
		make_it_ours(bytes, rom->size);
	snprintf(name, sizeof name, "pci%04x,%04x.rom", PCI_VENDOR_MICROSOFT,
		 PCI_DEVICE_VIDEO);
	return r < 0 ? r : fw_cfg_add_file(b, name, bytes, (u32)rom->size, err);
}

int firmware_add_files(const struct firmware_facts *facts, struct fw_cfg_builder *b,
		       struct err *err)
{
	const le16 com1 = le16_of(BOARD_PORT_COM1);
	int r = add_memory(facts, b, err);

	if (r == 0)
		r = add_acpi(facts, b, err);
	if (r == 0)
		r = add_smbios(b, err);
	/* With the end of its last line, and a zero behind. */
	if (r == 0 && facts->boot_order[0])
		r = fw_cfg_add_file(b, "bootorder", facts->boot_order,
				    (u32)strlen(facts->boot_order) + 1, err);
	if (r == 0 && facts->serial_screen)
		r = fw_cfg_add_file(b, "etc/sercon-port", &com1, sizeof com1, err);
	for (unsigned k = 0; r == 0 && k < facts->rom_count; k++)
		r = add_rom(&facts->rom[k], b, err);
	return r;
}
