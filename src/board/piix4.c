/* SPDX-License-Identifier: Apache-2.0 */
/* The south bridge; see piix4.h. Loop thread. */
#include "board/piix4.h"

#include "abi/board.h"
#include "base/log.h"
#include "board/ide.h"
#include "wall/worker_end.h"

#define DEVICE 1
#define MASTER_BAR 4
#define MASTER_SIZE 16

/* ---- the bus master's ports ---- */

static u64 on_read(void *owner, u64 offset, unsigned size)
{
	struct piix4 *p = owner;

	return ide_bm_read(p->drives, (unsigned)offset, size);
}

static void on_write(void *owner, u64 offset, unsigned size, u64 value)
{
	struct piix4 *p = owner;

	ide_bm_write(p->drives, (unsigned)offset, size, (u32)value);
}

static const struct worker_range_ops master_ops = { .read = on_read, .write = on_write };

/* A port that others have, or that is none, is the guest's mistake: the master answers nowhere. */
static void place_master(struct piix4 *p)
{
	u32 to = pci_bar_address(&p->ide, MASTER_BAR);
	struct err err = { 0 };
	struct worker_range range = {
		.base = to, .size = MASTER_SIZE, .ops = &master_ops, .owner = p
	};

	if (to == p->master)
		return;
	if (p->master && worker_remove_range(p->end, false, p->master, &err) < 0)
		log_warn("IDE bus master: %s", err.text);
	p->master = 0;
	if (to == 0 || to > 0xfff0)
		return;
	if (worker_add_range(p->end, &range, &err) < 0)
		log_guest("IDE bus master at port %#x: %s", to, err.text);
	else
		p->master = to;
}

static void ide_changed(void *owner, const struct pci_function *f, u8 at, unsigned size)
{
	place_master(owner);
}

/* ---- power-on ---- */

static void fill_isa(struct pci_function *f)
{
	memset(f->config + 0x60, 0x80, 4); /* no interrupt is routed */
	memset(f->writable + 0x60, 0x8f, 4);
	memset(f->writable + 0x4c, 0xff, 4); /* recovery times, chip selects: kept */
}

static void fill_ide(struct pci_function *f)
{
	memset(f->writable + 0x40, 0xff, 5); /* timings; bit 15: the channel is on */
	f->writable[0x48] = 0x0f;	     /* Ultra DMA: which drives, which mode */
	f->writable[0x4a] = f->writable[0x4b] = 0x33;
	f->writable[PCI_INTERRUPT_LINE] = 0xff;
}

static void fill_pm(struct pci_function *f)
{
	f->config[0x40] = 0x01; /* PMBA: an I/O range */
	f->config[0x41] = BOARD_PORT_PM1_EVENT >> 8;
	f->config[0x80] = 1; /* and it is on */
	/* SMIs are off the firmware's list: there is no system management mode. */
	f->config[0x5b] = 0x02;
	f->writable[0x90] = f->writable[0x91] = f->writable[0xd2] = 0xff; /* SMBus */
	f->config[PCI_INTERRUPT_PIN] = 1;
	f->config[PCI_INTERRUPT_LINE] = BOARD_IRQ_SCI;
}

void piix4_init(struct piix4 *p, struct ide *drives, struct worker_end *end)
{
	*p = (struct piix4){ .drives = drives, .end = end };
	p->isa = (struct pci_function){
		.name = "ISA bridge",
		.number = PCI_FUNCTION(DEVICE, 0),
		.vendor = PCI_VENDOR_INTEL,
		.device = PCI_DEVICE_PIIX4_ISA,
		.class = PCI_CLASS_ISA_BRIDGE,
		.header_type = PCI_MULTIFUNCTION,
		.command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
		.fill = fill_isa,
	};
	p->ide = (struct pci_function){
		.name = "IDE",
		.number = PCI_FUNCTION(DEVICE, 1),
		.vendor = PCI_VENDOR_INTEL,
		.device = PCI_DEVICE_PIIX4_IDE,
		.class = PCI_CLASS_IDE,
		.interface = 0x80, /* both channels at their old ports; a bus master */
		.command_mask = PCI_COMMAND_IO | PCI_COMMAND_MASTER,
		.bar[MASTER_BAR] = { .size = MASTER_SIZE, .flags = PCI_BAR_IO },
		.fill = fill_ide,
		.changed = ide_changed,
		.owner = p,
	};
	p->pm = (struct pci_function){
		.name = "power management",
		.number = PCI_FUNCTION(DEVICE, 3),
		.vendor = PCI_VENDOR_INTEL,
		.device = PCI_DEVICE_PIIX4_PM,
		.class = PCI_CLASS_OTHER_BRIDGE,
		.command_mask = PCI_COMMAND_IO,
		.fill = fill_pm,
	};
}
