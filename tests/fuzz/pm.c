/* SPDX-License-Identifier: Apache-2.0 */
/* The PM block, i8042, fw_cfg, PCI address latch and test devices: ports and hostile blocks. */
#include "chip_input.h"

#include "hv/chips/debug_port.h"
#include "hv/chips/fw_cfg.h"
#include "hv/chips/i8042.h"
#include "hv/chips/pc_testdev.h"
#include "hv/chips/pci_address.h"
#include "hv/chips/pm.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct script s;
static struct pm pm;
static struct i8042 kbc;
static struct fw_cfg cfg;
static struct pci_address latch;
static struct pc_testdev dev;
static struct debug_port debug;

static void on_sleep(void *owner, unsigned type)
{
	(void)owner;
	if (type > 7)
		abort();
}
static void on_reset(void *owner)
{
	(void)owner;
}
static void on_line(void *owner, unsigned line, bool level)
{
	(void)owner;
	(void)level;
	if (line >= PC_TESTDEV_LINES)
		abort();
}
static void on_remap(void *owner, gpa_t page)
{
	(void)owner;
	if (page & 0xfff)
		abort();
}
static void on_text(void *owner, const u8 *bytes, size_t size)
{
	(void)owner;
	if (size)
		s.alarms += bytes[0] + bytes[size - 1];
}
static void on_exit_port(void *owner, u32 value)
{
	(void)owner;
	(void)value;
}

static const struct pm_ops pm_ops = { .on_sleep = on_sleep, .on_reset = on_reset };
static const struct pc_testdev_ops dev_ops = { .on_line = on_line, .on_remap = on_remap };

static void write_port(u16 port, unsigned size, u32 value)
{
	pm_write(&pm, port, size, value);
	i8042_write(&kbc, port, (u8)value);
	fw_cfg_write(&cfg, port, size, value);
	pci_address_write(&latch, port, size, value);
	pc_testdev_write(&dev, port, size, value);
	debug_port_write(&debug, port, size, value);
}

static void read_port(u16 port, unsigned size)
{
	u8 function, reg, bytes[64];

	pm_read(&pm, port, size);
	i8042_read(&kbc, port);
	fw_cfg_read(&cfg, port, size);
	fw_cfg_read_bytes(&cfg, bytes, size * 16);
	pci_address_read(&latch, port, size);
	pci_address_target(&latch, port, &function, &reg);
	pc_testdev_read(&dev, port, size);
	debug_port_read(&debug, port, size);
}

static void restore_one(unsigned which)
{
	u8 block[WALL_CHIP_STATE_SIZE];

	switch (which & 3) {
	case 0:
		pm_save(&pm, block);
		script_spoil(&s, block);
		(void)!pm_restore(&pm, block);
		break;
	case 1:
		i8042_save(&kbc, block);
		script_spoil(&s, block);
		(void)!i8042_restore(&kbc, block);
		break;
	case 2:
		fw_cfg_save(&cfg, block);
		script_spoil(&s, block);
		(void)!fw_cfg_restore(&cfg, block);
		break;
	case 3:
		pci_address_save(&latch, block);
		script_spoil(&s, block);
		(void)!pci_address_restore(&latch, block);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u16 ports[16] = { 0x600, 0x602,  0x604, 0x608, 0xb2,  0xcf9,
				       0x60,  0x64,   0x92,  0x510, 0x511, 0xcf8,
				       0xcfc, 0x200e, 0xe0,  0xe9 };
	static const u8 item[5];

	script_begin(&s, data, size);
	pm_init(&pm, &pm_ops, NULL, &s.clock.clock, SCRIPT_PIN(&s, 9), SCRIPT_ALARM(&s));
	i8042_init(&kbc, on_reset, NULL);
	fw_cfg_init(&cfg);
	(void)!fw_cfg_add(&cfg, 5, item, sizeof item);
	pci_address_init(&latch);
	pc_testdev_init(&dev, &dev_ops, NULL);
	debug_port_init(&debug, on_text, on_exit_port, NULL);
	while (s.left) {
		u8 op = script_u8(&s);
		unsigned bytes = 1u << (op >> 3) % 3;
		u64 offset;

		switch (op & 7) {
		case 0:
		case 1:
			write_port(ports[script_u8(&s) & 15], bytes, script_u32(&s));
			break;
		case 2:
			read_port(ports[script_u8(&s) & 15], bytes);
			break;
		case 3:
			write_port(script_u16(&s), bytes, script_u32(&s));
			read_port(script_u16(&s), bytes);
			break;
		case 4:
			SCRIPT_ADVANCE(&s, script_time(&s) << (op >> 5),
				       pm_on_alarm(&pm));
			if (op & 0x80)
				pm_press_power_button(&pm);
			break;
		case 5:
			pm_on_alarm(&pm);
			SCRIPT_ROUND_TRIP(pm_save, pm_restore, &pm);
			SCRIPT_ROUND_TRIP(i8042_save, i8042_restore, &kbc);
			SCRIPT_ROUND_TRIP(fw_cfg_save, fw_cfg_restore, &cfg);
			SCRIPT_ROUND_TRIP(pci_address_save, pci_address_restore, &latch);
			SCRIPT_INSPECT(pm_inspect, &pm);
			break;
		case 6:
			offset = script_u64(&s) >> (op >> 2);
			pc_testdev_mmio_write(&dev, offset, 1u << (op >> 6), offset);
			pc_testdev_mmio_read(&dev, offset, 1u << (op >> 6));
			break;
		case 7:
			if (op & 0x80)
				restore_one(op >> 3);
			break;
		}
	}
	return 0;
}
