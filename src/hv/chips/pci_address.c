/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI configuration address latch: pci_address.h. Under the chipset lock. */
#include "hv/chips/pci_address.h"

#include <errno.h>

#include "abi/board.h"
#include "wall/wall.h"

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu

void pci_address_init(struct pci_address *latch)
{
	memset(latch, 0, sizeof *latch);
}

void pci_address_reset(struct pci_address *latch)
{
	latch->address = 0;
}

void pci_address_set_present(struct pci_address *latch, const u64 present[4])
{
	memcpy(latch->present, present, sizeof latch->present);
}

u32 pci_address_read(struct pci_address *latch, u16 port, unsigned size)
{
	if (port == BOARD_PORT_PCI_ADDRESS && size == 4)
		return latch->address;
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

void pci_address_write(struct pci_address *latch, u16 port, unsigned size, u32 value)
{
	if (port == BOARD_PORT_PCI_ADDRESS && size == 4)
		latch->address = value & ADDRESS_WRITABLE;
}

bool pci_address_target(struct pci_address *latch, u16 port, u8 *ret_function,
			u8 *ret_register)
{
	u32 a = latch->address;
	u8 function = (u8)(a >> 8);

	/* Bus 0 only. */
	if (!(a & ADDRESS_ENABLE) || (a & 0x00ff0000) ||
	    !(latch->present[function >> 6] & BIT64(function & 63))) {
		latch->absent_reads++;
		return false;
	}
	*ret_function = function;
	*ret_register = (u8)((a & 0xfc) | (port & 3));
	return true;
}

/* ---- state --------------------------------------------------------------------------------------- */

#define STATE_VERSION 1

struct pci_address_state {
	struct chip_state_head head;
	le32 address;
} PACKED;
_Static_assert(sizeof(struct pci_address_state) <= WALL_CHIP_STATE_SIZE, "fits its "
									 "block");

void pci_address_save(const struct pci_address *latch, void *block)
{
	struct pci_address_state s = { .address = le32_of(latch->address) };

	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

int pci_address_restore(struct pci_address *latch, const void *block)
{
	struct pci_address_state s;

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) ||
	    (le32_get(s.address) & ~ADDRESS_WRITABLE))
		return -EINVAL;
	latch->address = le32_get(s.address);
	return 0;
}

void pci_address_inspect(const struct pci_address *latch, struct inspect *out)
{
	inspect_line(out, "address", "0x%08x", latch->address);
	inspect_line(out, "present", "%016llx %016llx %016llx %016llx",
		     (unsigned long long)latch->present[3],
		     (unsigned long long)latch->present[2],
		     (unsigned long long)latch->present[1],
		     (unsigned long long)latch->present[0]);
	inspect_line(out, "absent", "%llu accesses",
		     (unsigned long long)latch->absent_reads);
}
