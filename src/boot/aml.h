/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small writer of AML, the byte code of ACPI's DSDT: names, numbers, packages, devices and the two
 * resource descriptors that our board needs. ACPI 6.4, chapter 20.
 *
 *	struct aml a; aml_init(&a, buffer, size);
 *	size_t scope = aml_open(&a, AML_SCOPE); aml_path(&a, "\\_SB_"); ... aml_close(&a, scope);
 *	if (a.overflow) ...
 */
#pragma once

#include "base/types.h"

struct aml {
	u8 *bytes;
	size_t size, used;
	bool overflow; /* something did not fit; nothing beyond size was written */
};

void aml_init(struct aml *a, u8 *bytes, size_t size);

/* An object with a length (AML_SCOPE, AML_PACKAGE, AML_BUFFER; aml_open_device). */
size_t aml_open(struct aml *a, u8 op);
size_t aml_open_device(struct aml *a, const char *name);
void aml_close(struct aml *a, size_t opened);

void aml_byte(struct aml *a, u8 byte);
/* One segment of four letters, with a leading backslash or without. */
void aml_path(struct aml *a, const char *path);
void aml_number(struct aml *a, u64 value);
void aml_string(struct aml *a, const char *text);

/* Name (name, number) and the like. */
void aml_name(struct aml *a, const char *name);
void aml_name_number(struct aml *a, const char *name, u64 value);
void aml_name_string(struct aml *a, const char *name, const char *text);
/* _HID and its kin: "PNP0501" as EISA writes it. */
void aml_name_eisa(struct aml *a, const char *name, const char *id);

/* _CRS: ports [base, base + count) and, if irq >= 0, an edge-triggered line. */
void aml_ports_and_irq(struct aml *a, u16 base, u8 count, int irq);
/* _CRS: ports that lie apart, perhaps none, and a line. */
void aml_single_ports_and_irq(struct aml *a, const u16 *port, unsigned count, int irq);
/*
 * _CRS of a PCI host bridge: one bus, its configuration ports, all other ports, and the addresses
 * [base, end).
 */
void aml_pci_windows(struct aml *a, u16 config_port, u32 base, u32 end);
/* _CRS: nothing. */
void aml_no_resources(struct aml *a);
