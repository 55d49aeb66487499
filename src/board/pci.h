/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI bus 0 behind configuration mechanism 1: a table of functions with their configuration spaces.
 * hv keeps the address latch and answers for functions that are not there (wall.h, PCI_PRESENT);
 * what comes here is for one that is.
 *
 *	1. pci_bus_init
 *	2. pci_bus_add		each function, in any order
 *	3. pci_bus_connect	hv is told: from now on guests find them
 *	4. pci_bus_reset, pci_bus_save, pci_bus_restore, pci_bus_inspect
 *
 * A function is its bytes at power-on and a mask of bits that a guest may write; a BAR is nothing
 * else: the bits above its size are writable. A device that wants to know what was written has
 * a changed() for that. Registers behind which more happens than that belong to their device.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/pci.h"
#include "base/err.h"
#include "base/inspect.h"
#include "base/types.h"

struct state_writer;
struct worker_end;

#define PCI_MAX_FUNCTIONS 32

struct pci_function {
	const char *name;
	u8 number; /* PCI_FUNCTION(device, function) */
	u16 vendor, device;
	u16 class;	  /* class << 8 | sub-class */
	u8 interface;	  /* its programming interface */
	u8 header_type;	  /* PCI_MULTIFUNCTION or 0 */
	u16 command_mask; /* bits of the command register that a guest may write */
	u16 command;	  /* at power-on */
	struct pci_bar {
		u32 size; /* a power of two from 16 on; 0: there is none */
		u32 base; /* at power-on */
		u32 flags;
	} bar[PCI_BARS];
	/* What else config and writable hold at power-on. NULL: nothing. */
	void (*fill)(struct pci_function *function);
	/* Bytes [at, at + size) of its configuration space were written. NULL: nobody minds. */
	void (*changed)(void *owner, const struct pci_function *function, u8 at,
			unsigned size);
	void *owner;
	/* the bus' */
	u8 config[PCI_CONFIG_SIZE];
	u8 writable[PCI_CONFIG_SIZE];
};

struct pci_bus {
	struct pci_function *function[PCI_MAX_FUNCTIONS];
	unsigned count;
	struct {
		u64 reads, writes;
	} counts;
};

void pci_bus_init(struct pci_bus *bus);
/* The function is embedded in its device, which outlives the bus. -EEXIST, -ENOSPC. */
int pci_bus_add(struct pci_bus *bus, struct pci_function *function) MUST_CHECK;
int pci_bus_connect(struct pci_bus *bus, struct worker_end *end, struct err *err)
	MUST_CHECK;

/* Every function as at power-on; changed() is told of all of it. */
void pci_bus_reset(struct pci_bus *bus);

/*
 * An access of size bytes to the data port, with the latch as hv has it. Reads of a function that is not
 * there give all ones.
 */
u32 pci_bus_read(struct pci_bus *bus, u32 latch, unsigned port, unsigned size);
void pci_bus_write(struct pci_bus *bus, u32 latch, unsigned port, unsigned size,
		   u32 value);

/* A BAR's address or port where the guest has such accesses switched on; 0: it answers nowhere. */
u32 pci_bar_address(const struct pci_function *function, unsigned bar);

/* The i440BX host bridge, at device 0; the machine's. */
void pci_host_bridge_init(struct pci_function *function);

/* State: a record "pci" a function. Restore tells changed(). -EPROTO. */
void pci_bus_save(const struct pci_bus *bus, struct state_writer *writer);
int pci_bus_restore(struct pci_bus *bus, const u8 *bytes, size_t size) MUST_CHECK;

/* pci.00.8.0 and so on. */
void pci_bus_inspect(const struct pci_bus *bus, struct inspect *out);
