/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board's chips that live in the hypervisor, in power-on order, and the wires between them:
 * interrupt lines, alarms, the serial ports' sockets. Reset, save and inspect walk the same list.
 *
 * Lines. A line has several sources (a chip, the worker, the test device) that are ORed. Line n
 * reaches input n of the 8259s and pin n of the IOAPIC, but line 0, which is pin 2 there; lines
 * 16-23 exist on the IOAPIC alone. The 8259s' output is LINT0 of the first processor; its LAPIC
 * leaves reset with LINT0 as ExtINT (virtual wire).
 *
 * Alarms of the chips share one POSIX timer that signals the loop's thread; the thread that
 * programs a chip sets it itself, so that no other thread is woken for that.
 *
 * Threads: `lock` is the chipset lock. All functions here take it themselves unless they say so.
 */
#pragma once

#include <pthread.h>
#include <time.h>

#include "abi/board.h"
#include "base/err.h"
#include "base/types.h"
#include "hv/chips/apic_bus.h"
#include "hv/chips/debug_port.h"
#include "hv/chips/fw_cfg.h"
#include "hv/chips/i8042.h"
#include "hv/chips/i8254.h"
#include "hv/chips/i8259.h"
#include "hv/chips/ioapic.h"
#include "hv/chips/mc146818.h"
#include "hv/chips/pc_testdev.h"
#include "hv/chips/pci_address.h"
#include "hv/chips/pm.h"
#include "hv/chips/uart16550.h"
#include "hv/engine.h"
#include "hv/serial.h"

struct partition;

enum line_source { LINE_CHIP, LINE_WORKER, LINE_TEST };

enum chipset_alarm { ALARM_PIT, ALARM_RTC, ALARM_PM, ALARM_COUNT };

struct chipset {
	struct partition *partition;
	pthread_mutex_t lock;

	/* Any thread, no lock: see apic_bus.h. */
	struct apic_bus apic_bus;
	struct lapic **lapic; /* [vp_count], inside the VPs */

	/* chipset lock, from here on */
	u8 line_sources[BOARD_IOAPIC_PINS]; /* a bit a source that asks */
	struct i8259 pic;
	struct ioapic ioapic;
	struct engine_route routes[IOAPIC_PINS]; /* as the engine has them: engine_apic.h */
	struct i8254 pit;
	struct mc146818 rtc;
	struct pm pm;
	struct i8042 kbc;
	struct pci_address pci;
	struct fw_cfg fw_cfg;
	struct debug_port debug;
	struct pc_testdev *testdev; /* NULL without --test-devices */
	struct serial serial[2];

	u64 alarm[ALARM_COUNT]; /* when; CHIP_NO_ALARM */
	u64 armed;		/* what the timer is set to */
	timer_t timer;
	bool timer_made;
};

/* After the VPs were made. */
int chipset_init(struct chipset *chipset, struct partition *partition, struct err *err)
	MUST_CHECK;
/* Loop thread, when it will stay that thread: makes the timer that signals it. */
int chipset_start(struct chipset *chipset, struct err *err) MUST_CHECK;
void chipset_done(struct chipset *chipset);
/* Power-on state of all chips; the levels of lines and the worker's configuration stay. */
void chipset_reset(struct chipset *chipset);

void chipset_set_line(struct chipset *chipset, enum line_source source, unsigned line,
		      bool level);
/* Under the lock, after the guest wrote to the IOAPIC. */
void chipset_ioapic_changed(struct chipset *chipset);
void chipset_send_msi(struct chipset *chipset, u64 address, u32 data);
void chipset_eoi(struct chipset *chipset, u8 vector);
/* Interrupt acknowledge of the 8259s; -1 when they want nothing any more. */
int chipset_ack_pic(struct chipset *chipset);
void chipset_power_button(struct chipset *chipset);

/* The loop's share: alarms that are due. */
void chipset_run_alarms(struct chipset *chipset);
/* Time goes again, after it stood: alarms that were set meanwhile count from now. Loop thread. */
void chipset_time_goes(struct chipset *chipset);

/* State blocks by enum wall_chip; -EINVAL: no such chip or a bad block. VPs stand. */
int chipset_set_state(struct chipset *chipset, u32 chip, u32 index, const void *block)
	MUST_CHECK;
int chipset_get_state(struct chipset *chipset, u32 chip, u32 index, void *ret_block)
	MUST_CHECK;

void chipset_inspect(struct chipset *chipset, struct inspect *out);
