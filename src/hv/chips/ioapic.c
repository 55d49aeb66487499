/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC: ioapic.h has the map. Under the chipset lock. */
#include "hv/chips/ioapic.h"

#include <errno.h>

#include "wall/wall.h"

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

enum window_index {
	INDEX_ID = 0,
	INDEX_VERSION = 1,
	INDEX_ARBITRATION = 2,
	INDEX_ENTRIES = 0x10
};

#define ENTRY_VECTOR 0xffull
#define ENTRY_LOGICAL BIT64(11)
#define ENTRY_REMOTE_IRR BIT64(14)
#define ENTRY_LEVEL BIT64(15)
#define ENTRY_MASKED BIT64(16)
/* What the guest can set: not send pending (12), not remote IRR, not the reserved middle. */
#define ENTRY_WRITABLE 0xff0000000001afffull
#define ENTRY_BITS (ENTRY_WRITABLE | ENTRY_REMOTE_IRR)

bool ioapic_message(const struct ioapic *io, unsigned pin,
		    struct apic_message *ret_message)
{
	u64 e = io->entry[pin];
	u8 destination = (u8)(e >> 56);
	bool logical = e & ENTRY_LOGICAL;

	*ret_message = (struct apic_message){
		.destination = !logical && destination == 0xff ? APIC_EVERYBODY
							       : destination,
		.vector = (u8)e,
		.delivery = e >> 8 & 7,
		.logical = logical,
		.level = e & ENTRY_LEVEL,
		.assert = true,
	};
	return !(e & ENTRY_MASKED);
}

static void deliver(struct ioapic *io, unsigned pin)
{
	u64 e = io->entry[pin];
	struct apic_message message;

	(void)ioapic_message(io, pin, &message);
	io->delivered[pin]++;
	/*
	 * Only what ends with an EOI waits for one, and only when somebody took it: otherwise
	 * the pin would be dead. Set before the message leaves: its EOI comes from another thread.
	 */
	if ((e & ENTRY_LEVEL) &&
	    (message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST))
		io->entry[pin] |= ENTRY_REMOTE_IRR;
	if (io->deliver(io->owner, &message) == 0)
		io->entry[pin] &= ~ENTRY_REMOTE_IRR;
}

/* A level-triggered pin asks while it is up, open, and nobody works on it. */
static void serve_level(struct ioapic *io, unsigned pin)
{
	u64 e = io->entry[pin];

	if ((io->levels & BIT(pin)) && (e & ENTRY_LEVEL) &&
	    !(e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		deliver(io, pin);
}

void ioapic_init(struct ioapic *io,
		 unsigned (*deliver_message)(void *owner,
					     const struct apic_message *message),
		 void *owner)
{
	memset(io, 0, sizeof *io);
	io->deliver = deliver_message;
	io->owner = owner;
	ioapic_reset(io);
}

void ioapic_reset(struct ioapic *io)
{
	io->index = 0;
	io->id = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
}

static u32 read_window(const struct ioapic *io)
{
	unsigned n = io->index - INDEX_ENTRIES;

	switch (io->index) {
	case INDEX_ID:
	case INDEX_ARBITRATION:
		return (u32)io->id << 24;
	case INDEX_VERSION:
		return VERSION;
	}
	if (io->index < INDEX_ENTRIES || n >= 2 * IOAPIC_PINS)
		return UINT32_MAX;
	return (u32)(io->entry[n / 2] >> (n & 1 ? 32 : 0));
}

static void write_entry(struct ioapic *io, unsigned pin, bool high, u32 value)
{
	u64 keep = high ? 0xffffffffull : 0xffffffffull << 32;
	u64 e = io->entry[pin];

	e = (e & (keep | ENTRY_REMOTE_IRR)) |
	    (((u64)value << (high ? 32 : 0)) & ~keep & ENTRY_WRITABLE);
	/* Drivers of parts without an EOI register end an interrupt by going through edge. */
	if (!(e & ENTRY_LEVEL))
		e &= ~ENTRY_REMOTE_IRR;
	io->entry[pin] = e;
	serve_level(io, pin);
}

static void write_window(struct ioapic *io, u32 value)
{
	unsigned n = io->index - INDEX_ENTRIES;

	if (io->index == INDEX_ID)
		io->id = value >> 24 & 0xf;
	else if (io->index >= INDEX_ENTRIES && n < 2 * IOAPIC_PINS)
		write_entry(io, n / 2, n & 1, value);
}

u32 ioapic_read(struct ioapic *io, unsigned offset, unsigned size)
{
	if (size != 4)
		return 0;
	switch (offset) {
	case 0x00:
		return io->index;
	case 0x10:
		return read_window(io);
	}
	return 0;
}

void ioapic_write(struct ioapic *io, unsigned offset, unsigned size, u32 value)
{
	/* Linux selects registers with 32-bit writes, some firmware with bytes. */
	if (offset == 0x00 && (size == 1 || size == 4))
		io->index = (u8)value;
	else if (offset == 0x10 && size == 4)
		write_window(io, value);
	else if (offset == 0x40 && size == 4)
		ioapic_eoi(io, (u8)value);
}

void ioapic_set_pin(struct ioapic *io, unsigned pin, bool level)
{
	u32 before = io->levels;

	if (pin >= IOAPIC_PINS)
		return;
	if (!level) {
		io->levels &= ~BIT(pin);
		return;
	}
	io->levels |= BIT(pin);
	if (io->entry[pin] & ENTRY_LEVEL)
		serve_level(io, pin);
	else if (!(before & BIT(pin)) && !(io->entry[pin] & ENTRY_MASKED))
		deliver(io, pin);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	io->eois++;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (!(io->entry[pin] & ENTRY_REMOTE_IRR) ||
		    (io->entry[pin] & ENTRY_VECTOR) != vector)
			continue;
		io->entry[pin] &= ~ENTRY_REMOTE_IRR;
		serve_level(io, pin);
	}
}

/* ---- state ----------------------------------------------------------------------------------- */

#define STATE_VERSION 1

struct ioapic_state {
	struct chip_state_head head;
	u8 index, id;
	le16 reserved;
	le32 levels;
	le64 entry[IOAPIC_PINS];
} PACKED;
_Static_assert(sizeof(struct ioapic_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void ioapic_save(const struct ioapic *io, void *block)
{
	struct ioapic_state s = {
		.index = io->index,
		.id = io->id,
		.levels = le32_of(io->levels),
	};

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		s.entry[pin] = le64_of(io->entry[pin]);
	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

int ioapic_restore(struct ioapic *io, const void *block)
{
	struct ioapic_state s;

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s))
		return -EINVAL;
	if (s.id > 0xf || le32_get(s.levels) >> IOAPIC_PINS)
		return -EINVAL;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 e = le64_get(s.entry[pin]);

		if ((e & ~ENTRY_BITS) || ((e & ENTRY_REMOTE_IRR) && !(e & ENTRY_LEVEL)))
			return -EINVAL;
	}
	io->index = s.index;
	io->id = s.id;
	io->levels = le32_get(s.levels);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = le64_get(s.entry[pin]);
	return 0;
}

void ioapic_inspect(const struct ioapic *io, struct inspect *out)
{
	inspect_line(out, "id", "%u", io->id);
	inspect_line(out, "levels", "0x%06x", io->levels);
	inspect_line(out, "eois", "%llu", (unsigned long long)io->eois);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		char name[8] = {
			'p', 'i', 'n', ' ', (char)('0' + pin / 10), (char)('0' + pin % 10)
		};

		if (io->entry[pin] != ENTRY_MASKED || io->delivered[pin])
			inspect_line(out, name, "0x%016llx delivered %llu",
				     (unsigned long long)io->entry[pin],
				     (unsigned long long)io->delivered[pin]);
	}
}
