/* SPDX-License-Identifier: Apache-2.0 */
/* boot/linux_boot.c with a bzImage made of nothing but its header. */
#include <fcntl.h>

#include "abi/linux_boot.h"
#include "boot_fixture.h"

enum { SETUP = 2048, BODY = 8192 };

/* Protocol 2.15, relocatable, 64-bit entry, wants 1 MiB at 16 MiB. */
static void make_kernel(u8 file[SETUP + BODY])
{
	struct linux_setup_header h = {
		.setup_sects = 3,
		.syssize = le32_of(BODY / 16),
		.boot_flag = le16_of(LINUX_BOOT_FLAG),
		.jump = { 0xeb, 0x6a },
		.header = le32_of(LINUX_HEADER_MAGIC),
		.version = le16_of(0x20f),
		.loadflags = LINUX_LOADED_HIGH,
		.code32_start = le32_of(0x100000),
		.initrd_addr_max = le32_of(0x7fffffff),
		.kernel_alignment = le32_of(0x200000),
		.relocatable_kernel = 1,
		.xloadflags = le16_of(LINUX_XLF_KERNEL_64),
		.cmdline_size = le32_of(2047),
		.pref_address = le64_of(0x1000000),
		.init_size = le32_of(0x100000),
	};

	memset(file, 0, SETUP + BODY);
	memcpy(file + LINUX_SETUP_HEADER_OFFSET, &h, sizeof h);
	for (unsigned i = 0; i < BODY; i++)
		file[SETUP + i] = (u8)(i * 7 + 1);
}

static struct linux_setup_header *header_of(u8 *file)
{
	return (struct linux_setup_header *)(file + LINUX_SETUP_HEADER_OFFSET);
}

TEST(linux_starts_at_its_64_bit_entry_with_everything_in_place)
{
	BOOT_FIXTURE f = { 0 };
	struct linux_boot_params zero_page;
	u8 file[SETUP + BODY], initrd[5000], more[3];
	u64 page;

	make_kernel(file);
	memset(initrd, 0x5a, sizeof initrd);
	memset(more, 0xa5, sizeof more);
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_OK(boot_module(&f, initrd, sizeof initrd, "a.cpio", ""));
	ASSERT_OK(boot_module(&f, more, sizeof more, "b.cpio", ""));
	f.loader.cmdline = "console=ttyS0 quiet";
	ASSERT_EQ(boot_load(&f), 0);
	ASSERT_EQ(f.kind, LOADER_LINUX);
	ASSERT_OK(boot_state_is_good(&f));

	ASSERT_EQ(f.state.rip, 0x1000200);
	ASSERT_MEM(f.hv->ram + 0x1000000, file + SETUP, BODY);
	ASSERT_EQ(f.state.cr0 >> 31, 1);
	/* Each of the first 4 GiB is mapped to itself. */
	page = ram64(&f, (ram64(&f, (ram64(&f, f.state.cr3) & ~0xfffull) + 3 * 8) &
			  ~0xfffull) +
				 511 * 8);
	ASSERT_EQ(page, (4 * GIB - 2 * MIB) | 0xe3);
	/* The segments in the table are those in the registers. */
	ASSERT_EQ(ram64(&f, f.state.gdtr.base + LINUX_BOOT_CS), 0x00af9b000000ffff);
	ASSERT_EQ(ram64(&f, f.state.gdtr.base + LINUX_BOOT_DS), 0x00cf93000000ffff);

	memcpy(&zero_page, f.hv->ram + f.state.gpr[R_SI], sizeof zero_page);
	ASSERT_STR((char *)f.hv->ram + le32_get(zero_page.hdr.cmd_line_ptr), "console="
									     "ttyS0 "
									     "quiet");
	ASSERT_EQ(zero_page.hdr.type_of_loader, 0xff);
	ASSERT_EQ(le64_get(zero_page.acpi_rsdp_addr), BOOT_ACPI);
	ASSERT_EQ(zero_page.e820_entries, 4);
	ASSERT_EQ(le64_get(zero_page.e820_table[3].base), MIB);
	ASSERT_EQ(le64_get(zero_page.e820_table[3].size), 63 * MIB);
	/* As high as may be, the second archive at the next multiple of four. */
	ASSERT_EQ(le32_get(zero_page.hdr.ramdisk_image), 64 * MIB - 8192);
	ASSERT_EQ(le32_get(zero_page.hdr.ramdisk_size), 5004);
	ASSERT_MEM(f.hv->ram + 64 * MIB - 8192, initrd, sizeof initrd);
	ASSERT_MEM(f.hv->ram + 64 * MIB - 8192 + 5000, more, sizeof more);
}

TEST(initrd_stays_below_the_kernels_limit_and_below_the_hole)
{
	BOOT_FIXTURE f = { 0 };
	struct linux_boot_params zero_page;
	u8 file[SETUP + BODY], initrd[100] = { 1 };

	make_kernel(file);
	header_of(file)->initrd_addr_max = le32_of(0xffffffff);
	ASSERT_OK(boot_fixture_init(&f, 4 * GIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_OK(boot_module(&f, initrd, sizeof initrd, "a", ""));
	ASSERT_EQ(boot_load(&f), 0);
	memcpy(&zero_page, f.hv->ram + f.state.gpr[R_SI], sizeof zero_page);
	ASSERT_EQ(le32_get(zero_page.hdr.ramdisk_image), 3 * GIB - 4096);
	ASSERT_EQ(zero_page.e820_entries, 5);
	ASSERT_EQ(le64_get(zero_page.e820_table[4].base), 4 * GIB);
	ASSERT_EQ(le64_get(zero_page.e820_table[4].size), GIB);
}

TEST(kernel_without_a_64_bit_entry_starts_in_32_bit_mode)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];

	make_kernel(file);
	header_of(file)->xloadflags = le16_of(0);
	header_of(file)->relocatable_kernel = 0;
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_EQ(boot_load(&f), 0);
	ASSERT_OK(boot_state_is_good(&f));
	ASSERT_EQ(f.state.rip, 0x100000);
	ASSERT_EQ(f.state.cr0 >> 31, 0);
	ASSERT_EQ(f.state.cr0 & 1, 1);
	ASSERT_EQ(f.state.efer, 0);
	ASSERT_MEM(f.hv->ram + 0x100000, file + SETUP, BODY);
}

TEST(truncated_kernel_is_told_apart)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];

	make_kernel(file);
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file - 16));
	ASSERT_ERR(boot_load(&f), ENODATA);
	ASSERT_STR(f.err.text, "'vm.elf' is truncated: its header speaks of 10240 bytes, "
			       "it has 10224");
	ASSERT_STR(f.err.fix, "copy or build it again");
}

TEST(kernel_of_setup_alone_is_truncated)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];

	make_kernel(file);
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, 1024));
	ASSERT_ERR(boot_load(&f), ENODATA);
}

TEST(command_line_longer_than_the_kernel_takes_is_refused)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];
	char line[2049];

	make_kernel(file);
	memset(line, 'x', sizeof line);
	line[2048] = 0;
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	f.loader.cmdline = line;
	ASSERT_ERR(boot_load(&f), E2BIG);
	ASSERT_STR(f.err.text, "the kernel command line has 2048 characters, 'vm.elf' "
			       "takes at most 2047");
	f.loader.cmdline = line + 1;
	ASSERT_EQ(boot_load(&f), 0);
}

TEST(initrd_larger_than_memory_is_refused)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];
	AUTO_FREE u8 *initrd = calloc(1, 20 * MIB);

	make_kernel(file);
	ASSERT(initrd);
	ASSERT_OK(boot_fixture_init(&f, 32 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_OK(boot_module(&f, initrd, 20 * MIB, "big.cpio", ""));
	ASSERT_ERR(boot_load(&f), ENOMEM);
	ASSERT_STR(f.err.text, "initrd 'big.cpio' (20 MiB) does not fit beside the "
			       "kernel into 32 MiB of "
			       "memory");
	ASSERT_STR(f.err.fix, "give the machine more memory (--memory) or a smaller "
			      "initrd");
}

TEST(machine_too_small_for_the_kernel_is_told_how_much_it_needs)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];

	make_kernel(file);
	ASSERT_OK(boot_fixture_init(&f, 16 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_ERR(boot_load(&f), ENOMEM);
	ASSERT_STR(f.err.text, "'vm.elf': the kernel needs 17 MiB of memory, the machine "
			       "has 16 MiB");
}

TEST(header_fields_of_newer_protocols_are_not_believed_of_older_kernels)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];

	make_kernel(file);
	header_of(file)->version = le16_of(0x203);
	/* The header ends before kernel_alignment: what lies there is code. */
	header_of(file)->jump[1] = 0x2e;
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	f.loader.cmdline = "short enough";
	ASSERT_EQ(boot_load(&f), 0);
	ASSERT_EQ(f.state.rip, 0x100000);
	ASSERT_EQ(f.state.efer, 0);
}

TEST(absurd_load_addresses_are_refused)
{
	BOOT_FIXTURE f = { 0 };
	u8 file[SETUP + BODY];

	make_kernel(file);
	header_of(file)->pref_address = le64_of(0xfffffffffff00000);
	header_of(file)->kernel_alignment = le32_of(0x100000);
	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_ERR(boot_load(&f), ENOMEM);
	/* Over the BIOS area. */
	make_kernel(file);
	header_of(file)->relocatable_kernel = 0;
	header_of(file)->code32_start = le32_of(0xe0000);
	ASSERT_OK(boot_kernel(&f, file, sizeof file));
	ASSERT_ERR(boot_load(&f), EEXIST);
	ASSERT_STR(f.err.text, "'vm.elf': the kernel wants to lie at 0xe0000, where the "
			       "BIOS area is");
}

TEST(what_is_no_kernel_is_said_to_be_none)
{
	BOOT_FIXTURE f = { 0 };
	u8 zeros[600] = { 0 }, gzip[10] = { 0x1f, 0x8b, 8 };

	ASSERT_OK(boot_fixture_init(&f, 64 * MIB));
	ASSERT_OK(boot_kernel(&f, zeros, sizeof zeros));
	ASSERT_ERR(boot_load(&f), ENOEXEC);
	ASSERT_STR(f.err.text, "'vm.elf' is not a kernel: no bzImage, multiboot or ELF "
			       "header in it");
	ASSERT_STR(f.err.fix, "give a bzImage, a PVH vmlinux or a multiboot image");
	ASSERT_OK(boot_kernel(&f, gzip, sizeof gzip));
	ASSERT_ERR(boot_load(&f), ENOEXEC);
	ASSERT_STR(f.err.text, "'vm.elf' is not a kernel: it is compressed (gzip)");
	ASSERT_OK(boot_kernel(&f, "a", 1));
	ASSERT_ERR(boot_load(&f), ENOEXEC);
}

TEST(directories_and_empty_files_are_no_images)
{
	AUTO_CLOSE int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int nothing = memfd_create("x", MFD_CLOEXEC);
	AUTO_CLOSE int device = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct boot_image image;
	struct err err;

	ASSERT_ERR(boot_image_init(&image, folder, "x", "kernel", &err), EISDIR);
	ASSERT_STR(err.text, "kernel 'x' is a directory");
	ASSERT_ERR(boot_image_init(&image, nothing, "x", "initrd", &err), ENODATA);
	ASSERT_STR(err.text, "initrd 'x' is empty");
	ASSERT_ERR(boot_image_init(&image, device, "x", "kernel", &err), EINVAL);
	ASSERT_ERR(boot_image_init(&image, -1, "x", "kernel", &err), EBADF);
}
