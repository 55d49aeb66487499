/* SPDX-License-Identifier: Apache-2.0 */
/* The chips that live in the hypervisor, and their wires; see chipset.h. */
#include "hv/chipset.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "base/ipc.h"
#include "base/log.h"
#include "hv/engine_apic.h"
#include "hv/partition.h"
#include "hv/vp.h"

#define ALARM_SIGNAL (SIGRTMIN + 2)

static void lock(struct chipset *c)
{
	pthread_mutex_lock(&c->lock);
}

static void unlock(struct chipset *c)
{
	pthread_mutex_unlock(&c->lock);
}

/* ---- lines ---------------------------------------------------------------------------------- */

REQUIRES(lock)
static void set_line(struct chipset *c, enum line_source source, unsigned line,
		     bool level)
{
	u8 bit, old;

	if (line >= BOARD_IOAPIC_PINS)
		return;
	bit = (u8)BIT(source);
	old = c->line_sources[line];
	c->line_sources[line] = (u8)(level ? old | bit : old & ~bit);
	if (!old == !c->line_sources[line])
		return;
	if (line < I8259_LINES && line != 2)
		i8259_set_line(&c->pic, line, level);
	ioapic_set_pin(&c->ioapic, line == 0 ? BOARD_IOAPIC_PIN_OF_LINE_0 : line, level);
}

/* What the chips drive; they are called with the lock held. */
static void on_chip_line(void *owner, unsigned line, bool level)
{
	set_line(owner, LINE_CHIP, line, level);
}

static void on_pic_output(void *owner, unsigned line, bool level)
{
	struct chipset *c = owner;

	(void)line;
	if (c->partition->config.engine->own_lapic)
		c->partition->config.engine->vp_interrupt(c->partition->vp[0]->engine_vp,
							  level);
	else
		lapic_lint(c->lapic[0], 0, level);
}

static unsigned send_message(struct chipset *c, const struct apic_message *message)
{
	if (c->partition->config.engine->own_lapic)
		return engine_apic_send(c, message);
	return apic_bus_send(&c->apic_bus, message, NULL);
}

static unsigned on_ioapic_message(void *owner, const struct apic_message *message)
{
	return send_message(owner, message);
}

void chipset_ioapic_changed(struct chipset *c)
{
	if (c->partition->config.engine->own_lapic)
		engine_apic_routes(c);
}

void chipset_set_line(struct chipset *c, enum line_source source, unsigned line,
		      bool level)
{
	lock(c);
	set_line(c, source, line, level);
	unlock(c);
}

void chipset_send_msi(struct chipset *c, u64 address, u32 data)
{
	struct apic_message message;

	/* The guest chose the address; one that is no interrupt reaches nobody. */
	if (apic_message_of_msi(address, data, &message))
		send_message(c, &message);
}

void chipset_eoi(struct chipset *c, u8 vector)
{
	lock(c);
	ioapic_eoi(&c->ioapic, vector);
	unlock(c);
}

int chipset_ack_pic(struct chipset *c)
{
	int vector = -1;

	lock(c);
	if (i8259_pending(&c->pic))
		vector = i8259_ack(&c->pic);
	unlock(c);
	return vector;
}

/* ---- alarms --------------------------------------------------------------------------------- */

static void on_alarm_signal(int number, siginfo_t *info, void *context)
{
	struct partition *p = info->si_value.sival_ptr;
	int saved = errno;

	(void)number;
	(void)context;
	ipc_event_ring(p->self_event);
	errno = saved;
}

/* Set the timer to the earliest alarm. */
REQUIRES(lock)
static void arm(struct chipset *c)
{
	const struct guest_clock *clock = &c->partition->clock;
	struct itimerspec t = { 0 };
	u64 when = CHIP_NO_ALARM;

	/* Nothing becomes due while time stands; chipset_time_goes comes here again. */
	if (clock->stands)
		return;
	for (unsigned k = 0; k < ALARM_COUNT; k++)
		when = min_u64(when, c->alarm[k]);
	if (when == c->armed || !c->timer_made)
		return;
	c->armed = when;
	if (when != CHIP_NO_ALARM) {
		when = max_u64(guest_clock_host_ns(clock, when), 1);
		t.it_value.tv_sec = (time_t)(when / NS_PER_SEC);
		t.it_value.tv_nsec = (long)(when % NS_PER_SEC);
	}
	timer_settime(c->timer, TIMER_ABSTIME, &t, NULL);
}

static void on_set_alarm(void *owner, unsigned id, u64 when_ns)
{
	struct chipset *c = owner;

	c->alarm[id] = when_ns;
	arm(c);
}

void chipset_time_goes(struct chipset *c)
{
	lock(c);
	c->armed = CHIP_NO_ALARM;
	arm(c);
	unlock(c);
}

void chipset_run_alarms(struct chipset *c)
{
	const struct clock *clock = &c->partition->clock.clock;
	u64 now = clock->monotonic_ns(clock);

	lock(c);
	if (c->armed <= now) { /* it has fired, or is about to for nothing */
		c->armed = CHIP_NO_ALARM;
		for (unsigned k = 0; k < ALARM_COUNT; k++) {
			if (c->alarm[k] > now)
				continue;
			c->alarm[k] = CHIP_NO_ALARM;
			switch ((enum chipset_alarm)k) {
			case ALARM_PIT:
				i8254_on_alarm(&c->pit);
				break;
			case ALARM_RTC:
				mc146818_on_alarm(&c->rtc);
				break;
			case ALARM_PM:
				pm_on_alarm(&c->pm);
				break;
			case ALARM_COUNT:
				break;
			}
		}
		arm(c);
	}
	unlock(c);
}

/* ---- what the guest asks of the machine ------------------------------------------------------ */

static void on_sleep(void *owner, unsigned type)
{
	struct chipset *c = owner;

	if (type == BOARD_SLP_TYP_S5)
		partition_end(c->partition, VM_END_POWER_OFF, 0, "the guest powered off");
	else
		log_guest("the guest asked for sleep type %u, which does not exist here",
			  type);
}

static void on_reset(void *owner)
{
	struct chipset *c = owner;

	partition_ask_reset(c->partition);
}

static void on_debug_text(void *owner, const u8 *bytes, size_t size)
{
	char text[DEBUG_PORT_LINE + 1];
	size_t n = 0;

	(void)owner;
	for (; n < size && n < DEBUG_PORT_LINE; n++)
		text[n] = bytes[n] >= 0x20 && bytes[n] < 0x7f ? (char)bytes[n] : '.';
	text[n] = '\0';
	log_guest("guest: %s", text);
}

static void on_debug_exit(void *owner, u32 value)
{
	struct chipset *c = owner;

	partition_end(c->partition, VM_END_DEBUG_EXIT, value,
		      "the guest wrote %u to port 0xf4", value);
}

static void on_test_line(void *owner, unsigned line, bool level)
{
	set_line(owner, LINE_TEST, line, level);
}

static void on_test_remap(void *owner, gpa_t page)
{
	struct chipset *c = owner;

	(void)page;
	partition_ask_remap(c->partition);
}

static const struct pm_ops pm_ops = { .on_sleep = on_sleep, .on_reset = on_reset };
static const struct pc_testdev_ops testdev_ops = { .on_line = on_test_line,
						   .on_remap = on_test_remap };

void chipset_power_button(struct chipset *c)
{
	lock(c);
	pm_press_power_button(&c->pm);
	unlock(c);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* The sizes of RAM where firmware leaves them in CMOS. */
static void fill_cmos(struct chipset *c)
{
	const struct gm_layout *ram = &c->partition->memory.ram;
	u64 low = ram->low;
	u64 kib = min_u64(low > 1u << 20 ? (low >> 10) - 1024 : 0, 0xffff);
	u64 above_16m = min_u64(low > 16u << 20 ? (low - (16u << 20)) >> 16 : 0, 0xffff);
	u64 high = ram->high >> 16;

	mc146818_set_memory(&c->rtc, 0x15, 640 & 0xff);
	mc146818_set_memory(&c->rtc, 0x16, 640 >> 8);
	for (unsigned at = 0x17; at <= 0x30; at += 0x30 - 0x17) {
		mc146818_set_memory(&c->rtc, (u8)at, (u8)kib);
		mc146818_set_memory(&c->rtc, (u8)(at + 1), (u8)(kib >> 8));
	}
	mc146818_set_memory(&c->rtc, 0x34, (u8)above_16m);
	mc146818_set_memory(&c->rtc, 0x35, (u8)(above_16m >> 8));
	mc146818_set_memory(&c->rtc, 0x5b, (u8)high);
	mc146818_set_memory(&c->rtc, 0x5c, (u8)(high >> 8));
	mc146818_set_memory(&c->rtc, 0x5d, (u8)(high >> 16));
	mc146818_set_memory(&c->rtc, 0x5f, (u8)(c->partition->config.vp_count - 1));
}

/*
 * The 8259s as firmware leaves them for what it boots, since direct boot runs no firmware:
 * vectors 08-0F and 70-77, the cascade and the lines of PCI devices (9, 10, 11) open, the rest
 * masked. A real-mode kernel may HLT and wait for one; who uses the IOAPIC masks them all.
 */
static void program_pic(struct chipset *c)
{
	static const struct {
		u16 port;
		u8 value;
	} words[] = {
		{ 0x20, 0x11 }, { 0x21, 0x08 }, { 0x21, 0x04 }, { 0x21, 0x01 },
		{ 0xa0, 0x11 }, { 0xa1, 0x70 }, { 0xa1, 0x02 }, { 0xa1, 0x01 },
		{ 0x21, 0xfb }, { 0xa1, 0xf1 },
	};

	for (size_t k = 0; k < ARRAY_COUNT(words); k++)
		i8259_write(&c->pic, words[k].port, words[k].value);
}

static struct chip_pin pin_of(struct chipset *c, unsigned line)
{
	return (struct chip_pin){ .set = on_chip_line, .owner = c, .line = line };
}

static struct chip_alarm alarm_of(struct chipset *c, enum chipset_alarm id)
{
	return (struct chip_alarm){ .set = on_set_alarm, .owner = c, .id = id };
}

int chipset_init(struct chipset *c, struct partition *p, struct err *err)
{
	static const unsigned com_line[2] = { BOARD_IRQ_COM1, BOARD_IRQ_COM2 };
	const struct clock *clock = &p->clock.clock;
	struct chip_pin lint0 = { .set = on_pic_output, .owner = c };
	struct chip_pin pin;
	struct chip_alarm alarm;

	c->partition = p;
	pthread_mutex_init(&c->lock, NULL);
	c->armed = CHIP_NO_ALARM;
	for (unsigned k = 0; k < ALARM_COUNT; k++)
		c->alarm[k] = CHIP_NO_ALARM;
	c->lapic = calloc(p->config.vp_count, sizeof(*c->lapic));
	if (p->config.test_devices)
		c->testdev = calloc(1, sizeof *c->testdev);
	if (!c->lapic || (p->config.test_devices && !c->testdev))
		return err_set(err, -ENOMEM, "no memory for the chips");
	for (u32 k = 0; k < p->config.vp_count; k++)
		c->lapic[k] = &p->vp[k]->lapic;
	apic_bus_init(&c->apic_bus, c->lapic, p->config.vp_count);

	i8259_init(&c->pic, &lint0);
	ioapic_init(&c->ioapic, on_ioapic_message, c);
	pin = pin_of(c, BOARD_IRQ_PIT);
	alarm = alarm_of(c, ALARM_PIT);
	i8254_init(&c->pit, clock, &pin, &alarm);
	pin = pin_of(c, BOARD_IRQ_RTC);
	alarm = alarm_of(c, ALARM_RTC);
	mc146818_init(&c->rtc, clock, &pin, &alarm);
	fill_cmos(c);
	pin = pin_of(c, BOARD_IRQ_SCI);
	alarm = alarm_of(c, ALARM_PM);
	pm_init(&c->pm, &pm_ops, c, clock, &pin, &alarm);
	i8042_init(&c->kbc, on_reset, c);
	pci_address_init(&c->pci);
	fw_cfg_init(&c->fw_cfg);
	debug_port_init(&c->debug, on_debug_text,
			p->config.debug_exit ? on_debug_exit : NULL, c);
	if (c->testdev)
		pc_testdev_init(c->testdev, &testdev_ops, c);
	for (unsigned k = 0; k < 2; k++) {
		pin = pin_of(c, com_line[k]);
		serial_init(&c->serial[k], p->config.serial[k], &c->lock, p->config.loop,
			    p->self_event, &pin);
	}
	program_pic(c); /* last: edges of the chips above are forgotten */
	return 0;
}

int chipset_start(struct chipset *c, struct err *err)
{
	struct sigaction action = { .sa_sigaction = on_alarm_signal,
				    .sa_flags = SA_SIGINFO };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
				  .sigev_signo = ALARM_SIGNAL,
				  .sigev_value.sival_ptr = c->partition };

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	sigfillset(&action.sa_mask);
	if (sigaction(ALARM_SIGNAL, &action, NULL) < 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &c->timer) < 0)
		return err_set(err, -errno, "no timer for the chips: %s",
			       err_words(-errno));
	lock(c);
	c->timer_made = true;
	arm(c);
	unlock(c);
	for (unsigned k = 0; k < 2; k++) {
		if (c->serial[k].fd >= 0)
			serial_look(&c->serial[k]);
	}
	return 0;
}

void chipset_done(struct chipset *c)
{
	if (!c->partition)
		return;
	for (unsigned k = 0; k < 2; k++) {
		if (c->serial[k].lock)
			serial_done(&c->serial[k]);
	}
	if (c->timer_made)
		timer_delete(c->timer);
	pthread_mutex_destroy(&c->lock);
	free(c->testdev);
	free(c->lapic);
}

void chipset_reset(struct chipset *c)
{
	lock(c);
	i8259_reset(&c->pic);
	ioapic_reset(&c->ioapic);
	chipset_ioapic_changed(c);
	i8254_reset(&c->pit);
	mc146818_reset(&c->rtc);
	pm_reset(&c->pm);
	i8042_reset(&c->kbc);
	pci_address_reset(&c->pci);
	fw_cfg_reset(&c->fw_cfg);
	debug_port_reset(&c->debug);
	for (unsigned k = 0; k < 2; k++)
		uart16550_reset(&c->serial[k].uart);
	if (c->testdev)
		pc_testdev_reset(c->testdev);
	program_pic(c);
	unlock(c);
}

/* ---- state ---------------------------------------------------------------------------------- */

int chipset_set_state(struct chipset *c, u32 chip, u32 index, const void *block)
{
	int r = -EINVAL;

	if (index >= (chip == WALL_CHIP_LAPIC  ? c->partition->config.vp_count
		      : chip == WALL_CHIP_UART ? 2
					       : 1))
		return -EINVAL;
	if (chip == WALL_CHIP_LAPIC)
		return vp_restore_lapic(c->partition->vp[index], block);
	lock(c);
	switch ((enum wall_chip)chip) {
	case WALL_CHIP_IOAPIC:
		r = ioapic_restore(&c->ioapic, block);
		if (r == 0)
			chipset_ioapic_changed(c);
		break;
	case WALL_CHIP_PIC:
		r = i8259_restore(&c->pic, block);
		break;
	case WALL_CHIP_PIT:
		r = i8254_restore(&c->pit, block);
		break;
	case WALL_CHIP_RTC:
		r = mc146818_restore(&c->rtc, block);
		break;
	case WALL_CHIP_UART:
		r = uart16550_restore(&c->serial[index].uart, block);
		break;
	case WALL_CHIP_PM:
		r = pm_restore(&c->pm, block);
		break;
	case WALL_CHIP_I8042:
		r = i8042_restore(&c->kbc, block);
		break;
	case WALL_CHIP_FW_CFG:
		r = fw_cfg_restore(&c->fw_cfg, block);
		break;
	case WALL_CHIP_PCI:
		r = pci_address_restore(&c->pci, block);
		break;
	case WALL_CHIP_LAPIC:
	case WALL_CHIP_GUEST_INTERFACE: /* verbs.c: not of the board */
	case WALL_CHIP_SYNIC:
	case WALL_CHIP_SYNIC_QUEUE:
	case WALL_CHIP_COUNT:
		break;
	}
	unlock(c);
	return r;
}

int chipset_get_state(struct chipset *c, u32 chip, u32 index, void *block)
{
	int r = 0;

	if (index >= (chip == WALL_CHIP_LAPIC  ? c->partition->config.vp_count
		      : chip == WALL_CHIP_UART ? 2
					       : 1))
		return -EINVAL;
	lock(c);
	switch ((enum wall_chip)chip) {
	case WALL_CHIP_LAPIC:
		r = vp_save_lapic(c->partition->vp[index], block);
		break;
	case WALL_CHIP_IOAPIC:
		ioapic_save(&c->ioapic, block);
		break;
	case WALL_CHIP_PIC:
		i8259_save(&c->pic, block);
		break;
	case WALL_CHIP_PIT:
		i8254_save(&c->pit, block);
		break;
	case WALL_CHIP_RTC:
		mc146818_save(&c->rtc, block);
		break;
	case WALL_CHIP_UART:
		uart16550_save(&c->serial[index].uart, block);
		break;
	case WALL_CHIP_PM:
		pm_save(&c->pm, block);
		break;
	case WALL_CHIP_I8042:
		i8042_save(&c->kbc, block);
		break;
	case WALL_CHIP_FW_CFG:
		fw_cfg_save(&c->fw_cfg, block);
		break;
	case WALL_CHIP_PCI:
		pci_address_save(&c->pci, block);
		break;
	case WALL_CHIP_GUEST_INTERFACE:
	case WALL_CHIP_SYNIC:
	case WALL_CHIP_SYNIC_QUEUE:
	case WALL_CHIP_COUNT:
		r = -EINVAL;
		break;
	default: /* a number from outside */
		r = -EINVAL;
	}
	unlock(c);
	return r;
}

void chipset_inspect(struct chipset *c, struct inspect *out)
{
	lock(c);
	i8259_inspect(&c->pic, out);
	ioapic_inspect(&c->ioapic, out);
	i8254_inspect(&c->pit, out);
	mc146818_inspect(&c->rtc, out);
	pm_inspect(&c->pm, out);
	i8042_inspect(&c->kbc, out);
	pci_address_inspect(&c->pci, out);
	fw_cfg_inspect(&c->fw_cfg, out);
	debug_port_inspect(&c->debug, out);
	for (unsigned k = 0; k < 2; k++)
		uart16550_inspect(&c->serial[k].uart, out);
	if (c->testdev)
		pc_testdev_inspect(c->testdev, out);
	unlock(c);
}
