/* SPDX-License-Identifier: Apache-2.0 */
/* VHDX images: headers, log, regions, metadata, block table, locator; see disk_input.h. */
#include "disk_input.h"

#include "disk/crc32c.h"
#include "disk/vhdx_layout.h"

#define MIB (1u << 20)

/* Identifier, headers, regions, log, metadata table and values, block table, bitmaps, size. */
static const u64 areas[] = {
	0,	 VHDX_HEADER_1, VHDX_HEADER_2,	 VHDX_REGIONS_1, VHDX_REGIONS_2,
	MIB,	 2 * MIB,	2 * MIB + 65536, 3 * MIB,	 3 * MIB + 32768,
	4 * MIB, UINT64_MAX
};

static struct fuzz_file parent, dynamic, differencing;

static void seal(struct fuzz_file *f, u64 offset, u64 size)
{
	u32 crc;

	memset(f->now + offset + 4, 0, 4);
	crc = crc32c(0, f->now + offset, size);
	memcpy(f->now + offset + 4, &crc, sizeof crc);
	fuzz_touch(f, offset, size);
}

/* One whole entry, which writes the first page of the block table. */
static void add_log(struct fuzz_file *f)
{
	struct vhdx_log_entry e = { .signature = { 'l', 'o', 'g', 'e' },
				    .length = le32_of(8192),
				    .sequence = le64_of(5),
				    .count = le32_of(1),
				    .flushed_size = le64_of(f->storage.size),
				    .last_size = le64_of(f->storage.size) };
	struct vhdx_log_descriptor d = { .signature = { 'd', 'e', 's', 'c' },
					 .offset = le64_of(3 * MIB),
					 .sequence = le64_of(5) };
	struct vhdx_log_data data = { .signature = { 'd', 'a', 't', 'a' },
				      .sequence_low = le32_of(5) };

	memset(e.log.b, 0x11, sizeof e.log);
	memset(f->now + VHDX_HEADER_1 + 48, 0x11, 16);
	memset(f->now + VHDX_HEADER_2 + 48, 0x11, 16);
	fuzz_touch(f, VHDX_HEADER_1, 4096);
	fuzz_touch(f, VHDX_HEADER_2, 4096);
	memcpy(f->now + MIB, &e, sizeof e);
	memcpy(f->now + MIB + 64, &d, sizeof d);
	memcpy(f->now + MIB + 4096, &data, sizeof data);
	fuzz_touch(f, MIB, 8192);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_file *f;

	if (!parent.now) {
		fuzz_file_make(&parent, DISK_VHDX, NULL, 8 * MIB, MIB);
		fuzz_file_make(&dynamic, DISK_VHDX, NULL, 8 * MIB, MIB);
		fuzz_file_make(&differencing, DISK_VHDX, &parent, 8 * MIB, MIB);
	}
	if (size == 0)
		return 0;
	f = data[0] & FUZZ_OTHER ? &differencing : &dynamic;
	fuzz_file_reset(f);
	if (data[0] & FUZZ_LOG)
		add_log(f);
	fuzz_change(f, data + 1, size - 1, areas, ARRAY_COUNT(areas));
	if (data[0] & FUZZ_SEAL) {
		u32 length = 0;

		memcpy(&length, f->now + MIB + 8, sizeof length);
		seal(f, VHDX_HEADER_1, 4096);
		seal(f, VHDX_HEADER_2, 4096);
		seal(f, VHDX_REGIONS_1, VHDX_REGIONS_SIZE);
		seal(f, VHDX_REGIONS_2, VHDX_REGIONS_SIZE);
		if (length >= 4096 && length <= MIB)
			seal(f, MIB, length);
	}
	fuzz_use(f, DISK_VHDX, data[0] & FUZZ_READ_ONLY);
	return 0;
}
