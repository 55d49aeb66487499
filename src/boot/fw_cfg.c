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
	KEY_FILE_LIST = 0x19,
	KEY_FIRST_FILE = 0x20,
};

/* An entry of the list: numbers in network order. */
struct file_entry {
	u8 size[4];
	u8 key[2];
	u8 reserved[2];
	char name[FW_CFG_NAME_SIZE];
} PACKED;

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

int fw_cfg_add_kernel(struct fw_cfg_builder *b, const struct boot_image *kernel,
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
		       struct err *err)
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
	return r;
}

int fw_cfg_add_file(struct fw_cfg_builder *b, const char *name, const void *bytes,
		    u32 size, struct err *err)
{
	struct fw_cfg_file *f = &b->file[b->file_count];
	int r;

	if (b->file_count == FW_CFG_FILES || strlen(name) >= sizeof f->name)
		return err_set(err, -ENOSPC, "fw_cfg: file '%s' does not fit", name);
	r = add_item(b, (u16)(KEY_FIRST_FILE + b->file_count), bytes, size, err);
	if (r < 0)
		return r;
	*f = (struct fw_cfg_file){ .size = size };
	memcpy(f->name, name, strlen(name));
	b->file_count++;
	return 0;
}

static void put_be32(u8 *at, u32 value)
{
	for (unsigned k = 0; k < 4; k++)
		at[k] = (u8)(value >> (24 - 8 * k));
}

int fw_cfg_end(struct fw_cfg_builder *b, struct err *err)
{
	struct {
		u8 count[4];
		struct file_entry entry[FW_CFG_FILES];
	} PACKED list = { 0 };

	put_be32(list.count, b->file_count);
	for (unsigned n = 0; n < b->file_count; n++) {
		struct file_entry *e = &list.entry[n];

		put_be32(e->size, b->file[n].size);
		e->key[1] = (u8)(KEY_FIRST_FILE + n);
		memcpy(e->name, b->file[n].name, sizeof e->name);
	}
	return add_item(b, KEY_FILE_LIST, &list, sizeof list, err);
}
