/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of the firmware configuration device; see fw_cfg.h. Loop thread. */
#include "boot/fw_cfg.h"

#include <errno.h>

#include "boot/image.h"
#include "wall/worker_end.h"

enum {
	KEY_FEATURES = 0x01, /* bit 0: the ports are there; bit 1: DMA, which we lack */
	KEY_RAM_SIZE = 0x03,
	KEY_CPU_COUNT = 0x05,
	KEY_KERNEL_SIZE = 0x08,
	KEY_MAX_CPUS = 0x0f,
	KEY_KERNEL_DATA = 0x11,
};

/* Larger kernels are not offered a second time: only small test kernels look. */
#define KERNEL_COPY_MAX (2u << 20)

static int add_item(struct fw_cfg_builder *b, u16 key, const void *bytes, u32 size,
		    struct err *err)
{
	if (size > b->rom_size - b->used)
		return err_set(err, -ENOSPC, "fw_cfg: item %#x does not fit", key);
	memcpy(b->rom + b->used, bytes, size);
	int r = worker_fw_cfg(b->end, key, b->used, size, err);
	b->used += size;
	return r;
}

static int add_kernel(struct fw_cfg_builder *b, const struct boot_image *kernel,
		      struct err *err)
{
	le32 size = le32_of((u32)kernel->size);
	u64 at;
	int r;

	if (kernel->size > KERNEL_COPY_MAX ||
	    kernel->size + sizeof size > b->rom_size - b->used)
		return 0;
	r = add_item(b, KEY_KERNEL_SIZE, &size, sizeof size, err);
	if (r < 0)
		return r;
	/* Straight to its place: no copy in between. */
	at = b->used;
	r = boot_image_read(kernel, 0, b->rom + at, kernel->size, err);
	if (r < 0)
		return r;
	b->used += kernel->size;
	return worker_fw_cfg(b->end, KEY_KERNEL_DATA, at, (u32)kernel->size, err);
}

int fw_cfg_add_machine(struct fw_cfg_builder *b, u64 ram_size, u32 vp_count,
		       const struct boot_image *kernel, struct err *err)
{
	const le32 features = le32_of(1);
	const le64 ram = le64_of(ram_size);
	const le16 cpus = le16_of((u16)vp_count);
	int r = add_item(b, KEY_FEATURES, &features, sizeof features, err);

	if (r == 0)
		r = add_item(b, KEY_RAM_SIZE, &ram, sizeof ram, err);
	if (r == 0)
		r = add_item(b, KEY_CPU_COUNT, &cpus, sizeof cpus, err);
	if (r == 0)
		r = add_item(b, KEY_MAX_CPUS, &cpus, sizeof cpus, err);
	if (r == 0)
		r = add_kernel(b, kernel, err);
	return r;
}
