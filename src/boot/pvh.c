/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF kernel with a PVH entry, such as Linux's vmlinux: entered in 32-bit protected mode with
 * EBX at the start information. Layouts in abi/pvh.h.
 */
#include <errno.h>

#include "abi/pvh.h"
#include "boot/elf.h"
#include "boot/entry.h"
#include "boot/load.h"
#include "wall/guest_memory.h"

/* Everything the kernel is told, in one piece of low memory. */
struct info {
	struct pvh_start_info start;
	struct pvh_module module[LOADER_MODULES];
	struct pvh_memory_map_entry map[BOOT_REGIONS];
};

static int load_modules(struct loader *l, u64 kernel_end, struct info *info,
			gpa_t info_at, struct err *err)
{
	for (unsigned i = 0; i < l->module_count; i++) {
		u64 size = l->module[i].size;
		gpa_t base;
		int r = boot_space_find(&l->space, BOOT_HIGHEST, size, WALL_PAGE_SIZE,
					max_u64(kernel_end, BOOT_HIGH), GM_LOW_MAX, "it",
					&base, err);
		if (r < 0)
			return err_wrap(err, "initrd '%s'", l->module[i].name);
		r = boot_image_load(&l->module[i], 0, size, l->gm, base, err);
		if (r < 0)
			return err_wrap(err, "initrd");
		info->module[i].address = le64_of(base);
		info->module[i].size = le64_of(size);
	}
	info->start.module_count = le32_of(l->module_count);
	if (l->module_count > 0)
		info->start.modules = le64_of(info_at + offsetof(struct info, module));
	return 0;
}

static void fill_map(struct info *info, u64 ram_size, gpa_t info_at)
{
	struct boot_region region[BOOT_REGIONS];
	unsigned count = boot_memory_map(ram_size, region);

	for (unsigned i = 0; i < count; i++)
		info->map[i] = (struct pvh_memory_map_entry){
			.base = le64_of(region[i].base),
			.size = le64_of(region[i].size),
			.type = le32_of(region[i].type),
		};
	info->start.memory_map = le64_of(info_at + offsetof(struct info, map));
	info->start.memory_map_entries = le32_of(count);
}

int pvh_load(struct loader *l, const u8 head[LOADER_HEAD], struct vp_state *state,
	     bool *ret_mine, struct err *err)
{
	struct info info = { 0 };
	gpa_t info_at, cmdline_at, gdt;
	u64 entry = 0, kernel_end, ticket = 0;
	u8 content[8] = { 0 };
	u32 content_size;
	bool is_elf = false, found;
	struct elf elf;
	int r;

	r = elf_read(&l->kernel, head, &elf, &is_elf, err);
	if (r < 0 || !is_elf)
		return r;
	r = elf_find_note(&elf, &l->kernel, PVH_NOTE_NAME, PVH_NOTE_PHYS32_ENTRY, content,
			  sizeof content, &content_size, &found, err);
	if (r < 0 || !found)
		return r;
	*ret_mine = true;
	memcpy(&entry, content, sizeof entry);
	if ((content_size != 4 && content_size != 8) || entry > UINT32_MAX) {
		err_set(err, -ENOEXEC, "'%s': its PVH entry is no 32-bit address",
			l->kernel.name);
		return err_fix(err, "copy or build it again");
	}

	r = elf_load(&elf, l, &kernel_end, err);
	if (r == 0)
		r = boot_space_find(&l->space, BOOT_LOWEST, sizeof info, 16, 0x1000,
				    BOOT_EBDA, "start information", &info_at, err);
	if (r == 0)
		r = boot_space_find(&l->space, BOOT_LOWEST, strlen(l->cmdline) + 1, 16,
				    0x1000, BOOT_EBDA, "command line", &cmdline_at, err);
	if (r == 0)
		r = boot_space_find(&l->space, BOOT_LOWEST, ENTRY_GDT_SIZE,
				    ENTRY_GDT_ALIGN, 0x1000, BOOT_EBDA, "GDT", &gdt, err);
	if (r == 0)
		r = load_modules(l, kernel_end, &info, info_at, err);
	if (r < 0)
		return r;
	info.start.magic = le32_of(PVH_START_MAGIC);
	info.start.version = le32_of(PVH_START_VERSION);
	info.start.cmdline = le64_of(cmdline_at);
	info.start.rsdp = le64_of(l->rsdp);
	fill_map(&info, l->space.ram_size, info_at);
	r = gm_write(l->gm, info_at, &info, sizeof info, &ticket);
	if (r == 0)
		r = gm_write(l->gm, cmdline_at, l->cmdline, strlen(l->cmdline) + 1,
			     &ticket);
	if (r == 0)
		r = entry_flat_32(state, l->gm, gdt, (u32)entry);
	if (r < 0)
		return err_set(err, r, "'%s': boot information: %s", l->kernel.name,
			       err_words(r));
	state->gpr[R_BX] = info_at;
	return 0;
}
