/* SPDX-License-Identifier: Apache-2.0 */
/* boot/multiboot.c, boot/pvh.c and boot/elf.c with files made here. */
#include "abi/elf.h"
#include "abi/multiboot.h"
#include "abi/pvh.h"
#include "boot/elf.h"
#include "boot_fixture.h"

enum { FILE_SIZE = 16384, CODE_AT = 4096, CODE_SIZE = 3000, NOTE_AT = 1024 };

static void put_multiboot(u8 *at, u32 flags)
{
	PUT32(at, MULTIBOOT_HEADER_MAGIC);
	PUT32(at + 4, flags);
	PUT32(at + 8, -(MULTIBOOT_HEADER_MAGIC + flags));
}

/* One segment: CODE_SIZE bytes to 4 MiB, 64 KiB of room; linked 3 GiB higher. */
static void make_elf32(u8 *file)
{
	struct elf32_header h = {
		.ident = { .magic = le32_of(ELF_MAGIC),
			   .class = ELF_CLASS_32,
			   .data = ELF_DATA_LITTLE,
			   .version = 1 },
		.type = le16_of(ELF_TYPE_EXEC),
		.machine = le16_of(ELF_MACHINE_386),
		.version = le32_of(1),
		.entry = le32_of(0xc0400010),
		.phoff = le32_of(sizeof h),
		.phentsize = le16_of(sizeof(struct elf32_segment)),
		.phnum = le16_of(1),
	};
	struct elf32_segment s = {
		.type = le32_of(ELF_SEGMENT_LOAD),
		.offset = le32_of(CODE_AT),
		.vaddr = le32_of(0xc0400000),
		.paddr = le32_of(4 * MIB),
		.filesz = le32_of(CODE_SIZE),
		.memsz = le32_of(65536),
	};

	memset(file, 0, FILE_SIZE);
	memcpy(file, &h, sizeof h);
	memcpy(file + sizeof h, &s, sizeof s);
	for (unsigned i = 0; i < CODE_SIZE; i++)
		file[CODE_AT + i] = (u8)(i * 3 + 1);
	put_multiboot(file + 512, MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO);
}

static struct elf32_segment *segment32(u8 *file)
{
	return (struct elf32_segment *)(file + sizeof(struct elf32_header));
}

/* A 64-bit kernel with a PVH note. */
static void make_elf64(u8 *file)
{
	struct elf64_header h = {
		.ident = { .magic = le32_of(ELF_MAGIC),
			   .class = ELF_CLASS_64,
			   .data = ELF_DATA_LITTLE,
			   .version = 1 },
		.type = le16_of(ELF_TYPE_EXEC),
		.machine = le16_of(ELF_MACHINE_X86_64),
		.entry = le64_of(0xffffffff81000000),
		.phoff = le64_of(sizeof h),
		.phentsize = le16_of(sizeof(struct elf64_segment)),
		.phnum = le16_of(2),
	};
	struct elf64_segment s[2] = {
		{ .type = le32_of(ELF_SEGMENT_LOAD),
		  .offset = le64_of(CODE_AT),
		  .vaddr = le64_of(0xffffffff81000000),
		  .paddr = le64_of(16 * MIB),
		  .filesz = le64_of(CODE_SIZE),
		  .memsz = le64_of(MIB) },
		{ .type = le32_of(ELF_SEGMENT_NOTE),
		  .offset = le64_of(NOTE_AT),
		  .filesz = le64_of(52) },
	};
	struct elf_note other = { le32_of(4), le32_of(3), le32_of(1) };
	struct elf_note pvh = { le32_of(4), le32_of(8), le32_of(PVH_NOTE_PHYS32_ENTRY) };

	memset(file, 0, FILE_SIZE);
	memcpy(file, &h, sizeof h);
	memcpy(file + sizeof h, s, sizeof s);
	memcpy(file + NOTE_AT, &other, sizeof other);
	memcpy(file + NOTE_AT + 12, "GNU\0abc\0", 8);
	memcpy(file + NOTE_AT + 20, &pvh, sizeof pvh);
	memcpy(file + NOTE_AT + 32, "Xen", 4);
	PUT64(file + NOTE_AT + 36, 0x1000123);
	for (unsigned i = 0; i < CODE_SIZE; i++)
		file[CODE_AT + i] = (u8)(i * 5 + 1);
}

TEST(multiboot_kernel_gets_what_the_specification_promises)
{
	BOOT_FIXTURE f = { 0 };
	struct multiboot_info info;
	struct multiboot_module module[2];
	struct multiboot_mmap map;
	u8 file[FILE_SIZE], bytes[5000];
	u32 at;

	make_elf32(file);
	memset(bytes, 0x77, sizeof bytes);
	ASSERT_OK(boot_fixture_init(&f, 5 * GIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_OK(boot_module(&f, bytes, sizeof bytes, "env", ""));
	ASSERT_OK(boot_module(&f, bytes, 7, "disk.img", "ro=1 x"));
	f.loader.cmdline = "one two";
	ASSERT_EQ(boot_load(&f), 0);
	ASSERT_EQ(f.kind, LOADER_MULTIBOOT);
	ASSERT_OK(boot_state_is_good(&f));

	ASSERT_EQ(f.state.rip, 4 * MIB + 0x10);
	ASSERT_EQ(f.state.gpr[R_AX], MULTIBOOT_LOADER_MAGIC);
	ASSERT_EQ(f.state.cr0 & 0x80000001, 1);
	ASSERT_MEM(f.hv->ram + 4 * MIB, file + CODE_AT, CODE_SIZE);
	ASSERT(f.state.gpr[R_BX] < 0x9fc00);
	memcpy(&info, f.hv->ram + f.state.gpr[R_BX], sizeof info);
	ASSERT_EQ(le32_get(info.flags), 0x24d);
	ASSERT_EQ(le32_get(info.mem_lower), 639);
	ASSERT_EQ(le32_get(info.mem_upper), (3 * GIB - MIB) / 1024);
	ASSERT_STR((char *)f.hv->ram + le32_get(info.cmdline), "vm.elf one two");
	ASSERT_STR((char *)f.hv->ram + le32_get(info.boot_loader_name), "Tabique");

	ASSERT_EQ(le32_get(info.mods_count), 2);
	memcpy(module, f.hv->ram + le32_get(info.mods_addr), sizeof module);
	ASSERT_EQ(le32_get(module[0].start), 4 * MIB + 65536);
	ASSERT_EQ(le32_get(module[0].end), 4 * MIB + 65536 + 5000);
	ASSERT_STR((char *)f.hv->ram + le32_get(module[0].string), "env");
	ASSERT_EQ(le32_get(module[1].start), 4 * MIB + 65536 + 8192);
	ASSERT_STR((char *)f.hv->ram + le32_get(module[1].string), "disk.img ro=1 x");
	ASSERT_MEM(f.hv->ram + le32_get(module[0].start), bytes, sizeof bytes);

	/* Five regions, the last one above 4 GiB; size does not count itself. */
	ASSERT_EQ(le32_get(info.mmap_length), 5 * 24);
	at = le32_get(info.mmap_addr) + 4 * 24;
	memcpy(&map, f.hv->ram + at, sizeof map);
	ASSERT_EQ(le32_get(map.size), 20);
	ASSERT_EQ(le64_get(map.base), 4 * GIB);
	ASSERT_EQ(le64_get(map.length), 2 * GIB);
	ASSERT_EQ(le32_get(map.type), 1);
}

TEST(multiboot_information_keeps_away_from_a_kernel_in_low_memory)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[FILE_SIZE];

	make_elf32(file);
	segment32(file)->paddr = le32_of(0x1000);
	ASSERT_OK(boot_fixture_init(&f, 16 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_EQ(boot_load(&f), 0);
	ASSERT(f.state.gpr[R_BX] >= 0x11000);
	ASSERT(f.state.gdtr.base >= 0x11000);
}

TEST(multiboot_header_with_addresses_needs_no_elf)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[FILE_SIZE] = { 0 };
	u8 *h = file + 64;

	put_multiboot(h, MULTIBOOT_ADDRESSES);
	PUT32(h + 12, 2 * MIB + 32); /* header: 32 bytes into what is loaded */
	PUT32(h + 16, 2 * MIB);
	PUT32(h + 20, 2 * MIB + 1000);
	PUT32(h + 24, 2 * MIB + 9000);
	PUT32(h + 28, 2 * MIB + 100);
	file[32] = 0xee;
	file[32 + 999] = 0xdd;
	file[32 + 1000] = 0xcc;
	ASSERT_OK(boot_fixture_init(&f, 16 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_EQ(boot_load(&f), 0);
	ASSERT_EQ(f.state.rip, 2 * MIB + 100);
	ASSERT_EQ(f.hv->ram[2 * MIB], 0xee);
	ASSERT_EQ(f.hv->ram[2 * MIB + 999], 0xdd);
	ASSERT_EQ(f.hv->ram[2 * MIB + 1000], 0);
	/* load_end before load, and a header before the file. */
	PUT32(h + 20, 2 * MIB - 1);
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_ERR(boot_load(&f), ENOEXEC);
	PUT32(h + 20, 2 * MIB + 1000);
	PUT32(h + 12, 2 * MIB + 65);
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_ERR(boot_load(&f), ENOEXEC);
	ASSERT_STR(f.err.text, "'vm.elf': the addresses in its multiboot header "
			       "contradict each other");
}

TEST(multiboot_feature_that_must_be_there_and_is_not_is_named)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[FILE_SIZE];

	make_elf32(file);
	put_multiboot(file + 512, 0x83);
	ASSERT_OK(boot_fixture_init(&f, 16 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_ERR(boot_load(&f), ENOEXEC);
	ASSERT(strstr(f.err.text, "(flags 0x83)"));
}

TEST(module_larger_than_memory_is_named)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[FILE_SIZE];
	AUTO_FREE u8 *big = calloc(1, 13 * MIB);

	make_elf32(file);
	ASSERT(big);
	ASSERT_OK(boot_fixture_init(&f, 16 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_OK(boot_module(&f, big, 13 * MIB, "big", ""));
	ASSERT_ERR(boot_load(&f), ENOMEM);
	ASSERT_STR(f.err.text, "module 'big': it (13 MiB) does not fit beside the kernel "
			       "into "
			       "16 MiB of memory");
}

TEST(pvh_kernel_is_entered_where_its_note_says)
{
	BOOT_FIXTURE f = { 0 };
	struct pvh_start_info info;
	struct pvh_module module;
	u8 file[FILE_SIZE], initrd[300] = { 9 };

	make_elf64(file);
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_OK(boot_module(&f, initrd, sizeof initrd, "initrd", ""));
	f.loader.cmdline = "root=/dev/ram";
	ASSERT_EQ(boot_load(&f), 0);
	ASSERT_EQ(f.kind, LOADER_PVH);
	ASSERT_OK(boot_state_is_good(&f));
	ASSERT_EQ(f.state.rip, 0x1000123);
	ASSERT_EQ(f.state.cr0 & 0x80000001, 1);
	ASSERT_MEM(f.hv->ram + 16 * MIB, file + CODE_AT, CODE_SIZE);
	memcpy(&info, f.hv->ram + f.state.gpr[R_BX], sizeof info);
	ASSERT_EQ(le32_get(info.magic), PVH_START_MAGIC);
	ASSERT_EQ(le64_get(info.rsdp), BOOT_ACPI);
	ASSERT_STR((char *)f.hv->ram + le64_get(info.cmdline), "root=/dev/ram");
	ASSERT_EQ(le32_get(info.module_count), 1);
	memcpy(&module, f.hv->ram + le64_get(info.modules), sizeof module);
	ASSERT_EQ(le64_get(module.size), 300);
	ASSERT_EQ(f.hv->ram[le64_get(module.address)], 9);
	ASSERT_EQ(le32_get(info.memory_map_entries), 4);
	ASSERT_EQ(ram64(&f, le64_get(info.memory_map) + 3 * 24), MIB);
}

TEST(elf_without_entry_for_us_is_no_kernel)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[FILE_SIZE];

	make_elf64(file);
	file[NOTE_AT + 32] = 'Y';
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_ERR(boot_load(&f), ENOEXEC);
	ASSERT_STR(f.err.text, "'vm.elf' is not a kernel: an ELF file with neither a PVH "
			       "entry "
			       "nor a 32-bit multiboot header");
}

TEST(notes_that_lie_about_their_size_end_the_search)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[FILE_SIZE];

	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	for (u32 size = 0xfffffff0; size != 4; size += 4) {
		make_elf64(file);
		PUT32(file + NOTE_AT, size);
		PUT32(file + NOTE_AT + 4, size);
		f.fd_count = 0;
		ASSERT_OK(boot_kernel(&f, file, sizeof file));
		ASSERT_ERR(boot_load(&f), ENOEXEC);
		close(f.fds[0]);
	}
	f.fd_count = 0;
}

TEST(damaged_elf_files_are_refused_with_their_damage)
{
	static const struct {
		u32 offset, value;
		int error;
	} damages[] = {
		{ 42, 31 | 1 << 16, ENOEXEC },	 /* phentsize */
		{ 42, 32 | 0u << 16, ENOEXEC },	 /* phnum 0 */
		{ 42, 32 | 65u << 16, ENOEXEC }, /* too many */
		{ 28, 0xfffffff0, ENODATA },	 /* phoff */
		{ 52 + 16, 65537, ENOEXEC },	 /* filesz > memsz */
		{ 52 + 4, 0xfffffff0, ENODATA }, /* offset behind the end */
		{ 52 + 12, 0xfffff000, ENOMEM }, /* paddr where no RAM is */
		{ 52 + 20, 0xf0000000, ENOMEM }, /* memsz larger than RAM */
		{ 52 + 12, 0x98000, EEXIST },	 /* over the BIOS area */
		{ 24, 0xdead0000, ENOEXEC },	 /* entry nowhere */
	};
	BOOT_FIXTURE f = { 0 };
	u8 file[FILE_SIZE];

	ASSERT_OK(boot_fixture_init(&f, 16 * MIB));
	for (unsigned i = 0; i < ARRAY_COUNT(damages); i++) {
		make_elf32(file);
		PUT32(file + damages[i].offset, damages[i].value);
		ASSERT_OK(boot_kernel(&f, file, sizeof file));
		int r = boot_load(&f);
		if (r != -damages[i].error)
			FAIL("damage %u: %d, %s", i, r, f.err.text);
		ASSERT(f.err.fix[0] || r == -EEXIST);
	}
}
