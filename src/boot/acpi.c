/* SPDX-License-Identifier: Apache-2.0 */
/* The board's ACPI tables; see acpi.h. ACPI 6.4, chapter 5. Any thread. */
#include "boot/acpi.h"

#include <errno.h>
#include <stdio.h>

#include "abi/acpi.h"
#include "abi/board.h"
#include "boot/aml.h"
#include "boot/space.h"
#include "wall/guest_memory.h"

/* APIC ids that the old LAPIC entry can carry; 255 is "all of them". */
#define XAPIC_IDS 255u
#define ALL_PROCESSORS_8 0xff
#define ALL_PROCESSORS_32 0xffffffffu

/* The tables under construction: at(offset) is where a byte will lie for the guest. */
struct tables {
	u8 *bytes;
	size_t size, used;
	gpa_t base;
};

static u8 checksum(const u8 *bytes, size_t size)
{
	u8 sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (u8)(sum + bytes[i]);
	return (u8)-sum;
}

/* Room for size bytes at a multiple of align, zeroed, or NULL; its address goes to *ret_at. */
static void *add(struct tables *t, size_t size, size_t align, gpa_t *ret_at)
{
	size_t offset = (t->used + align - 1) & ~(align - 1);

	if (offset > t->size || size > t->size - offset)
		return NULL;
	memset(t->bytes + offset, 0, size);
	t->used = offset + size;
	*ret_at = t->base + offset;
	return t->bytes + offset;
}

/* Last step of a table: header and checksum. */
static void seal(void *table, const char *signature, u8 revision, size_t size)
{
	struct acpi_header h = {
		.length = le32_of((u32)size),
		.revision = revision,
		.oem_id = { 'T', 'A', 'B', 'I', 'Q', 'U' },
		.oem_revision = le32_of(1),
		.creator_id = { 'T', 'A', 'B', 'Q' },
		.creator_revision = le32_of(1),
	};

	memcpy(h.signature, signature, sizeof h.signature);
	memcpy(h.oem_table_id, "TABIQUE ", sizeof h.oem_table_id);
	memcpy(table, &h, sizeof h);
	((struct acpi_header *)table)->checksum = checksum(table, size);
}

/* ---- DSDT: what cannot be found by probing ---- */

static void serial_port(struct aml *a, const char *name, unsigned uid, u16 port, int irq)
{
	size_t device = aml_open_device(a, name);

	aml_name_eisa(a, "_HID", "PNP0501");
	aml_name_number(a, "_UID", uid);
	aml_ports_and_irq(a, port, 8, irq);
	aml_close(a, device);
}

/* Guests bind their VMBus driver to this device. */
static void vmbus(struct aml *a)
{
	size_t device = aml_open_device(a, "VMBS");

	aml_name_string(a, "_HID", "VMBus");
	aml_name_string(a, "_DDN", "VMBUS");
	aml_name_number(a, "_UID", 0);
	aml_name_number(a, "_STA", 0xf);
	aml_no_resources(a);
	aml_close(a, device);
}

/*
 * The root of the PCI bus. The VMBus stands below it, as in a Generation 1 machine: its windows are
 * where guests look for addresses that synthetic devices may take.
 */
static void pci(struct aml *a)
{
	size_t root = aml_open_device(a, "PCI0");

	aml_name_eisa(a, "_HID", "PNP0A03");
	aml_name_number(a, "_UID", 0);
	aml_name_number(a, "_ADR", 0);
	aml_pci_windows(a, BOARD_PORT_PCI_ADDRESS, BOARD_GPA_PCI, BOARD_GPA_PCI_END);
	vmbus(a);
	aml_close(a, root);
}

static void processor(struct aml *a, u32 uid)
{
	char name[8];

	snprintf(name, sizeof name, "C%03X", uid & 0xfff);
	size_t device = aml_open_device(a, name);
	aml_name_string(a, "_HID", "ACPI0007");
	aml_name_number(a, "_UID", uid);
	aml_close(a, device);
}

/* Firmware and kernels look for them here before they touch a port. */
static void keyboard_and_mouse(struct aml *a)
{
	static const u16 port[] = { BOARD_PORT_I8042_DATA, BOARD_PORT_I8042 };
	size_t device = aml_open_device(a, "KBD_");

	aml_name_eisa(a, "_HID", "PNP0303");
	aml_single_ports_and_irq(a, port, ARRAY_COUNT(port), BOARD_IRQ_KEYBOARD);
	aml_close(a, device);
	device = aml_open_device(a, "MOU_");
	aml_name_eisa(a, "_HID", "PNP0F13");
	aml_single_ports_and_irq(a, port, 0, BOARD_IRQ_MOUSE);
	aml_close(a, device);
}

static int add_dsdt(struct tables *t, u32 vp_count, bool pc, gpa_t *ret_at)
{
	gpa_t at;
	u8 *table = add(t, sizeof(struct acpi_header), 16, &at);
	struct aml a;

	if (!table)
		return -ENOSPC;
	aml_init(&a, t->bytes + t->used, t->size - t->used);
	/* \_S5_: both values are written to the sleep type field to power off. */
	aml_name(&a, "\\_S5_");
	size_t package = aml_open(&a, AML_PACKAGE);
	aml_byte(&a, 4);
	aml_number(&a, BOARD_SLP_TYP_S5);
	aml_number(&a, BOARD_SLP_TYP_S5);
	aml_number(&a, 0);
	aml_number(&a, 0);
	aml_close(&a, package);

	size_t scope = aml_open(&a, AML_SCOPE);
	aml_path(&a, "\\_SB_");
	for (u32 i = 0; i < vp_count; i++)
		processor(&a, i);
	serial_port(&a, "COM1", 1, BOARD_PORT_COM1, BOARD_IRQ_COM1);
	serial_port(&a, "COM2", 2, BOARD_PORT_COM2, BOARD_IRQ_COM2);
	size_t rtc = aml_open_device(&a, "RTC_");
	aml_name_eisa(&a, "_HID", "PNP0B00");
	aml_ports_and_irq(&a, BOARD_PORT_RTC, 2, BOARD_IRQ_RTC);
	aml_close(&a, rtc);
	if (pc)
		keyboard_and_mouse(&a);
	pci(&a);
	aml_close(&a, scope);
	if (a.overflow)
		return -ENOSPC;
	t->used += a.used;
	/* Revision 2: integers are 64 bits wide. */
	seal(table, "DSDT", 2, sizeof(struct acpi_header) + a.used);
	*ret_at = at;
	return 0;
}

/* ---- FADT and FACS ---- */

static struct acpi_address io(u16 port, u8 bits, u8 access)
{
	return (struct acpi_address){
		.space = ACPI_SPACE_IO,
		.bit_width = bits,
		.access_size = access,
		.address = le64_of(port),
	};
}

static int add_facs(struct tables *t, gpa_t *ret_at)
{
	struct acpi_facs *facs = add(t, sizeof *facs, 64, ret_at);

	if (!facs)
		return -ENOSPC;
	memcpy(facs->signature, "FACS", 4);
	facs->length = le32_of(sizeof *facs);
	facs->version = 2;
	return 0;
}

static int add_fadt(struct tables *t, bool pc, gpa_t dsdt, gpa_t facs, gpa_t *ret_at)
{
	struct acpi_fadt *f = add(t, sizeof *f, 16, ret_at);

	if (!f)
		return -ENOSPC;
	f->firmware_ctrl = le32_of((u32)facs);
	f->dsdt = le32_of((u32)dsdt);
	f->x_dsdt = le64_of(
		dsdt); /* X_FIRMWARE_CTRL stays 0: only one of the two may be set */
	f->preferred_pm_profile = 4; /* enterprise server */
	f->sci_int = le16_of(BOARD_IRQ_SCI);
	f->smi_cmd = le32_of(BOARD_PORT_SMI_CMD);
	f->acpi_enable = BOARD_ACPI_ENABLE;
	f->acpi_disable = BOARD_ACPI_DISABLE;
	f->pm1a_evt_blk = le32_of(BOARD_PORT_PM1_EVENT);
	f->pm1a_cnt_blk = le32_of(BOARD_PORT_PM1_CONTROL);
	f->pm_tmr_blk = le32_of(BOARD_PORT_PM_TIMER);
	f->pm1_evt_len = 4;
	f->pm1_cnt_len = 2;
	f->pm_tmr_len = 4;
	f->p_lvl2_lat = le16_of(0xffff); /* no C2, no C3 */
	f->p_lvl3_lat = le16_of(0xffff);
	f->century = BOARD_CMOS_CENTURY;
	/* Where there is no i8042 and no VGA to be looked for it saves the guest's probing. */
	f->iapc_boot_arch = le16_of(ACPI_BOOT_LEGACY_DEVICES |
				    (pc ? ACPI_BOOT_8042 : ACPI_BOOT_NO_VGA));
	f->flags = le32_of(ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_SLP_BUTTON |
			   ACPI_FADT_TMR_VAL_EXT | ACPI_FADT_RESET_REG_SUP);
	f->reset_reg = io(BOARD_PORT_RESET, 8, 1);
	f->reset_value = BOARD_RESET_VALUE;
	f->fadt_minor_version = ACPI_FADT_MINOR;
	f->x_pm1a_evt_blk = io(BOARD_PORT_PM1_EVENT, 32, 2);
	f->x_pm1a_cnt_blk = io(BOARD_PORT_PM1_CONTROL, 16, 2);
	f->x_pm_tmr_blk = io(BOARD_PORT_PM_TIMER, 32, 3);
	memcpy(f->hypervisor_vendor, "Tabique", 7);
	seal(f, "FACP", ACPI_FADT_REVISION, sizeof *f);
	return 0;
}

/* ---- MADT: processors and interrupt controllers ---- */

static size_t madt_size(u32 vp_count)
{
	u32 old = vp_count < XAPIC_IDS ? vp_count : XAPIC_IDS;

	return sizeof(struct acpi_madt) + old * sizeof(struct acpi_madt_lapic) +
	       (vp_count - old) * sizeof(struct acpi_madt_x2apic) +
	       sizeof(struct acpi_madt_ioapic) + 2 * sizeof(struct acpi_madt_override) +
	       sizeof(struct acpi_madt_lapic_nmi) +
	       (vp_count > old ? sizeof(struct acpi_madt_x2apic_nmi) : 0);
}

#define APPEND(p, ...)                                          \
	do {                                                    \
		const __typeof__(__VA_ARGS__) v_ = __VA_ARGS__; \
		memcpy(p, &v_, sizeof v_);                      \
		(p) += sizeof v_;                               \
	} while (0)

static u8 *append_processor(u8 *p, u32 id)
{
	if (id < XAPIC_IDS)
		APPEND(p, (struct acpi_madt_lapic){
				  .type = ACPI_MADT_LAPIC,
				  .length = sizeof(struct acpi_madt_lapic),
				  .uid = (u8)id,
				  .apic_id = (u8)id,
				  .flags = le32_of(ACPI_MADT_ENABLED),
			  });
	else
		APPEND(p, (struct acpi_madt_x2apic){
				  .type = ACPI_MADT_X2APIC,
				  .length = sizeof(struct acpi_madt_x2apic),
				  .apic_id = le32_of(id),
				  .flags = le32_of(ACPI_MADT_ENABLED),
				  .uid = le32_of(id),
			  });
	return p;
}

static u8 *append_override(u8 *p, u8 line, u32 pin, u16 flags)
{
	APPEND(p, (struct acpi_madt_override){
			  .type = ACPI_MADT_OVERRIDE,
			  .length = sizeof(struct acpi_madt_override),
			  .source = line,
			  .gsi = le32_of(pin),
			  .flags = le16_of(flags),
		  });
	return p;
}

static int add_madt(struct tables *t, u32 vp_count, gpa_t *ret_at)
{
	size_t size = madt_size(vp_count);
	struct acpi_madt *madt = add(t, size, 16, ret_at);
	u8 *p;

	if (!madt)
		return -ENOSPC;
	p = (u8 *)(madt + 1);
	madt->lapic_address = le32_of(BOARD_GPA_LAPIC);
	madt->flags = le32_of(ACPI_MADT_PCAT_COMPAT);
	for (u32 id = 0; id < vp_count; id++)
		p = append_processor(p, id);
	APPEND(p, (struct acpi_madt_ioapic){
			  .type = ACPI_MADT_IOAPIC,
			  .length = sizeof(struct acpi_madt_ioapic),
			  .id = 0,
			  .address = le32_of(BOARD_GPA_IOAPIC),
		  });
	p = append_override(p, BOARD_IRQ_PIT, BOARD_IOAPIC_PIN_OF_LINE_0, 0);
	p = append_override(p, BOARD_IRQ_SCI, BOARD_IRQ_SCI, ACPI_ACTIVE_HIGH_LEVEL);
	/* NMI comes in at LINT1 of every processor. */
	APPEND(p, (struct acpi_madt_lapic_nmi){
			  .type = ACPI_MADT_LAPIC_NMI,
			  .length = sizeof(struct acpi_madt_lapic_nmi),
			  .uid = ALL_PROCESSORS_8,
			  .lint = 1,
		  });
	if (vp_count > XAPIC_IDS)
		APPEND(p, (struct acpi_madt_x2apic_nmi){
				  .type = ACPI_MADT_X2APIC_NMI,
				  .length = sizeof(struct acpi_madt_x2apic_nmi),
				  .uid = le32_of(ALL_PROCESSORS_32),
				  .lint = 1,
			  });
	seal(madt, "APIC", ACPI_MADT_REVISION, size);
	return 0;
}

/* ---- the roots ---- */

static int add_roots(struct tables *t, const gpa_t *table, unsigned count,
		     gpa_t *ret_rsdt, gpa_t *ret_xsdt)
{
	size_t rsdt_size = sizeof(struct acpi_header) + count * sizeof(le32);
	size_t xsdt_size = sizeof(struct acpi_header) + count * sizeof(le64);
	u8 *rsdt = add(t, rsdt_size, 16, ret_rsdt);
	u8 *xsdt = rsdt ? add(t, xsdt_size, 16, ret_xsdt) : NULL;

	if (!xsdt)
		return -ENOSPC;
	for (unsigned i = 0; i < count; i++) {
		le32 low = le32_of((u32)table[i]);
		le64 wide = le64_of(table[i]);

		memcpy(rsdt + sizeof(struct acpi_header) + i * sizeof low, &low,
		       sizeof low);
		memcpy(xsdt + sizeof(struct acpi_header) + i * sizeof wide, &wide,
		       sizeof wide);
	}
	seal(rsdt, "RSDT", 1, rsdt_size);
	seal(xsdt, "XSDT", 1, xsdt_size);
	return 0;
}

int acpi_build(u32 vp_count, bool pc, gpa_t base, u8 *bytes, size_t size,
	       size_t *ret_size)
{
	struct tables t = { .bytes = bytes, .size = size, .base = base };
	gpa_t rsdp_at, dsdt = 0, facs = 0, fadt = 0, madt = 0, rsdt = 0, xsdt = 0;
	struct acpi_rsdp *rsdp = add(&t, sizeof *rsdp, 16, &rsdp_at);
	int r = rsdp ? 0 : -ENOSPC;

	if (r == 0)
		r = add_facs(&t, &facs);
	if (r == 0)
		r = add_dsdt(&t, vp_count, pc, &dsdt);
	if (r == 0)
		r = add_fadt(&t, pc, dsdt, facs, &fadt);
	if (r == 0)
		r = add_madt(&t, vp_count, &madt);
	if (r == 0)
		r = add_roots(&t, (gpa_t[]){ fadt, madt }, 2, &rsdt, &xsdt);
	if (r < 0)
		return r;
	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "TABIQU", 6);
	rsdp->revision = 2;
	rsdp->rsdt = le32_of((u32)rsdt);
	rsdp->length = le32_of(sizeof *rsdp);
	rsdp->xsdt = le64_of(xsdt);
	rsdp->checksum = checksum((u8 *)rsdp, ACPI_RSDP_FIRST_SIZE);
	rsdp->extended_checksum = checksum((u8 *)rsdp, sizeof *rsdp);
	*ret_size = t.used;
	return 0;
}

int acpi_install(struct guest_memory *gm, u32 vp_count, gpa_t *ret_rsdp, struct err *err)
{
	AUTO_FREE u8 *bytes = calloc(1, BOOT_ACPI_SIZE);
	u64 ticket = 0;
	size_t size;
	int r;

	*ret_rsdp = 0;
	if (gm_ram_size(gm) < BOOT_ACPI + BOOT_ACPI_SIZE)
		return 0;
	r = bytes ? acpi_build(vp_count, false, BOOT_ACPI, bytes, BOOT_ACPI_SIZE, &size)
		  : -ENOMEM;
	if (r == 0)
		r = gm_write(gm, BOOT_ACPI, bytes, size, &ticket);
	if (r < 0)
		return err_set(err, r, "ACPI tables: %s", err_words(r));
	*ret_rsdp = BOOT_ACPI;
	return 0;
}
