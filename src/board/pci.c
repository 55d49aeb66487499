/* SPDX-License-Identifier: Apache-2.0 */
/* PCI bus 0; see pci.h. */
#include "board/pci.h"

#include <errno.h>
#include <stdio.h>

#include "abi/board.h"
#include "state/record.h"
#include "wall/worker_end.h"

/* ---- configuration spaces -------------------------------------------------------------------- */

static void put16(u8 *at, u32 value)
{
	at[0] = (u8)value;
	at[1] = (u8)(value >> 8);
}

static void put32(u8 *at, u32 value)
{
	put16(at, value);
	put16(at + 2, value >> 16);
}

static u32 get32(const u8 *at)
{
	return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;
}

/* As at power-on, and what may be written. */
static void fill(struct pci_function *f)
{
	memset(f->config, 0, sizeof f->config);
	memset(f->writable, 0, sizeof f->writable);
	put16(f->config + PCI_VENDOR, f->vendor);
	put16(f->config + PCI_DEVICE, f->device);
	put16(f->config + PCI_COMMAND, f->command);
	put16(f->writable + PCI_COMMAND, f->command_mask);
	f->config[PCI_CLASS + 1] = f->interface;
	put16(f->config + PCI_CLASS + 2, f->class);
	f->config[PCI_HEADER_TYPE] = f->header_type;
	for (unsigned k = 0; k < PCI_BARS; k++) {
		const struct pci_bar *b = &f->bar[k];
		u8 *at = f->config + PCI_BAR0 + 4 * k;

		if (b->size == 0)
			continue;
		put32(at, (b->base & ~(b->size - 1)) | b->flags);
		put32(f->writable + PCI_BAR0 + 4 * k, ~(b->size - 1));
	}
	if (f->fill)
		f->fill(f);
}

u32 pci_bar_address(const struct pci_function *f, unsigned bar)
{
	u8 space = f->bar[bar].flags & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

	if (!(f->config[PCI_COMMAND] & space) || f->bar[bar].size == 0)
		return 0;
	return get32(f->config + PCI_BAR0 + 4 * bar) & ~(f->bar[bar].size - 1);
}

static void tell(struct pci_function *f, u8 at, unsigned size)
{
	if (f->changed)
		f->changed(f->owner, f, at, size);
}

/* ---- accesses -------------------------------------------------------------------------------- */

/* The function that the latch names, and the first byte; NULL: there is none. */
static struct pci_function *target(const struct pci_bus *bus, u32 latch, unsigned port,
				   u8 *ret_at)
{
	u8 number = (u8)(latch >> 8);

	*ret_at = (u8)((latch & 0xfc) | (port & 3));
	if (!(latch & 0x80000000) || (latch & 0x00ff0000))
		return NULL;
	for (unsigned k = 0; k < bus->count; k++)
		if (bus->function[k]->number == number)
			return bus->function[k];
	return NULL;
}

u32 pci_bus_read(struct pci_bus *bus, u32 latch, unsigned port, unsigned size)
{
	u8 at;
	const struct pci_function *f = target(bus, latch, port, &at);
	u32 value = UINT32_MAX;

	bus->counts.reads++;
	/* What is wider than the port ends at its end. */
	for (unsigned k = 0; f && k < size && (port & 3) + k < 4; k++) {
		value &= ~(0xffu << 8 * k);
		value |= (u32)f->config[at + k] << 8 * k;
	}
	return value;
}

void pci_bus_write(struct pci_bus *bus, u32 latch, unsigned port, unsigned size,
		   u32 value)
{
	u8 at;
	struct pci_function *f = target(bus, latch, port, &at);
	unsigned count = (unsigned)min_u64(size, 4 - (port & 3));

	bus->counts.writes++;
	if (!f)
		return;
	for (unsigned k = 0; k < count; k++) {
		u8 mask = f->writable[at + k];

		f->config[at + k] =
			(u8)((f->config[at + k] & ~mask) | ((value >> 8 * k) & mask));
	}
	tell(f, at, count);
}

/* The offset has hv's latch above the port's. */
static u64 on_read(void *owner, u64 offset, unsigned size)
{
	return pci_bus_read(owner, (u32)(offset >> 32), (u32)offset, size);
}

static void on_write(void *owner, u64 offset, unsigned size, u64 value)
{
	pci_bus_write(owner, (u32)(offset >> 32), (u32)offset, size, (u32)value);
}

static const struct worker_range_ops data_port_ops = { .read = on_read,
						       .write = on_write };

/* ---- life ------------------------------------------------------------------------------------ */

void pci_bus_init(struct pci_bus *bus)
{
	*bus = (struct pci_bus){ 0 };
}

int pci_bus_add(struct pci_bus *bus, struct pci_function *f)
{
	if (bus->count == PCI_MAX_FUNCTIONS)
		return -ENOSPC;
	for (unsigned k = 0; k < bus->count; k++)
		if (bus->function[k]->number == f->number)
			return -EEXIST;
	fill(f);
	bus->function[bus->count++] = f;
	return 0;
}

int pci_bus_connect(struct pci_bus *bus, struct worker_end *end, struct err *err)
{
	const struct worker_range port = {
		.base = BOARD_PORT_PCI_DATA,
		.size = 4,
		.ops = &data_port_ops,
		.owner = bus,
	};
	u64 present[4] = { 0 };
	int r;

	for (unsigned k = 0; k < bus->count; k++) {
		u8 number = bus->function[k]->number;

		present[number / 64] |= BIT64(number % 64);
	}
	r = worker_add_range(end, &port, err);
	return r < 0 ? r : worker_pci_present(end, present, err);
}

void pci_bus_reset(struct pci_bus *bus)
{
	for (unsigned k = 0; k < bus->count; k++) {
		fill(bus->function[k]);
		tell(bus->function[k], 0, PCI_CONFIG_SIZE);
	}
}

/* ---- the host bridge ------------------------------------------------------------------------- */

void pci_host_bridge_init(struct pci_function *f)
{
	*f = (struct pci_function){
		.name = "host bridge",
		.number = PCI_FUNCTION(0, 0),
		.vendor = PCI_VENDOR_INTEL,
		.device = PCI_DEVICE_440BX,
		.class = PCI_CLASS_HOST_BRIDGE,
		/* Memory and mastering are always on, as in the part. */
		.command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
	};
}

/* ---- state ----------------------------------------------------------------------------------- */

enum { STATE_NUMBER = 1, STATE_IDENTITY, STATE_CONFIG };

void pci_bus_save(const struct pci_bus *bus, struct state_writer *w)
{
	for (unsigned k = 0; k < bus->count; k++) {
		const struct pci_function *f = bus->function[k];

		state_begin(w, "pci", 1);
		state_number(w, STATE_NUMBER, f->number);
		state_number(w, STATE_IDENTITY, get32(f->config + PCI_VENDOR));
		state_bytes(w, STATE_CONFIG, f->config, sizeof f->config);
		state_end(w);
	}
}

static struct pci_function *find(const struct pci_bus *bus, u64 number)
{
	for (unsigned k = 0; k < bus->count; k++)
		if (bus->function[k]->number == number)
			return bus->function[k];
	return NULL;
}

/* Only what a guest could have written is taken. */
static int restore_record(struct pci_bus *bus, struct state_record *record)
{
	u64 number = UINT64_MAX, identity = 0;
	const u8 *config = NULL;
	struct pci_function *to;
	struct state_field f;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == STATE_NUMBER)
			number = f.number;
		else if (f.id == STATE_IDENTITY)
			identity = f.number;
		else if (f.id == STATE_CONFIG && f.size == PCI_CONFIG_SIZE)
			config = f.bytes;
	}
	to = find(bus, number);
	if (r < 0 || !config || !to || get32(to->config + PCI_VENDOR) != identity)
		return -EPROTO;
	for (unsigned k = 0; k < PCI_CONFIG_SIZE; k++)
		to->config[k] = (u8)((to->config[k] & ~to->writable[k]) |
				     (config[k] & to->writable[k]));
	tell(to, 0, PCI_CONFIG_SIZE);
	return 0;
}

int pci_bus_restore(struct pci_bus *bus, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1) {
		if (strcmp(record.name, "pci") != 0)
			continue;
		r = restore_record(bus, &record);
		if (r < 0)
			return r;
	}
	return r;
}

void pci_bus_inspect(const struct pci_bus *bus, struct inspect *out)
{
	inspect_number(out, "pci", "reads", bus->counts.reads);
	inspect_number(out, "pci", "writes", bus->counts.writes);
	for (unsigned k = 0; k < bus->count; k++) {
		const struct pci_function *f = bus->function[k];
		char branch[32], name[8];

		snprintf(branch, sizeof branch, "pci.00.%u.%u", f->number >> 3,
			 f->number & 7);
		inspect_words(out, branch, "name", "%s", f->name);
		inspect_words(out, branch, "id", "%04x:%04x", f->vendor, f->device);
		inspect_words(out, branch, "command", "0x%04x",
			      get32(f->config + PCI_COMMAND) & 0xffff);
		for (unsigned b = 0; b < PCI_BARS; b++) {
			if (f->bar[b].size == 0)
				continue;
			snprintf(name, sizeof name, "bar%u", b);
			inspect_words(out, branch, name, "0x%08x, %u bytes",
				      get32(f->config + PCI_BAR0 + 4 * b),
				      f->bar[b].size);
		}
	}
}
