/* SPDX-License-Identifier: Apache-2.0 */
/* boot/acpi.c and boot/aml.c: what a guest's parser insists on. */
#include "abi/acpi.h"
#include "abi/board.h"
#include "boot/acpi.h"
#include "boot/aml.h"
#include "boot_fixture.h"

static u8 sum(const u8 *bytes, size_t size)
{
	u8 s = 0;

	while (size--)
		s = (u8)(s + *bytes++);
	return s;
}

#define BASE 0xe0000u

/* The table at a guest address; its checksum holds. */
static const u8 *table_at(const u8 *bytes, u64 at, const char *signature, u32 *ret_size)
{
	const struct acpi_header *h = (const struct acpi_header *)(bytes + (at - BASE));
	u32 size = le32_get(h->length);

	if (memcmp(h->signature, signature, 4) != 0 || sum((const u8 *)h, size) != 0)
		return NULL;
	*ret_size = size;
	return (const u8 *)h;
}

static bool check_tables(u32 vp_count)
{
	static u8 bytes[131072];
	u32 size, facs_at, dsdt_at, processors = 0, wide = 0, overrides = 0;
	const struct acpi_rsdp *rsdp = (const struct acpi_rsdp *)bytes;
	const u8 *t;
	u64 fadt_at, madt_at;
	size_t used;

	CHECK_EQ(acpi_build(vp_count, false, BASE, bytes, sizeof bytes, &used), 0);
	CHECK_MEM(rsdp->signature, "RSD PTR ", 8);
	CHECK_EQ(sum(bytes, 20), 0);
	CHECK_EQ(sum(bytes, 36), 0);
	t = table_at(bytes, le32_get(rsdp->rsdt), "RSDT", &size);
	CHECK(t);
	CHECK_EQ(size, 36 + 2 * 4);
	t = table_at(bytes, le64_get(rsdp->xsdt), "XSDT", &size);
	CHECK(t);
	CHECK_EQ(size, 36 + 2 * 8);
	memcpy(&fadt_at, t + 36, 8);
	memcpy(&madt_at, t + 44, 8);

	const struct acpi_fadt *fadt =
		(const void *)table_at(bytes, fadt_at, "FACP", &size);
	CHECK(fadt);
	CHECK_EQ(size, 276);
	CHECK_EQ(le32_get(fadt->pm1a_evt_blk), 0x600);
	CHECK_EQ(le32_get(fadt->pm_tmr_blk), 0x608);
	CHECK_EQ(le64_get(fadt->reset_reg.address), 0xcf9);
	facs_at = le32_get(fadt->firmware_ctrl);
	dsdt_at = le32_get(fadt->dsdt);
	CHECK_EQ(facs_at % 64, 0);
	CHECK_MEM(bytes + (facs_at - BASE), "FACS", 4);
	CHECK(table_at(bytes, dsdt_at, "DSDT", &size));

	t = table_at(bytes, madt_at, "APIC", &size);
	CHECK(t);
	for (u32 at = sizeof(struct acpi_madt); at < size; at += t[at + 1]) {
		CHECK(t[at + 1] >= 6);
		if (t[at] == ACPI_MADT_LAPIC) {
			CHECK_EQ(t[at + 3], processors);
			processors++;
		}
		if (t[at] == ACPI_MADT_X2APIC) {
			CHECK_EQ(t[at + 4] | t[at + 5] << 8, processors);
			processors++;
			wide++;
		}
		overrides += t[at] == ACPI_MADT_OVERRIDE;
	}
	CHECK_EQ(processors, vp_count);
	CHECK_EQ(wide, vp_count > 255 ? vp_count - 255 : 0);
	CHECK_EQ(overrides, 2);
	return true;
}

TEST(tables_hold_together_for_any_number_of_processors)
{
	ASSERT_OK(check_tables(1));
	ASSERT_OK(check_tables(4));
	ASSERT_OK(check_tables(240));
	ASSERT_OK(check_tables(300));
}

TEST(tables_that_do_not_fit_are_refused)
{
	u8 bytes[4096];
	size_t whole, used;

	ASSERT_EQ(acpi_build(4, false, BASE, bytes, sizeof bytes, &whole), 0);
	for (size_t size = 0; size < whole; size++)
		ASSERT_ERR(acpi_build(4, false, BASE, bytes, size, &used), ENOSPC);
	ASSERT_EQ(acpi_build(4, false, BASE, bytes, whole, &used), 0);
}

TEST(tables_are_left_out_of_a_machine_that_ends_before_them)
{
	BOOT_FIXTURE f = { 0 };
	gpa_t rsdp = 1;

	ASSERT_OK(boot_fixture_init(&f, MIB / 2));
	ASSERT_EQ(acpi_install(f.loader.gm, 1, &rsdp, &f.err), 0);
	ASSERT_EQ(rsdp, 0);
}

TEST(aml_is_byte_for_byte_what_the_specification_says)
{
	static const u8 want[] = {
		0x10, 0x83, 0x03, 0x00, '\\', '_',  'S',  'B',	'_', /* Scope (\_SB_) */
		0x5b, 0x82, 0x89, 0x02, 0x00, 'C',  'O',  'M',	'1', /* Device (COM1) */
		0x08, '_',  'H',  'I',	'D',  0x0c, 0x41, 0xd0, 0x05, 0x01, /* PNP0501 */
		0x08, '_',  'C',  'R',	'S',  0x11, 0x82, 0x01, 0x00, 0x0a, 0x0d, 0x47,
		0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, 0x22, 0x10, 0x00, 0x79, 0x00,
	};
	u8 bytes[256];
	struct aml a;

	aml_init(&a, bytes, sizeof bytes);
	size_t scope = aml_open(&a, AML_SCOPE);
	aml_path(&a, "\\_SB_");
	size_t device = aml_open_device(&a, "COM1");
	aml_name_eisa(&a, "_HID", "PNP0501");
	aml_ports_and_irq(&a, 0x3f8, 8, 4);
	aml_close(&a, device);
	aml_close(&a, scope);
	ASSERT(!a.overflow);
	ASSERT_EQ(a.used, sizeof want);
	ASSERT_MEM(bytes, want, sizeof want);
}

/* Firmware and kernels take a keyboard for absent that is not in the DSDT. */
TEST(acpi_names_the_keyboard_of_a_pc_alone)
{
	static const u8 id[] = { 0x41, 0xd0, 0x03, 0x03 };
	static u8 bytes[BOOT_ACPI_SIZE];
	size_t used;

	ASSERT_EQ(acpi_build(1, false, BASE, bytes, sizeof bytes, &used), 0);
	ASSERT(!memmem(bytes, used, id, sizeof id));
	ASSERT_EQ(acpi_build(1, true, BASE, bytes, sizeof bytes, &used), 0);
	ASSERT(memmem(bytes, used, id, sizeof id));
}
