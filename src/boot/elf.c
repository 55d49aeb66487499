/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files as kernels; see elf.h. Loop thread, before the guest runs. */
#include "boot/elf.h"

#include <errno.h>

#include "abi/elf.h"
#include "base/checked.h"

/* Notes beyond this are not looked at; a kernel's are a few hundred bytes. */
#define NOTES_MAX 65536u

static int broken(const struct boot_image *image, const char *what, struct err *err)
{
	err_set(err, -ENOEXEC, "'%s' is a damaged ELF file: %s", image->name, what);
	return err_fix(err, "copy or build it again");
}

static void part_of_32(const u8 *raw, struct elf_part *ret_part)
{
	struct elf32_segment s;

	memcpy(&s, raw, sizeof s);
	*ret_part = (struct elf_part){
		.type = le32_get(s.type),
		.offset = le32_get(s.offset),
		.vaddr = le32_get(s.vaddr),
		.paddr = le32_get(s.paddr),
		.file_size = le32_get(s.filesz),
		.memory_size = le32_get(s.memsz),
	};
}

static void part_of_64(const u8 *raw, struct elf_part *ret_part)
{
	struct elf64_segment s;

	memcpy(&s, raw, sizeof s);
	*ret_part = (struct elf_part){
		.type = le32_get(s.type),
		.offset = le64_get(s.offset),
		.vaddr = le64_get(s.vaddr),
		.paddr = le64_get(s.paddr),
		.file_size = le64_get(s.filesz),
		.memory_size = le64_get(s.memsz),
	};
}

/* The numbers of either class's header that are needed. */
struct table {
	u64 offset;
	u32 entry_size, count;
};

static bool read_header(const u8 *head, struct elf *elf, struct table *ret_table)
{
	struct elf32_header h32;
	struct elf64_header h64;
	u16 machine, type;

	memcpy(&h32, head, sizeof h32);
	memcpy(&h64, head, sizeof h64);
	if (le32_get(h32.ident.magic) != ELF_MAGIC || h32.ident.data != ELF_DATA_LITTLE)
		return false;
	if (h32.ident.class != ELF_CLASS_32 && h32.ident.class != ELF_CLASS_64)
		return false;
	machine = le16_get(h32.machine);
	type = le16_get(h32.type);
	if ((machine != ELF_MACHINE_386 && machine != ELF_MACHINE_X86_64) ||
	    (type != ELF_TYPE_EXEC && type != ELF_TYPE_DYN))
		return false;
	elf->is_64 = h32.ident.class == ELF_CLASS_64;
	elf->entry = elf->is_64 ? le64_get(h64.entry) : le32_get(h32.entry);
	*ret_table = (struct table){
		.offset = elf->is_64 ? le64_get(h64.phoff) : le32_get(h32.phoff),
		.entry_size = le16_get(elf->is_64 ? h64.phentsize : h32.phentsize),
		.count = le16_get(elf->is_64 ? h64.phnum : h32.phnum),
	};
	return true;
}

int elf_read(const struct boot_image *image, const u8 head[LOADER_HEAD],
	     struct elf *ret_elf, bool *ret_mine, struct err *err)
{
	u8 raw[ELF_MAX_SEGMENTS * sizeof(struct elf64_segment)];
	struct elf elf = { 0 };
	struct table table;

	if (!read_header(head, &elf, &table))
		return 0;
	*ret_mine = true;
	u32 entry_size = elf.is_64 ? sizeof(struct elf64_segment)
				   : sizeof(struct elf32_segment);
	if (table.entry_size != entry_size)
		return broken(image, "its segment table has entries of a strange size",
			      err);
	if (table.count == 0 || table.count > ELF_MAX_SEGMENTS)
		return broken(image, "it has no segments, or more than 64", err);
	int r = boot_image_read(image, table.offset, raw, (u64)table.count * entry_size,
				err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < table.count; i++) {
		struct elf_part *p = &elf.part[i];
		u64 end;

		if (elf.is_64)
			part_of_64(raw + i * entry_size, p);
		else
			part_of_32(raw + i * entry_size, p);
		if (!add_u64(p->paddr, p->memory_size, &end) ||
		    !add_u64(p->vaddr, p->memory_size, &end) ||
		    !add_u64(p->offset, p->file_size, &end))
			return broken(image,
				      "a segment goes beyond the end of everything", err);
		if (p->type == ELF_SEGMENT_LOAD && p->file_size > p->memory_size)
			return broken(image, "a segment has more bytes than room", err);
	}
	elf.count = table.count;
	*ret_elf = elf;
	return 0;
}

int elf_load(const struct elf *elf, struct loader *l, u64 *ret_end, struct err *err)
{
	u64 end = 0;
	int r;

	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_part *p = &elf->part[i];

		if (p->type != ELF_SEGMENT_LOAD || p->memory_size == 0)
			continue;
		r = boot_space_claim(&l->space, p->paddr, p->memory_size, "the kernel",
				     err);
		if (r < 0)
			return err_wrap(err, "'%s'", l->kernel.name);
		/* What memory has beyond the file is zeros already. */
		if (p->file_size > 0) {
			r = boot_image_load(&l->kernel, p->offset, p->file_size, l->gm,
					    p->paddr, err);
			if (r < 0)
				return r;
		}
		end = max_u64(end, p->paddr + p->memory_size);
	}
	if (end == 0)
		return broken(&l->kernel, "nothing in it is to be loaded", err);
	*ret_end = end;
	return 0;
}

bool elf_physical_entry(const struct elf *elf, u64 *ret_entry)
{
	/* Linked at physical addresses, or at virtual ones that a segment translates. */
	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_part *p = &elf->part[i];

		if (p->type == ELF_SEGMENT_LOAD && elf->entry >= p->vaddr &&
		    elf->entry - p->vaddr < p->memory_size) {
			*ret_entry = p->paddr + (elf->entry - p->vaddr);
			return true;
		}
	}
	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_part *p = &elf->part[i];

		if (p->type == ELF_SEGMENT_LOAD && elf->entry >= p->paddr &&
		    elf->entry - p->paddr < p->memory_size) {
			*ret_entry = elf->entry;
			return true;
		}
	}
	return false;
}

/* Walks size bytes of notes; each step goes on by 12 bytes at least. */
static bool search_notes(const u8 *notes, u64 size, const char *name, u32 type,
			 const u8 **ret_content, u32 *ret_size)
{
	u64 at = 0;

	while (range_inside(at, sizeof(struct elf_note), size)) {
		struct elf_note n;

		memcpy(&n, notes + at, sizeof n);
		u64 name_at = at + sizeof n;
		u64 name_size = le32_get(n.name_size),
		    content_size = le32_get(n.content_size);
		u64 content_at = name_at + ((name_size + 3) & ~3ull);

		if (!range_inside(content_at, content_size, size))
			return false;
		if (le32_get(n.type) == type && name_size == strlen(name) + 1 &&
		    memcmp(notes + name_at, name, name_size) == 0) {
			*ret_content = notes + content_at;
			*ret_size = (u32)content_size;
			return true;
		}
		at = content_at + ((content_size + 3) & ~3ull);
	}
	return false;
}

int elf_find_note(const struct elf *elf, const struct boot_image *image, const char *name,
		  u32 type, u8 *ret_content, u32 max, u32 *ret_size, bool *ret_found,
		  struct err *err)
{
	AUTO_FREE u8 *notes = malloc(NOTES_MAX);

	if (!notes)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	*ret_found = false;
	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_part *p = &elf->part[i];
		u64 size = min_u64(p->file_size, NOTES_MAX);
		const u8 *content;
		u32 content_size;

		if (p->type != ELF_SEGMENT_NOTE)
			continue;
		int r = boot_image_read(image, p->offset, notes, size, err);
		if (r < 0)
			return r;
		if (!search_notes(notes, size, name, type, &content, &content_size))
			continue;
		memcpy(ret_content, content, min_u64(content_size, max));
		*ret_size = content_size;
		*ret_found = true;
		return 0;
	}
	return 0;
}
