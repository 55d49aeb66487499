/* SPDX-License-Identifier: Apache-2.0 */
/* Which kind of kernel is it? See load.h. */
#include "boot/load.h"

#include <errno.h>

#include "abi/elf.h"
#include "wall/guest_memory.h"

const char *loader_kind_name(enum loader_kind kind)
{
	switch (kind) {
	case LOADER_LINUX:
		return "Linux";
	case LOADER_MULTIBOOT:
		return "multiboot";
	case LOADER_PVH:
		return "PVH";
	}
	return "?";
}

/* What people give by mistake, and what to do with it. */
static const struct {
	u8 magic[6];
	u8 size;
	const char *what, *fix;
} mistakes[] = {
	{ { 0x1f, 0x8b }, 2, "is compressed (gzip)", "unpack it with gunzip first" },
	{ { 0xfd, '7', 'z', 'X', 'Z', 0 },
	  6,
	  "is compressed (xz)",
	  "unpack it with unxz first" },
	{ { 0x28, 0xb5, 0x2f, 0xfd },
	  4,
	  "is compressed (zstd)",
	  "unpack it with unzstd first" },
	{ { '0', '7', '0', '7', '0', '1' },
	  6,
	  "is an initramfs (cpio)",
	  "give it with --initrd" },
	{ { 'Q', 'F', 'I', 0xfb }, 4, "is a disk image (qcow2)", "give a kernel file" },
};

static int not_a_kernel(const struct boot_image *kernel, const u8 *head, struct err *err)
{
	for (unsigned i = 0; i < ARRAY_COUNT(mistakes); i++) {
		if (memcmp(head, mistakes[i].magic, mistakes[i].size) != 0)
			continue;
		err_set(err, -ENOEXEC, "'%s' is not a kernel: it %s", kernel->name,
			mistakes[i].what);
		return err_fix(err, "%s", mistakes[i].fix);
	}
	if (head[0] == 0x7f && head[1] == 'E' && head[2] == 'L' && head[3] == 'F')
		err_set(err, -ENOEXEC,
			"'%s' is not a kernel: an ELF file with neither a PVH entry nor "
			"a "
			"32-bit multiboot header",
			kernel->name);
	else
		err_set(err, -ENOEXEC,
			"'%s' is not a kernel: no bzImage, multiboot or ELF header in it",
			kernel->name);
	return err_fix(err, "give a bzImage, a PVH vmlinux or a multiboot image");
}

int loader_load(struct loader *loader, struct vp_state *state, enum loader_kind *ret_kind,
		struct err *err)
{
	static int (*const kinds[])(struct loader *, const u8 *, struct vp_state *,
				    bool *, struct err *) = {
		[LOADER_LINUX] = linux_boot_load,
		[LOADER_MULTIBOOT] = multiboot_load,
		[LOADER_PVH] = pvh_load,
	};
	AUTO_FREE u8 *head = calloc(1, LOADER_HEAD);
	int r;

	if (!head)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	r = boot_image_read(&loader->kernel, 0, head,
			    min_u64(loader->kernel.size, LOADER_HEAD), err);
	if (r < 0)
		return r;
	boot_space_init(&loader->space, gm_ram_size(loader->gm));
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		bool mine = false;

		r = kinds[kind](loader, head, state, &mine, err);
		if (r < 0 || mine) {
			*ret_kind = kind;
			return r;
		}
	}
	return not_a_kernel(&loader->kernel, head, err);
}
