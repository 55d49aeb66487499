/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot 1: 32-bit ELF kernels, and any file whose header carries load addresses; modules with
 * arguments. Entered in 32-bit protected mode, EAX the magic, EBX at the information. Layouts in
 * abi/multiboot.h, section numbers are the specification's.
 *
 * The information lies in low memory, the modules from the first page behind the kernel on:
 * small kernels look for free memory behind their last module.
 */
#include <errno.h>
#include <stdio.h>

#include "abi/multiboot.h"
#include "base/checked.h"
#include "boot/elf.h"
#include "boot/entry.h"
#include "boot/load.h"
#include "wall/guest_memory.h"

#define LOADER_NAME "Tabique"

struct header {
	u32 flags;
	u64 offset; /* in the file */
	struct multiboot_header raw;
};

/* 3.1: 4-aligned, whole in the first 8192 bytes, the sum of the three is 0. */
static bool find_header(const u8 *head, struct header *ret_header)
{
	for (u64 at = 0; at + 12 <= MULTIBOOT_HEADER_SEARCH; at += 4) {
		struct multiboot_header h = { 0 };
		u64 left = MULTIBOOT_HEADER_SEARCH - at;

		memcpy(&h, head + at, left < sizeof h ? left : sizeof h);
		u32 flags = le32_get(h.flags);
		if (le32_get(h.magic) != MULTIBOOT_HEADER_MAGIC ||
		    MULTIBOOT_HEADER_MAGIC + flags + le32_get(h.checksum) != 0)
			continue;
		if ((flags & MULTIBOOT_ADDRESSES) && left < sizeof h)
			continue;
		*ret_header = (struct header){ .flags = flags, .offset = at, .raw = h };
		return true;
	}
	return false;
}

/* 3.1.3: the header says itself what goes where. */
static int load_by_addresses(struct loader *l, const struct header *h, u64 *ret_entry,
			     u64 *ret_end, struct err *err)
{
	u64 header_addr = le32_get(h->raw.header_addr),
	    load_addr = le32_get(h->raw.load_addr);
	u64 load_end = le32_get(h->raw.load_end_addr),
	    bss_end = le32_get(h->raw.bss_end_addr);
	int r;

	if (load_addr > header_addr || header_addr - load_addr > h->offset)
		goto broken;
	u64 from = h->offset - (header_addr - load_addr);
	if (load_end == 0)
		load_end = load_addr + (l->kernel.size - from);
	if (bss_end == 0)
		bss_end = load_end;
	if (load_end <= load_addr || bss_end < load_end)
		goto broken;
	r = boot_space_claim(&l->space, load_addr, bss_end - load_addr, "the kernel",
			     err);
	if (r < 0)
		return err_wrap(err, "'%s'", l->kernel.name);
	*ret_entry = le32_get(h->raw.entry_addr);
	*ret_end = bss_end;
	return boot_image_load(&l->kernel, from, load_end - load_addr, l->gm, load_addr,
			       err);

broken:
	err_set(err, -ENOEXEC,
		"'%s': the addresses in its multiboot header contradict each other",
		l->kernel.name);
	return err_fix(err, "copy or build it again");
}

/* Strings and tables that the information points to, filled piece by piece. */
struct pieces {
	gpa_t base;
	u32 used, size;
	u8 *bytes;
};

/* Room was computed before: what does not fit is our own mistake. */
static u32 piece_add(struct pieces *p, const void *bytes, u32 size)
{
	u32 at = p->used;

	memcpy(p->bytes + at, bytes, size);
	p->used = (at + size + 7) & ~7u;
	return (u32)(p->base + at);
}

/* "FILE args": what the first word is, kernels decide; test kernels skip it. */
static u32 piece_string(struct pieces *p, const char *name, const char *args)
{
	char text[8192];
	int n = snprintf(text, sizeof text, "%s%s%s", name, args[0] ? " " : "", args);

	return piece_add(p, text, (u32)n + 1);
}

static u32 string_room(const char *name, const char *args)
{
	return (u32)(strlen(name) + strlen(args) + 2 + 7) & ~7u;
}

static u32 pieces_room(const struct loader *l)
{
	u32 room = sizeof(struct multiboot_info) + sizeof LOADER_NAME + 16;

	room += string_room(l->kernel.name, l->cmdline);
	for (unsigned i = 0; i < l->module_count; i++)
		room += string_room(l->module[i].name, l->module_args[i]);
	return room + LOADER_MODULES * sizeof(struct multiboot_module) +
	       BOOT_REGIONS * sizeof(struct multiboot_mmap) + 64;
}

static int load_modules(struct loader *l, u64 kernel_end,
			struct multiboot_module *ret_module, struct err *err)
{
	gpa_t min = max_u64(kernel_end, BOOT_HIGH);

	for (unsigned i = 0; i < l->module_count; i++) {
		u64 size = l->module[i].size;
		gpa_t base;
		int r = boot_space_find(&l->space, BOOT_LOWEST, size, WALL_PAGE_SIZE, min,
					GM_LOW_MAX, "it", &base, err);
		if (r < 0)
			return err_wrap(err, "module '%s'", l->module[i].name);
		r = boot_image_load(&l->module[i], 0, size, l->gm, base, err);
		if (r < 0)
			return err_wrap(err, "module");
		ret_module[i].start = le32_of((u32)base);
		ret_module[i].end = le32_of((u32)(base + size));
		min = base + size;
	}
	return 0;
}

static u32 fill_map(struct pieces *p, u64 ram_size, u32 *ret_size)
{
	struct boot_region region[BOOT_REGIONS];
	struct multiboot_mmap map[BOOT_REGIONS];
	unsigned count = boot_memory_map(ram_size, region);

	for (unsigned i = 0; i < count; i++)
		map[i] = (struct multiboot_mmap){
			.size = le32_of(sizeof map[i] - 4),
			.base = le64_of(region[i].base),
			.length = le64_of(region[i].size),
			.type = le32_of(region[i].type),
		};
	*ret_size = count * (u32)sizeof map[0];
	return piece_add(p, map, *ret_size);
}

static int give_information(struct loader *l, u64 kernel_end, gpa_t *ret_info,
			    struct err *err)
{
	struct multiboot_module module[LOADER_MODULES] = { 0 };
	struct multiboot_info info = { 0 };
	struct pieces p = { .size = pieces_room(l) };
	AUTO_FREE u8 *bytes = calloc(1, p.size);
	u64 low = l->space.low_size, ticket = 0;
	u32 map_size;
	int r;

	if (!bytes)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	p.bytes = bytes;
	r = boot_space_find(&l->space, BOOT_LOWEST, p.size, 16, 0x1000, BOOT_EBDA,
			    "multiboot information", &p.base, err);
	if (r == 0)
		r = load_modules(l, kernel_end, module, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < l->module_count; i++)
		module[i].string =
			le32_of(piece_string(&p, l->module[i].name, l->module_args[i]));
	info.mem_lower = le32_of((u32)(min_u64(low, BOOT_EBDA) >> 10));
	info.mem_upper = le32_of(low > BOOT_HIGH ? (u32)((low - BOOT_HIGH) >> 10) : 0);
	info.cmdline = le32_of(piece_string(&p, l->kernel.name, l->cmdline));
	info.mods_count = le32_of(l->module_count);
	if (l->module_count > 0)
		info.mods_addr = le32_of(
			piece_add(&p, module, l->module_count * (u32)sizeof module[0]));
	info.mmap_addr = le32_of(fill_map(&p, l->space.ram_size, &map_size));
	info.mmap_length = le32_of(map_size);
	info.boot_loader_name = le32_of(piece_add(&p, LOADER_NAME, sizeof LOADER_NAME));
	info.flags = le32_of(MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE |
			     MULTIBOOT_INFO_MODULES | MULTIBOOT_INFO_MEMORY_MAP |
			     MULTIBOOT_INFO_LOADER_NAME);
	*ret_info = piece_add(&p, &info, sizeof info);
	r = gm_write(l->gm, p.base, p.bytes, p.size, &ticket);
	return r < 0 ? err_set(err, r, "multiboot information: %s", err_words(r)) : 0;
}

int multiboot_load(struct loader *l, const u8 head[LOADER_HEAD], struct vp_state *state,
		   bool *ret_mine, struct err *err)
{
	u64 entry, kernel_end;
	gpa_t info = 0, gdt;
	struct header h;
	struct elf elf;
	bool is_elf = false;
	int r;

	if (!find_header(head, &h))
		return 0;
	if (h.flags & MULTIBOOT_ADDRESSES) {
		*ret_mine = true;
		r = load_by_addresses(l, &h, &entry, &kernel_end, err);
	} else {
		r = elf_read(&l->kernel, head, &elf, &is_elf, err);
		/* 64-bit ELF is not multiboot's, and the magic may stand in any file by chance. */
		if (r < 0 || !is_elf || elf.is_64)
			return r;
		*ret_mine = true;
		if (!elf_physical_entry(&elf, &entry)) {
			err_set(err, -ENOEXEC, "'%s' begins where it has no code",
				l->kernel.name);
			return err_fix(err, "copy or build it again");
		}
		r = elf_load(&elf, l, &kernel_end, err);
	}
	if (r < 0)
		return r;
	/* 3.1.2: a bit of 0-15 that we do not know means that it cannot run here. */
	if (h.flags & MULTIBOOT_MUST_MASK &
	    ~(MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO | MULTIBOOT_VIDEO_MODE)) {
		err_set(err, -ENOEXEC,
			"'%s' asks for a multiboot feature that does not exist here "
			"(flags %#x)",
			l->kernel.name, h.flags);
		return err_fix(err, "build it with only flags 0 and 1");
	}
	r = give_information(l, kernel_end, &info, err);
	if (r == 0)
		r = boot_space_find(&l->space, BOOT_LOWEST, ENTRY_GDT_SIZE,
				    ENTRY_GDT_ALIGN, 0x1000, BOOT_EBDA, "GDT", &gdt, err);
	if (r < 0)
		return r;
	r = entry_flat_32(state, l->gm, gdt, (u32)entry);
	if (r < 0)
		return err_set(err, r, "'%s': boot information: %s", l->kernel.name,
			       err_words(r));
	state->gpr[R_AX] = MULTIBOOT_LOADER_MAGIC;
	state->gpr[R_BX] = info;
	return 0;
}
