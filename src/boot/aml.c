/* SPDX-License-Identifier: Apache-2.0 */
/* A small writer of AML; see aml.h. */
#include "boot/aml.h"

#include "abi/acpi.h"

void aml_init(struct aml *a, u8 *bytes, size_t size)
{
	*a = (struct aml){ .bytes = bytes, .size = size };
}

void aml_byte(struct aml *a, u8 byte)
{
	if (a->used < a->size)
		a->bytes[a->used++] = byte;
	else
		a->overflow = true;
}

static void little_endian(struct aml *a, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		aml_byte(a, (u8)(value >> (8 * i)));
}

/*
 * PkgLength always in its three-byte form (20.2.4): 4 bits, then 16; it counts itself. The place is
 * kept and filled in when the object is closed.
 */
#define LENGTH_BYTES 3u

size_t aml_open(struct aml *a, u8 op)
{
	aml_byte(a, op);
	size_t opened = a->used;
	for (unsigned i = 0; i < LENGTH_BYTES; i++)
		aml_byte(a, 0);
	return opened;
}

size_t aml_open_device(struct aml *a, const char *name)
{
	aml_byte(a, AML_EXTENDED);
	size_t opened = aml_open(a, AML_EXT_DEVICE);
	aml_path(a, name);
	return opened;
}

void aml_close(struct aml *a, size_t opened)
{
	size_t length = a->used - opened;

	if (a->overflow)
		return;
	if (length >= 1 << 20) {
		a->overflow = true;
		return;
	}
	a->bytes[opened] = (u8)((LENGTH_BYTES - 1) << 6 | (length & 0xf));
	a->bytes[opened + 1] = (u8)(length >> 4);
	a->bytes[opened + 2] = (u8)(length >> 12);
}

void aml_path(struct aml *a, const char *path)
{
	if (*path == '\\') {
		aml_byte(a, AML_ROOT);
		path++;
	}
	for (unsigned i = 0; i < 4; i++)
		aml_byte(a, *path ? (u8)*path++ : '_');
}

void aml_number(struct aml *a, u64 value)
{
	if (value <= 1) {
		aml_byte(a, value ? AML_ONE : AML_ZERO);
	} else if (value <= 0xff) {
		aml_byte(a, AML_BYTE);
		little_endian(a, value, 1);
	} else if (value <= 0xffff) {
		aml_byte(a, AML_WORD);
		little_endian(a, value, 2);
	} else if (value <= 0xffffffff) {
		aml_byte(a, AML_DWORD);
		little_endian(a, value, 4);
	} else {
		aml_byte(a, AML_QWORD);
		little_endian(a, value, 8);
	}
}

void aml_string(struct aml *a, const char *text)
{
	aml_byte(a, AML_STRING);
	do {
		aml_byte(a, (u8)*text);
	} while (*text++);
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, AML_NAME);
	aml_path(a, name);
}

void aml_name_number(struct aml *a, const char *name, u64 value)
{
	aml_name(a, name);
	aml_number(a, value);
}

void aml_name_string(struct aml *a, const char *name, const char *text)
{
	aml_name(a, name);
	aml_string(a, text);
}

/* Three letters of five bits, four hexadecimal digits, most significant byte first (6.1.5). */
void aml_name_eisa(struct aml *a, const char *name, const char *id)
{
	u32 value = (u32)(id[0] - '@') << 26 | (u32)(id[1] - '@') << 21 |
		    (u32)(id[2] - '@') << 16 | (u32)strtoul(id + 3, NULL, 16);

	aml_name(a, name);
	aml_byte(a, AML_DWORD);
	little_endian(a, __builtin_bswap32(value), 4);
}

static void ports(struct aml *a, u16 base, u8 count)
{
	aml_byte(a, ACPI_RESOURCE_IO);
	aml_byte(a, ACPI_RESOURCE_IO_DECODE_16);
	little_endian(a, base, 2);
	little_endian(a, base, 2);
	aml_byte(a, 1);
	aml_byte(a, count);
}

static void irq_and_end(struct aml *a, int irq)
{
	if (irq >= 0) {
		aml_byte(a, ACPI_RESOURCE_IRQ);
		little_endian(a, BIT(irq), 2);
	}
	aml_byte(a, ACPI_RESOURCE_END);
	aml_byte(a, 0); /* checksum: none */
}

void aml_ports_and_irq(struct aml *a, u16 base, u8 count, int irq)
{
	aml_name(a, "_CRS");
	size_t buffer = aml_open(a, AML_BUFFER);
	aml_number(a, 8u + (irq >= 0 ? 3u : 0u) + 2u);
	ports(a, base, count);
	irq_and_end(a, irq);
	aml_close(a, buffer);
}

void aml_single_ports_and_irq(struct aml *a, const u16 *port, unsigned count, int irq)
{
	aml_name(a, "_CRS");
	size_t buffer = aml_open(a, AML_BUFFER);
	aml_number(a, 8u * count + 3u + 2u);
	for (unsigned k = 0; k < count; k++)
		ports(a, port[k], 1);
	irq_and_end(a, irq);
	aml_close(a, buffer);
}

/* An address space descriptor (6.4.3.5) whose numbers have size bytes each. */
static void window(struct aml *a, enum acpi_window type, u32 first, u32 last,
		   unsigned size)
{
	static const u8 flags[] = {
		[ACPI_WINDOW_MEMORY] = 1, /* writable, not cacheable */
		[ACPI_WINDOW_IO] = 3,	  /* ISA's addresses and the others */
		[ACPI_WINDOW_BUS] = 0,
	};

	aml_byte(a, size == 2 ? ACPI_RESOURCE_WORD : ACPI_RESOURCE_DWORD);
	little_endian(a, 3 + 5 * size, 2);
	aml_byte(a, (u8)type);
	aml_byte(a, ACPI_WINDOW_FIXED);
	aml_byte(a, flags[type]);
	little_endian(a, 0, size); /* granularity */
	little_endian(a, first, size);
	little_endian(a, last, size);
	little_endian(a, 0, size); /* translation */
	little_endian(a, (u64)last - first + 1, size);
}

void aml_pci_windows(struct aml *a, u16 config_port, u32 base, u32 end)
{
	aml_name(a, "_CRS");
	size_t buffer = aml_open(a, AML_BUFFER);
	aml_number(a, 3 * 16u + 26u + 8u + 2u);
	window(a, ACPI_WINDOW_BUS, 0, 0, 2);
	aml_byte(a, ACPI_RESOURCE_IO);
	aml_byte(a, ACPI_RESOURCE_IO_DECODE_16);
	little_endian(a, config_port, 2);
	little_endian(a, config_port, 2);
	aml_byte(a, 1);
	aml_byte(a, 8);
	window(a, ACPI_WINDOW_IO, 0, config_port - 1u, 2);
	window(a, ACPI_WINDOW_IO, config_port + 8u, 0xffff, 2);
	window(a, ACPI_WINDOW_MEMORY, base, end - 1, 4);
	aml_byte(a, ACPI_RESOURCE_END);
	aml_byte(a, 0);
	aml_close(a, buffer);
}

void aml_no_resources(struct aml *a)
{
	aml_name(a, "_CRS");
	size_t buffer = aml_open(a, AML_BUFFER);
	aml_number(a, 2u);
	aml_byte(a, ACPI_RESOURCE_END);
	aml_byte(a, 0);
	aml_close(a, buffer);
}
