/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's own boot protocol: a bzImage entered at its 64-bit entry, or at the 32-bit one where the
 * kernel has no other. Linux Documentation/arch/x86/boot.rst; layouts in abi/linux_boot.h.
 *
 *	low memory	zero page, command line, GDT, page tables
 *	pref_address	the protected-mode part; init_size bytes are the kernel's
 *	as high as may be	initrd: all modules, one behind the other (Linux unpacks each)
 */
#include "boot/load.h"

#include <errno.h>

#include "abi/linux_boot.h"
#include "boot/entry.h"
#include "wall/guest_memory.h"

/* What the header says, checked. */
struct kernel {
	struct linux_setup_header header;
	u16 version;
	u64 setup_size, body_size;
	u64 load_address,
		run_size; /* run_size: what the kernel takes before it knows e820 */
	u64 initrd_max;	  /* first byte that the initrd may not touch */
	u64 cmdline_size;
	bool entry_64;
};

static bool is_bzimage(const u8 *head)
{
	struct linux_setup_header h;

	memcpy(&h, head + LINUX_SETUP_HEADER_OFFSET, sizeof h);
	return le16_get(h.boot_flag) == LINUX_BOOT_FLAG &&
	       le32_get(h.header) == LINUX_HEADER_MAGIC;
}

/* Fields that the kernel's version of the protocol does not have become 0. */
static void read_header(const u8 *head, struct linux_setup_header *ret_header)
{
	size_t end = 0x202 + head[0x201];
	size_t size = end > LINUX_SETUP_HEADER_OFFSET ? end - LINUX_SETUP_HEADER_OFFSET
						      : 0;

	memset(ret_header, 0, sizeof *ret_header);
	memcpy(ret_header, head + LINUX_SETUP_HEADER_OFFSET,
	       size < sizeof *ret_header ? size : sizeof *ret_header);
}

static int check_header(const struct boot_image *image, const u8 *head, struct kernel *k,
			struct err *err)
{
	read_header(head, &k->header);
	const struct linux_setup_header *h = &k->header;
	k->version = le16_get(h->version);
	if (k->version < 0x200 || !(h->loadflags & LINUX_LOADED_HIGH)) {
		err_set(err, -ENOEXEC, "'%s' is a Linux kernel of an old kind (zImage)",
			image->name);
		return err_fix(err, "give a bzImage");
	}
	k->setup_size = (u64)((h->setup_sects ? h->setup_sects : 4) + 1) * 512;
	u64 body = k->version >= 0x204 ? (u64)le32_get(h->syssize) * 16 : 1;
	/* syssize is rounded up: the file may end up to 15 bytes earlier. */
	if (k->setup_size >= image->size || body > image->size - k->setup_size + 15) {
		err_set(err, -ENODATA,
			"'%s' is truncated: its header speaks of %llu bytes, it has %llu",
			image->name, (unsigned long long)(k->setup_size + body),
			(unsigned long long)image->size);
		return err_fix(err, "copy or build it again");
	}
	k->body_size = image->size - k->setup_size;

	k->load_address = le32_get(h->code32_start);
	if (k->load_address == 0)
		k->load_address = LINUX_OLD_LOAD_ADDRESS;
	k->run_size = k->body_size;
	if (k->version >= LINUX_PROTOCOL_INIT_SIZE) {
		u64 align = le32_get(h->kernel_alignment);

		k->run_size = max_u64(k->run_size, le32_get(h->init_size));
		/* Where it would move itself to anyway. */
		if (h->relocatable_kernel && align && (align & (align - 1)) == 0 &&
		    le64_get(h->pref_address) % align == 0 &&
		    le64_get(h->pref_address) != 0)
			k->load_address = le64_get(h->pref_address);
	}
	k->initrd_max = LINUX_OLD_INITRD_MAX + 1ull;
	if (k->version >= 0x203)
		k->initrd_max = le32_get(h->initrd_addr_max) + 1ull;
	k->cmdline_size = LINUX_OLD_CMDLINE_SIZE;
	if (k->version >= LINUX_PROTOCOL_CMDLINE_SIZE)
		k->cmdline_size = le32_get(h->cmdline_size);
	k->entry_64 = k->version >= LINUX_PROTOCOL_XLOADFLAGS &&
		      (le16_get(h->xloadflags) & LINUX_XLF_KERNEL_64);
	return 0;
}

static int load_initrd(struct loader *l, const struct kernel *k,
		       struct linux_setup_header *header, struct err *err)
{
	u64 size = 0;
	gpa_t base;

	/* Archives may follow one another at multiples of four; the padding is zeros. */
	for (unsigned i = 0; i < l->module_count; i++) {
		if (l->module[i].size > GM_LOW_MAX) {
			char words[32];

			err_set(err, -EFBIG,
				"initrd '%s' is larger than any memory for it (%s)",
				l->module[i].name,
				boot_size_words(l->module[i].size, words));
			return err_fix(err, "give a smaller one");
		}
		size += (l->module[i].size + 3) & ~3ull;
	}
	if (size == 0)
		return 0;
	int r = boot_space_find(&l->space, BOOT_HIGHEST, size, WALL_PAGE_SIZE, BOOT_HIGH,
				k->initrd_max, "initrd", &base, err);
	if (r < 0) {
		char words[32], memory[32];

		boot_size_words(size, words);
		err_set(err, r,
			"initrd '%s' (%s) does not fit beside the kernel into %s of "
			"memory",
			l->module[0].name, words,
			boot_size_words(l->space.ram_size, memory));
		return err_fix(err, "give the machine more memory (--memory) or a "
				    "smaller initrd");
	}
	header->ramdisk_image = le32_of((u32)base);
	header->ramdisk_size = le32_of((u32)size);
	for (unsigned i = 0; i < l->module_count; i++) {
		r = boot_image_load(&l->module[i], 0, l->module[i].size, l->gm, base,
				    err);
		if (r < 0)
			return err_wrap(err, "initrd");
		base += (l->module[i].size + 3) & ~3ull;
	}
	return 0;
}

/* One piece of boot information in low memory. */
static int place_low(struct loader *l, u64 size, u64 align, const char *what,
		     gpa_t *ret_base, struct err *err)
{
	return boot_space_find(&l->space, BOOT_LOWEST, size, align, 0x1000, BOOT_EBDA,
			       what, ret_base, err);
}

static void fill_e820(struct linux_boot_params *zero_page, u64 ram_size)
{
	struct boot_region region[BOOT_REGIONS];
	unsigned count = boot_memory_map(ram_size, region);

	zero_page->e820_entries = (u8)count;
	for (unsigned i = 0; i < count; i++)
		zero_page->e820_table[i] = (struct linux_e820_entry){
			.base = le64_of(region[i].base),
			.size = le64_of(region[i].size),
			.type = le32_of(region[i].type),
		};
}

int linux_boot_load(struct loader *l, const u8 head[LOADER_HEAD], struct vp_state *state,
		    bool *ret_mine, struct err *err)
{
	struct linux_boot_params zero_page = { 0 };
	size_t cmdline_length = strlen(l->cmdline);
	gpa_t zero_page_at, cmdline_at, gdt, pages = 0;
	struct kernel k = { 0 };
	u64 ticket = 0;
	int r;

	if (!is_bzimage(head))
		return 0;
	*ret_mine = true;
	r = check_header(&l->kernel, head, &k, err);
	if (r < 0)
		return r;
	if (cmdline_length > k.cmdline_size) {
		err_set(err, -E2BIG,
			"the kernel command line has %zu characters, '%s' takes at most "
			"%llu",
			cmdline_length, l->kernel.name,
			(unsigned long long)k.cmdline_size);
		return err_fix(err, "shorten --append");
	}

	/* The kernel itself. */
	r = boot_space_claim(&l->space, k.load_address, k.run_size, "the kernel", err);
	if (r < 0)
		return err_wrap(err, "'%s'", l->kernel.name);
	r = boot_image_load(&l->kernel, k.setup_size, k.body_size, l->gm, k.load_address,
			    err);
	if (r < 0)
		return r;

	/* What it is told. */
	zero_page.hdr = k.header;
	r = load_initrd(l, &k, &zero_page.hdr, err);
	if (r == 0)
		r = place_low(l, sizeof zero_page, 4096, "zero page", &zero_page_at, err);
	if (r == 0)
		r = place_low(l, cmdline_length + 1, 16, "command line", &cmdline_at,
			      err);
	if (r == 0)
		r = place_low(l, ENTRY_GDT_SIZE, ENTRY_GDT_ALIGN, "GDT", &gdt, err);
	if (r == 0 && k.entry_64)
		r = place_low(l, ENTRY_PAGES_SIZE, ENTRY_PAGES_ALIGN, "page tables",
			      &pages, err);
	if (r < 0)
		return r;
	zero_page.hdr.type_of_loader = LINUX_LOADER_UNKNOWN;
	zero_page.hdr.cmd_line_ptr = le32_of((u32)cmdline_at);
	zero_page.hdr.code32_start = le32_of((u32)k.load_address);
	zero_page.acpi_rsdp_addr = le64_of(l->rsdp);
	fill_e820(&zero_page, l->space.ram_size);
	r = gm_write(l->gm, zero_page_at, &zero_page, sizeof zero_page, &ticket);
	if (r == 0)
		r = gm_write(l->gm, cmdline_at, l->cmdline, cmdline_length + 1, &ticket);
	if (r == 0)
		r = k.entry_64 ? entry_long_64(state, l->gm, gdt, pages,
					       k.load_address + LINUX_ENTRY_64)
			       : entry_flat_32(state, l->gm, gdt, (u32)k.load_address);
	if (r < 0)
		return err_set(err, r, "'%s': boot information: %s", l->kernel.name,
			       err_words(r));
	state->gpr[R_SI] = zero_page_at;
	return 0;
}
