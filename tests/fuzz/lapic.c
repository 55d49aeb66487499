/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC and the message bus, by a guest and by hostile state blocks. */
#include "chip_input.h"

#include "hv/chips/lapic.h"

#define COUNT 4

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct script s;
static struct lapic lapics[COUNT], *pointers[COUNT];
static struct apic_bus bus;

static void on_owner(void *owner)
{
	(void)owner;
}
static void on_send(void *owner, const struct apic_message *message)
{
	apic_bus_send(&bus, message, owner);
}
static void on_eoi(void *owner, u8 vector)
{
	(void)owner;
	if (vector < 16)
		abort();
}
static void on_alarm(void *owner, u64 when_ns)
{
	if (owner == &lapics[0])
		s.alarm = when_ns;
}
static u64 tsc_now(void *owner)
{
	(void)owner;
	return s.clock.monotonic * 3;
}

static const struct lapic_ops ops = {
	.notify = on_owner,
	.nmi = on_owner,
	.signal = on_owner,
	.send = on_send,
	.eoi = on_eoi,
	.alarm = on_alarm,
	.tsc = tsc_now,
};

static void step(struct lapic *l)
{
	u8 block[WALL_CHIP_STATE_SIZE];
	struct apic_message message;
	u64 value;
	u8 vector;
	int taken;
	u8 op = script_u8(&s);

	switch (op % 17) {
	case 0:
	case 1:
		lapic_mmio_write(l, script_u8(&s) << 4, 4, script_u32(&s));
		break;
	case 2:
		lapic_mmio_read(l, script_u16(&s) & 0xfff, 1u << (op >> 6));
		break;
	case 3:
		lapic_msr_write(l, MSR_X2APIC_FIRST + script_u8(&s), script_u64(&s));
		break;
	case 4:
		lapic_msr_write(l, MSR_X2APIC_FIRST + script_u8(&s), script_u8(&s));
		break;
	case 5:
		lapic_msr_read(l, MSR_X2APIC_FIRST + script_u8(&s), &value);
		break;
	case 6:
		lapic_msr_write(l, MSR_APIC_BASE,
				0xfee00000 | (u64)(script_u8(&s) & 0xd) << 8);
		break;
	case 7:
		lapic_msr_write(l, MSR_TSC_DEADLINE, tsc_now(l) + script_u32(&s));
		break;
	case 8:
		lapic_msr_write(l, script_u32(&s), script_u64(&s));
		break;
	case 9:
		taken = lapic_take(l);
		if (taken >= 0 && taken < 16)
			abort();
		break;
	case 10:
		lapic_set_cr8(l, script_u8(&s));
		break;
	case 11:
		lapic_lint(l, op >> 6, script_u8(&s) & 1);
		break;
	case 12:
		if (apic_message_of_msi(0xfee00000 | script_u32(&s), script_u32(&s),
					&message))
			apic_bus_send(&bus, &message, NULL);
		break;
	case 13:
		SCRIPT_ADVANCE(&s, script_time(&s), lapic_on_alarm(&lapics[0]));
		lapic_on_alarm(l);
		break;
	case 14:
		if (lapic_take_signals(l, &vector) & LAPIC_SIGNAL_INIT)
			lapic_reset_by_init(l);
		if (lapic_extint_pending(l))
			lapic_extint_taken(l);
		lapic_set_auto_eoi(l, op, op & 1);
		break;
	case 15:
		lapic_on_alarm(l);
		SCRIPT_ROUND_TRIP(lapic_save, lapic_restore, l);
		SCRIPT_INSPECT(lapic_inspect, l);
		break;
	case 16:
		if (op & 0x80) {
			lapic_save(l, block);
			script_spoil(&s, block);
			(void)!lapic_restore(l, block);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	script_begin(&s, data, size);
	for (unsigned i = 0; i < COUNT; i++) {
		pointers[i] = &lapics[i];
		lapic_init(&lapics[i], &ops, &lapics[i], &s.clock.clock, i, i == 0, 46,
			   3 * NS_PER_SEC);
		lapic_mmio_write(&lapics[i], 0xf0, 4, 0x1ff);
	}
	apic_bus_init(&bus, pointers, COUNT);
	while (s.left)
		step(&lapics[script_u8(&s) % COUNT]);
	return 0;
}
