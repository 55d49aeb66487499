/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are wrong in one thing each: refused, with that thing as the cause. A row changes a good
 * image and seals its checksums again, so that nothing but the change is wrong.
 */
#include <stdio.h>

#include "disk/crc32c.h"
#include "disk/vhd.h"
#include "disk/vhdx.h"
#include "unit/disk_model.h"
#include "unit/harness.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* What is sealed after the change. */
enum seal {
	NO_SEAL,
	SEAL_HEADER, /* VHDX header 2, the one that counts */
	SEAL_BOTH_HEADERS,
	SEAL_REGIONS,
	SEAL_LOG,
	SEAL_FOOTERS, /* VHD: both */
	SEAL_DYNAMIC,
};

struct poke {
	u64 offset;
	u8 size; /* 0: none; 255: value is the file's new size */
	u64 value;
};
struct row {
	const char *kind;
	const char *cause;
	enum seal seal;
	struct poke poke[3];
};

#define H1 (64u * KIB)
#define H2 (128u * KIB)
#define R1 (192u * KIB)
#define R2 (256u * KIB)
#define LOG MIB
#define META (2u * MIB)
#define ITEM(n)      \
	(META + 32 + \
	 32 * (n)) /* 0 parameters, 1 size, 2 id, 3 and 4 sectors, 5 locator */
#define VALUE(n) (META + 64u * KIB + 16 * (n))
#define LOCATOR VALUE(5)
#define BAT (3u * MIB)
#define CUT 255

/* The log of "with-log": one entry, sequence 5, one page for the block table. */
#define ENTRY LOG
#define DESC (LOG + 64)
#define DATA (LOG + 4096)

/* clang-format off */
static const struct row rows[] = {
	/* ---- VHDX: file and headers ---- */
	{ "vhdx-dynamic", "not a VHDX: 1000 bytes are too short", NO_SEAL, { { 0, CUT, 1000 } } },
	{ "vhdx-dynamic", "not a VHDX: it does not begin", NO_SEAL, { { 0, 1, 'x' } } },
	{ "vhdx-dynamic", "larger than any VHDX", NO_SEAL, { { 0, CUT, 1ull << 48 } } },
	{ "vhdx-dynamic", "both headers are damaged", NO_SEAL, { { H1, 1, 0 }, { H2 + 100, 1, 1 } } },
	{ "vhdx-dynamic", "both headers have the sequence number", SEAL_BOTH_HEADERS, { { H1 + 8, 8, 9 }, { H2 + 8, 8, 9 }, { H2 + 16, 1, 1 } } },
	{ "vhdx-dynamic", "sequence number is the last one", SEAL_HEADER, { { H2 + 8, 8, UINT64_MAX } } },
	{ "vhdx-dynamic", "format version 2", SEAL_HEADER, { { H2 + 66, 2, 2 } } },
	{ "vhdx-dynamic", "log version 1", SEAL_HEADER, { { H2 + 64, 2, 1 } } },
	{ "vhdx-dynamic", "the log's length of 0 bytes", SEAL_HEADER, { { H2 + 68, 4, 0 } } },
	{ "vhdx-dynamic", "the log's length of 1048577 bytes", SEAL_HEADER, { { H2 + 68, 4, MIB + 1 } } },
	{ "vhdx-dynamic", "is over 64 MiB", SEAL_HEADER, { { H2 + 68, 4, 0xfff00000 } } },
	{ "vhdx-dynamic", "the log is said to be at 4096", SEAL_HEADER, { { H2 + 72, 8, 4096 } } },
	{ "vhdx-dynamic", "the log is said to be at 0", SEAL_HEADER, { { H2 + 72, 8, 0 } } },
	{ "vhdx-dynamic", "the log is beyond the end", SEAL_HEADER, { { H2 + 72, 8, 1ull << 40 } } },
	{ "vhdx-dynamic", "the log is beyond the end", SEAL_HEADER, { { H2 + 72, 8, 0xfffffffffff00000 } } },
	/* ---- VHDX: log ---- */
	{ "with-log", "the log holds 1 entries, none of which is whole", NO_SEAL, { { DATA + 100, 1, 1 } } },
	{ "with-log", "the log holds 1 entries, none of which is whole", SEAL_LOG, { { DATA, 4, 0 } } },
	{ "with-log", "the log holds 1 entries, none of which is whole", SEAL_LOG, { { DATA + 4092, 4, 6 } } },
	{ "with-log", "the log holds 1 entries, none of which is whole", SEAL_LOG, { { DESC, 4, 0x78787878 } } },
	{ "with-log", "the log holds 1 entries, none of which is whole", SEAL_LOG, { { DESC + 24, 8, 4 } } },
	{ "with-log", "the log holds 1 entries, none of which is whole", SEAL_LOG, { { ENTRY + 24, 4, 2 } } },
	{ "with-log", "the log holds 1 entries, none of which is whole", SEAL_LOG, { { ENTRY + 12, 4, 4096 } } },
	{ "with-log", "between pages", SEAL_LOG, { { DESC + 16, 8, BAT + 512 } } },
	{ "with-log", "over the headers", SEAL_LOG, { { DESC + 16, 8, H1 } } },
	{ "with-log", "over the headers", SEAL_LOG, { { DESC + 16, 8, 0 } } },
	{ "with-log", "over itself", SEAL_LOG, { { DESC + 16, 8, LOG + 8192 } } },
	{ "with-log", "beyond the end of the file", SEAL_LOG, { { DESC + 16, 8, 1ull << 40 } } },
	{ "with-log", "beyond the end of the file", SEAL_LOG, { { DESC + 16, 8, 0xfffffffffffff000 } } },
	{ "with-log", "beyond the end of the file", SEAL_LOG, { { DESC, 4, 0x6f72657a }, { DESC + 8, 8, 0xfffffffffffff000 } } },
	{ "with-log", "the file is cut short: the log knows of", SEAL_LOG, { { ENTRY + 48, 8, 1ull << 40 } } },
	{ "with-log", "the log wants a file of", SEAL_LOG, { { ENTRY + 56, 8, 1ull << 60 } } },
	{ "with-log", "the log wants a file of 0 bytes", SEAL_LOG, { { ENTRY + 56, 8, 0 } } },
	/* ---- VHDX: regions ---- */
	{ "vhdx-dynamic", "both region tables are damaged", NO_SEAL, { { R1 + 16, 1, 0 }, { R2 + 16, 1, 0 } } },
	{ "vhdx-dynamic", "a region table of 2048 entries", SEAL_REGIONS, { { R1 + 8, 4, 2048 } } },
	{ "vhdx-dynamic", "there is no block table region", SEAL_REGIONS, { { R1 + 16, 8, 0 }, { R1 + 44, 4, 0 } } },
	{ "vhdx-dynamic", "there is no metadata region", SEAL_REGIONS, { { R1 + 8, 4, 1 } } },
	{ "vhdx-dynamic", "region 0 is required and of an unknown kind", SEAL_REGIONS, { { R1 + 16, 8, 0 } } },
	{ "vhdx-dynamic", "region 0 is said to be at 1000000", SEAL_REGIONS, { { R1 + 32, 8, 1000000 } } },
	{ "vhdx-dynamic", "region 0 is said to be at 0", SEAL_REGIONS, { { R1 + 32, 8, 0 } } },
	{ "vhdx-dynamic", "the length of region 0, 0 bytes", SEAL_REGIONS, { { R1 + 40, 4, 0 } } },
	{ "vhdx-dynamic", "the length of region 0, 4096 bytes", SEAL_REGIONS, { { R1 + 40, 4, 4096 } } },
	{ "vhdx-dynamic", "region 0 is beyond the end", SEAL_REGIONS, { { R1 + 32, 8, 1ull << 40 } } },
	{ "vhdx-dynamic", "region 0 is beyond the end", SEAL_REGIONS, { { R1 + 40, 4, 0xfff00000 } } },
	{ "vhdx-dynamic", "region 0 lies over the log", SEAL_REGIONS, { { R1 + 32, 8, LOG } } },
	{ "vhdx-dynamic", "regions 0 and 1 lie over each other", SEAL_REGIONS, { { R1 + 64, 8, BAT } } },
	{ "vhdx-dynamic", "regions 0 and 1 are the same", SEAL_REGIONS, { { R1 + 48, 8, 0x4200f6232dc27766 }, { R1 + 56, 8, 0x084afd9b5e11649d } } },
	/* ---- VHDX: metadata ---- */
	{ "vhdx-dynamic", "the metadata table has no signature", NO_SEAL, { { META, 1, 0 } } },
	{ "vhdx-dynamic", "a metadata table of 2048 entries", NO_SEAL, { { META + 10, 2, 2048 } } },
	{ "vhdx-dynamic", "metadata item 0 lies outside", NO_SEAL, { { ITEM(0) + 16, 4, 32768 } } },
	{ "vhdx-dynamic", "metadata item 1 lies outside", NO_SEAL, { { ITEM(1) + 16, 4, 0xfffffff0 } } },
	{ "vhdx-dynamic", "metadata item 1 lies outside", NO_SEAL, { { ITEM(1) + 20, 4, 0xffffffff } } },
	{ "vhdx-dynamic", "metadata item 2 is required and of an unknown kind", NO_SEAL, { { ITEM(2), 8, 1 } } },
	{ "vhdx-dynamic", "the metadata does not tell the block size", NO_SEAL, { { ITEM(0), 8, 1 }, { ITEM(0) + 24, 4, 0 } } },
	{ "vhdx-dynamic", "the metadata does not tell the disk's size", NO_SEAL, { { ITEM(1), 8, 1 }, { ITEM(1) + 24, 4, 0 } } },
	{ "vhdx-dynamic", "the metadata does not tell the logical sector size", NO_SEAL, { { META + 10, 2, 3 } } },
	{ "vhdx-dynamic", "metadata item 2 is there twice", NO_SEAL, { { ITEM(2), 8, 0x4876cd1b2fa54224 }, { ITEM(2) + 8, 8, 0xb8f43bd8be5d11b2 } } },
	{ "vhdx-dynamic", "the disk's size in the metadata has 4 bytes", NO_SEAL, { { ITEM(1) + 20, 4, 4 } } },
	{ "vhdx-dynamic", "the block size 0 is no power of two", NO_SEAL, { { VALUE(0), 4, 0 } } },
	{ "vhdx-dynamic", "the block size 3145728 is no power of two", NO_SEAL, { { VALUE(0), 4, 3 * MIB } } },
	{ "vhdx-dynamic", "the block size 536870912 is not between", NO_SEAL, { { VALUE(0), 4, 512 * MIB } } },
	{ "vhdx-dynamic", "the block size 4096 is not between", NO_SEAL, { { VALUE(0), 4, 4096 } } },
	{ "vhdx-dynamic", "file parameters 0x80000000 are not known", NO_SEAL, { { VALUE(0) + 4, 4, 0x80000000 } } },
	{ "vhdx-dynamic", "the logical sector size is 0", NO_SEAL, { { VALUE(3), 4, 0 } } },
	{ "vhdx-dynamic", "the logical sector size is 1", NO_SEAL, { { VALUE(3), 4, 1 } } },
	{ "vhdx-dynamic", "the physical sector size is 1024", NO_SEAL, { { VALUE(4), 4, 1024 } } },
	{ "vhdx-dynamic", "the disk has a size of 0", NO_SEAL, { { VALUE(1), 8, 0 } } },
	{ "vhdx-dynamic", "over the 64 TiB", NO_SEAL, { { VALUE(1), 8, UINT64_MAX - 511 } } },
	{ "vhdx-dynamic", "is not whole sectors", NO_SEAL, { { VALUE(1), 8, 5 * MIB + 1 } } },
	/* ---- VHDX: block table ---- */
	{ "vhdx-dynamic", "the block table needs", NO_SEAL, { { VALUE(1), 8, 1ull << 40 } } },
	{ "vhdx-dynamic", "table entry 0 has the state 5", NO_SEAL, { { BAT, 8, 5 } } },
	{ "vhdx-dynamic", "table entry 1 has reserved bits set", NO_SEAL, { { BAT + 8, 8, 8 } } },
	{ "vhdx-dynamic", "table entry 0 lies over the headers", NO_SEAL, { { BAT, 8, 6 } } },
	{ "vhdx-dynamic", "table entry 0 lies over something else", NO_SEAL, { { BAT, 8, LOG | 6 } } },
	{ "vhdx-dynamic", "table entry 0 lies over something else", NO_SEAL, { { BAT, 8, BAT | 6 } } },
	{ "vhdx-dynamic", "table entry 1 lies over something else", NO_SEAL, { { 0, CUT, 8 * MIB }, { BAT, 8, 5 * MIB | 6 }, { BAT + 8, 8, 5 * MIB | 6 } } },
	{ "vhdx-dynamic", "table entry 0 is beyond the end", NO_SEAL, { { BAT, 8, 1ull << 40 | 6 } } },
	{ "vhdx-dynamic", "table entry 0 is beyond the end", NO_SEAL, { { BAT, 8, 0xfffffffffff00006 } } },
	{ "vhdx-dynamic", "table entry 0 is partly present, in an image without a parent", NO_SEAL, { { 0, CUT, 8 * MIB }, { BAT, 8, 5 * MIB | 7 } } },
	/* ---- VHDX: differencing ---- */
	{ "vhdx-differencing", "table entry 0 is partly present, but there is no bitmap", NO_SEAL, { { 0, CUT, 16 * MIB }, { BAT, 8, 9 * MIB | 7 }, { BAT + 8 * 4096, 8, 0 } } },
	{ "vhdx-differencing", "of a bitmap, has the state 7", NO_SEAL, { { BAT + 8 * 4096, 8, 4 * MIB | 7 } } },
	{ "vhdx-differencing", "does not say who its parent is", NO_SEAL, { { META + 10, 2, 5 } } },
	{ "vhdx-differencing", "the parent locator is of an unknown kind", NO_SEAL, { { LOCATOR, 8, 0 } } },
	{ "vhdx-differencing", "the parent locator has 65535 entries", NO_SEAL, { { LOCATOR + 18, 2, 0xffff } } },
	{ "vhdx-differencing", "entry 0 of the parent locator lies outside", NO_SEAL, { { LOCATOR + 20, 4, 0xfffffff0 } } },
	{ "vhdx-differencing", "entry 1 of the parent locator lies outside", NO_SEAL, { { LOCATOR + 36, 4, 9000 } } },
	{ "vhdx-differencing", "'parent_linkage' is no text", NO_SEAL, { { LOCATOR + 20 + 36 + 28, 2, 0xd800 } } },
	{ "vhdx-differencing", "the parent's identity", NO_SEAL, { { LOCATOR + 20 + 36 + 28, 2, 'x' } } },
	/* ---- VHD: footer ---- */
	{ "vhd-dynamic", "not a VHD: 100 bytes are too short", NO_SEAL, { { 0, CUT, 100 } } },
	{ "vhd-dynamic", "not a VHD: no footer at the end, no copy", NO_SEAL, { { 0, CUT, 2048 }, { 0, 1, 0 } } },
	{ "vhd-dynamic", "the footer's checksum is wrong, and there is no good copy", NO_SEAL, { { 0, CUT, 2048 }, { 100, 1, 77 } } },
	{ "vhd-dynamic", "format version 0x20000", SEAL_FOOTERS, { { 12, 4, 0x00000200 } } },
	{ "vhd-dynamic", "disk type 9", SEAL_FOOTERS, { { 60, 4, 0x09000000 } } },
	{ "vhd-dynamic", "the disk has a size of 0", SEAL_FOOTERS, { { 48, 8, 0 } } },
	{ "vhd-dynamic", "is not whole sectors", SEAL_FOOTERS, { { 55, 1, 1 } } },
	{ "vhd-dynamic", "over the 2040 GiB", SEAL_FOOTERS, { { 48, 1, 0xff } } },
	{ "vhd-dynamic", "a fixed image without a footer at its end", SEAL_FOOTERS, { { 60, 4, 0x02000000 } } },
	{ "vhd-fixed", "the file is cut short", SEAL_FOOTERS, { { 2 * MIB + 52, 1, 1 } } },
	/* ---- VHD: dynamic header ---- */
	{ "vhd-dynamic", "the dynamic header is said to be at 513, between sectors", SEAL_FOOTERS, { { 23, 1, 1 } } },
	{ "vhd-dynamic", "the dynamic header is said to be where the footer's copy is", SEAL_FOOTERS, { { 16, 8, 0 } } },
	{ "vhd-dynamic", "the dynamic header is said to be beyond the end", SEAL_FOOTERS, { { 16, 1, 0xff } } },
	{ "vhd-dynamic", "there is no dynamic header at 512", NO_SEAL, { { 512, 1, 0 } } },
	{ "vhd-dynamic", "the dynamic header's checksum is wrong", NO_SEAL, { { 512 + 100, 1, 1 } } },
	{ "vhd-dynamic", "dynamic header version", SEAL_DYNAMIC, { { 512 + 24, 4, 0x00000200 } } },
	{ "vhd-dynamic", "the block size 0 is no power of two", SEAL_DYNAMIC, { { 512 + 32, 4, 0 } } },
	{ "vhd-dynamic", "the block size 65537 is no power of two", SEAL_DYNAMIC, { { 512 + 35, 1, 1 } } },
	{ "vhd-dynamic", "the block size 512 is not between", SEAL_DYNAMIC, { { 512 + 32, 4, 0x00020000 } } },
	{ "vhd-dynamic", "the table has 1 entries", SEAL_DYNAMIC, { { 512 + 28, 4, 0x01000000 } } },
	{ "vhd-dynamic", "the table is said to be at 1537", SEAL_DYNAMIC, { { 512 + 23, 1, 1 } } },
	{ "vhd-dynamic", "the table of 33 entries is beyond the end", SEAL_DYNAMIC, { { 512 + 16, 1, 0xff } } },
	{ "vhd-dynamic", "the table lies over the headers", SEAL_DYNAMIC, { { 512 + 16, 8, 0 } } },
	{ "vhd-dynamic", "the table lies over the headers", SEAL_DYNAMIC, { { 512 + 22, 1, 2 } } },
	/* ---- VHD: table ---- */
	{ "vhd-dynamic", "a block at 0 lies over the headers", NO_SEAL, { { 1 * MIB, 1, 0 }, { 1536, 4, 0 } } },
	{ "vhd-dynamic", "a block at 1536 lies over the table", NO_SEAL, { { 1 * MIB, 1, 0 }, { 1536, 4, 0x03000000 } } },
	{ "vhd-dynamic", "is beyond the end of the file", NO_SEAL, { { 1536, 4, 0xfeffffff } } },
	{ "vhd-dynamic", "two blocks lie over each other", NO_SEAL, { { 1 * MIB, 1, 0 }, { 1536, 4, 0x00010000 }, { 1540, 4, 0x01010000 } } },
	{ "vhd-differencing", "does not say who its parent is", SEAL_DYNAMIC, { { 512 + 40, 8, 0 }, { 512 + 48, 8, 0 } } },
	{ "vhd-differencing", "the name of the parent is beyond the end", SEAL_DYNAMIC, { { 512 + 576 + 16, 1, 0xff } } },
	{ "vhd-differencing", "the name of the parent is 131072 bytes long", SEAL_DYNAMIC, { { 1 * MIB, 1, 0 }, { 512 + 576 + 8, 4, 0x00000200 } } },
};
/* clang-format on */

static void poke(struct power_file *f, u64 offset, const void *data, u64 size)
{
	power_file_write(f, data, size, offset);
}

/* CRC-32C over [offset, offset + size), its field at offset + 4. */
static void seal_crc(struct power_file *f, u64 offset, u64 size)
{
	AUTO_FREE u8 *p = malloc(size);
	le32 crc = le32_of(0);

	if (!power_file_read(f, p, size, offset))
		return;
	memset(p + 4, 0, 4);
	crc = le32_of(crc32c(0, p, size));
	poke(f, offset + 4, &crc, sizeof crc);
}

static void seal_vhd(struct power_file *f, u64 offset, u64 size, u64 field)
{
	u8 p[1024];
	be32 sum;

	if (!power_file_read(f, p, size, offset))
		return;
	sum = be32_of(vhd_checksum(p, size, field));
	poke(f, offset + field, &sum, sizeof sum);
}

static void seal(struct power_file *f, enum seal what, bool fixed)
{
	switch (what) {
	case NO_SEAL:
		return;
	case SEAL_BOTH_HEADERS:
		seal_crc(f, H1, 4096);
		seal_crc(f, H2, 4096);
		return;
	case SEAL_HEADER:
		seal_crc(f, H2, 4096);
		return;
	case SEAL_REGIONS:
		seal_crc(f, R1, 64 * KIB);
		return;
	case SEAL_LOG:
		seal_crc(f, ENTRY, 8192);
		return;
	case SEAL_FOOTERS:
		if (fixed) {
			seal_vhd(f, f->size - 512, 512, 64);
			return;
		}
		/* The copy is changed; without the footer at the end, it counts. */
		seal_vhd(f, 0, 512, 64);
		power_file_set_size(f, max_u64(f->size, 4096));
		power_file_zero(f, f->size - 512, 512);
		return;
	case SEAL_DYNAMIC:
		seal_vhd(f, 512, 1024, 36);
		return;
	}
}

/* A log with one whole entry, which writes the first page of the block table as it is. */
static void add_log(struct power_file *f)
{
	struct vhdx_header h;
	struct vhdx_log_entry e = { .signature = { 'l', 'o', 'g', 'e' } };
	struct vhdx_log_descriptor d = { .signature = { 'd', 'e', 's', 'c' } };
	struct vhdx_log_data data = { .signature = { 'd', 'a', 't', 'a' } };
	u8 id[16];

	memset(id, 0x11, sizeof id);
	if (!power_file_read(f, &h, sizeof h, H2))
		return;
	memcpy(h.log.b, id, sizeof id);
	poke(f, H2, &h, sizeof h);
	memcpy(e.log.b, id, sizeof id);
	e.length = le32_of(8192);
	e.sequence = le64_of(5);
	e.count = le32_of(1);
	e.flushed_size = le64_of(f->size);
	e.last_size = le64_of(f->size);
	d.offset = le64_of(BAT);
	d.sequence = le64_of(5);
	data.sequence_low = le32_of(5);
	poke(f, ENTRY, &e, sizeof e);
	poke(f, DESC, &d, sizeof d);
	poke(f, DATA, &data, sizeof data);
	seal_crc(f, ENTRY, 8192);
	seal_crc(f, H2, 4096);
}

/* The leaf of an empty chain, closed, as a file. */
static bool good_image(const char *name, struct power_file *ret_file)
{
	bool log = strcmp(name, "with-log") == 0;
	struct model m;

	CHECK_OK(model_new(&m, model_kind_named(log ? "vhdx-dynamic" : name), 1));
	power_file_copy(&m.power[0].file, ret_file);
	model_free(&m);
	if (log)
		add_log(ret_file);
	return true;
}

static int try_open(struct power_file *file, enum disk_format format, bool read_only,
		    struct err *err)
{
	struct power power;
	struct image *im;
	int r;

	r = image_open(format, power_open(&power, file), read_only, &im, err);
	if (r == 0)
		image_abandon(im);
	power_free(&power);
	return r;
}

static void change(struct power_file *f, const struct row *row)
{
	for (size_t i = 0; i < ARRAY_COUNT(row->poke); i++) {
		const struct poke *p = &row->poke[i];

		if (p->size == CUT)
			power_file_set_size(f, p->value);
		else if (p->size)
			poke(f, p->offset, &p->value, p->size);
	}
	seal(f, row->seal, strcmp(row->kind, "vhd-fixed") == 0);
}

static bool refused(const struct row *row)
{
	enum disk_format format = strncmp(row->kind, "vhd-", 4) == 0 ? DISK_VHD
								     : DISK_VHDX;
	struct power_file f, copy;
	struct err err = { 0 };
	int r;

	CHECK_OK(good_image(row->kind, &f));
	change(&f, row);
	power_file_copy(&f, &copy);
	r = try_open(&copy, format, true, &err);
	if (r == 0 || !strstr(err.text, row->cause)) {
		harness_fail(__FILE__, __LINE__, "'%s' expected, not '%s'", row->cause,
			     r == 0 ? "it opens" : err.text);
		power_file_free(&f);
		return false;
	}
	CHECK_ERR(r, EUCLEAN);
	CHECK_ERR(try_open(&f, format, false, &err), EUCLEAN);
	return true;
}

static bool cause_is_new(size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].cause, rows[n].cause) == 0)
			return false;
	return true;
}

TEST_TIMEOUT(image_that_is_wrong_in_one_thing_is_refused_with_that_cause, 60)
{
	unsigned bad = 0, causes = 0;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		bad += !refused(&rows[i]);
		causes += cause_is_new(i);
	}
	ASSERT(causes >= 70);
	ASSERT_EQ(bad, 0);
}

TEST(images_that_the_rows_change_are_good_themselves)
{
	static const char *const names[] = { "vhdx-dynamic",	  "with-log",
					     "vhdx-differencing", "vhd-fixed",
					     "vhd-dynamic",	  "vhd-differencing" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		enum disk_format format = strncmp(names[i], "vhd-", 4) == 0 ? DISK_VHD
									    : DISK_VHDX;
		struct power_file f;
		struct err err = { 0 };

		ASSERT_OK(good_image(names[i], &f));
		if (try_open(&f, format, true, &err) < 0)
			FAIL("%s: %s", names[i], err.text);
	}
}
