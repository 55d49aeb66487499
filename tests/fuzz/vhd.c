/* SPDX-License-Identifier: Apache-2.0 */
/* VHD images: footers, dynamic header, table, bitmaps, locators; see disk_input.h. */
#include "disk_input.h"

#include "disk/vhd_layout.h"

#define MIB (1u << 20)

/* Footer's copy, dynamic header, locators in it, table, names, blocks, size. */
static const u64 areas[] = { 0, 512, 512 + 576, 1536, 2048, 4096, 65536, UINT64_MAX };

static struct fuzz_file parent, dynamic, differencing;

static void seal(struct fuzz_file *f, u64 offset, u64 size, u64 field)
{
	be32 sum = be32_of(vhd_checksum(f->now + offset, size, field));

	memcpy(f->now + offset + field, &sum, sizeof sum);
	fuzz_touch(f, offset, size);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_file *f;

	if (!parent.now) {
		fuzz_file_make(&parent, DISK_VHD, NULL, 8 * MIB, 64 << 10);
		fuzz_file_make(&dynamic, DISK_VHD, NULL, 8 * MIB, 64 << 10);
		fuzz_file_make(&differencing, DISK_VHD, &parent, 8 * MIB, 64 << 10);
	}
	if (size == 0)
		return 0;
	f = data[0] & FUZZ_OTHER ? &differencing : &dynamic;
	fuzz_file_reset(f);
	fuzz_change(f, data + 1, size - 1, areas, ARRAY_COUNT(areas));
	if (data[0] & FUZZ_SEAL) {
		seal(f, 512, 1024, offsetof(struct vhd_header, checksum));
		seal(f, 0, 512, offsetof(struct vhd_footer, checksum));
		/* The copy counts, unless the input says otherwise. */
		if (!(data[0] & FUZZ_LOG) && f->storage.size >= 4096)
			fuzz_punch(&f->storage, f->storage.size - 512, 512);
	}
	fuzz_use(f, DISK_VHD, data[0] & FUZZ_READ_ONLY);
	return 0;
}
