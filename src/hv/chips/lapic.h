/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC of one virtual processor: xAPIC (memory-mapped) and x2APIC (MSRs), its timer,
 * its local vector table, the interrupt priorities. Its messages travel over apic_bus.h.
 *
 *	offset	MSR	register		offset	MSR	register
 *	020	802	ID			280	828	error status
 *	030	803	version			300/310	830	interrupt command (64 bits)
 *	080	808	task priority		320	832	LVT timer
 *	0a0	80a	processor priority	330	833	LVT thermal sensor
 *	0b0	80b	EOI			340	834	LVT performance counter
 *	0d0	80d	logical destination	350	835	LVT LINT0
 *	0e0	-	destination format	360	836	LVT LINT1
 *	0f0	80f	spurious vector, enable	370	837	LVT error
 *	100-170	810-817	in service		380	838	timer: initial count
 *	180-1f0	818-81f	trigger mode		390	839	timer: current count
 *	200-270	820-827	requests		3e0	83e	timer: divide
 *						-	83f	self IPI
 *
 * Threads. "VP" below is the thread of the processor that the LAPIC belongs to, or any one
 * thread while that VP stands (start, reset, save, restore).
 *   - Any thread: lapic_accept, lapic_lint, lapic_matches and the lapic_is... questions. They touch
 *     only atomics (requests, trigger modes, signals, pending errors) and call notify, nmi, signal.
 *   - VP: everything else. The VP alone writes id, modes, destinations, LVT, priorities,
 *     in-service bits and the timer; those that others read are atomic and read relaxed:
 *     a message that races with such a write may see the old or the new value, as on the wires
 *     of a real board.
 *   - Why no interrupt is lost: a sender sets the request bit and then calls notify; the VP
 *     raises or lowers its priority and then looks at the requests. Whoever comes second sees
 *     the other.
 *
 * Deviations, all deliberate: the ID register is read-only (so are newer processors');
 * suppression of EOI broadcasts is not offered; disabling by MSR keeps the registers (the SDM
 * says "may be lost"); LINT0 of the first processor comes out of power-on as ExtINT, not
 * masked, as firmware would leave it (virtual wire), because direct boot runs no firmware.
 *
 * Specification: Intel SDM volume 3, chapter 11.
 */
#pragma once

#include <stdatomic.h>

#include "base/clock.h"
#include "base/types.h"
#include "hv/chips/apic_bus.h"
#include "hv/chips/chip.h"

/* The timer counts at this rate before the divider: a nanosecond a tick. */
#define LAPIC_TIMER_HZ 1000000000u

/* A periodic timer interrupts no more often than this; its counter runs as programmed. */
#define LAPIC_MIN_PERIOD_NS 20000u

#define LAPIC_SVR_ENABLED 0x100u
#define LAPIC_LVT_LEVEL 0x8000u
#define LAPIC_LVT_REMOTE_IRR 0x4000u
#define LAPIC_LVT_MASKED 0x10000u

#define LAPIC_BASE_BSP 0x100u
#define LAPIC_BASE_X2APIC 0x400u
#define LAPIC_BASE_ENABLED 0x800u

/* Version 0x14 with six LVT entries; no EOI broadcast suppression. */
#define LAPIC_VERSION 0x00050014u
#define LAPIC_PAGE_SIZE 1024u

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8ffu

/* What a message asked of the processor itself: lapic_take_signals. */
#define LAPIC_SIGNAL_INIT 1u
#define LAPIC_SIGNAL_STARTUP 2u

enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_COUNTER,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_COUNT
};

struct lapic_ops {
	/* A request came up that was not there, or became acceptable. Any thread. */
	void (*notify)(void *owner);
	/* An NMI; each call is one (two that wait are two). Any thread. */
	void (*nmi)(void *owner);
	/* INIT or startup: the VP should call lapic_take_signals. Any thread. */
	void (*signal)(void *owner);
	/* The ICR was written: pass it to apic_bus_send with this LAPIC as sender. VP. */
	void (*send)(void *owner, const struct apic_message *message);
	/* A level-triggered vector ended: pass it to ioapic_eoi (under the IOAPIC's lock). VP. */
	void (*eoi)(void *owner, u8 vector);
	/* When lapic_on_alarm is to be called next, ns of the clock, or CHIP_NO_ALARM. VP. */
	void (*alarm)(void *owner, u64 when_ns);
	/* The guest's time stamp counter now. VP. */
	u64 (*tsc)(void *owner);
};

struct lapic {
	/* set once */
	const struct lapic_ops *ops;
	void *owner;
	const struct clock *clock;
	u32 initial_id;
	bool bsp;
	u8 gpa_bits; /* of addresses that the APIC base accepts */
	u64 tsc_hz;

	/* any thread writes */
	_Atomic u32 irr[8];
	_Atomic u32 tmr[8];
	_Atomic u32 signals; /* LAPIC_SIGNAL_..., startup vector in bits 8-15 */
	_Atomic u32 lint;    /* levels of LINT0, LINT1 */
	_Atomic u32 extint;  /* an ExtINT message (not pin) waits: 0 or 1 */
	_Atomic u32 error_pending;

	/* the VP writes, any thread reads */
	_Atomic u64 base; /* MSR 0x1b */
	_Atomic u32 ldr;  /* as the guest sees it in its mode */
	_Atomic u32 dfr;
	_Atomic u32 svr;
	_Atomic u32 tpr;
	_Atomic u32 lvt[LAPIC_LVT_COUNT];

	/* the VP alone */
	u32 isr[8];
	u32 auto_eoi[8]; /* vectors that never come into service (SynIC AutoEOI) */
	u32 esr;
	u64 icr;
	u32 divide_config;
	u32 initial_count;
	u64 counted_from_ns; /* the counter was counted_from at this time ... */
	u32 counted_from;    /* ... and counts down since; 0 = stands */
	u64 fired_ns;	     /* periodic: the last interrupt */
	u64 deadline;	     /* guest TSC; 0 = none */

	/* counters */
	u64 taken, eois, ipis, timer_fired;
	_Atomic u64 accepted;
};

/*
 * gpa_bits: the physical address width that CPUID shows. tsc_hz: ticks of ops->tsc a second,
 * not 0. Ends in power-on state.
 */
void lapic_init(struct lapic *lapic, const struct lapic_ops *ops, void *owner,
		const struct clock *clock, u32 id, bool bsp, unsigned gpa_bits,
		u64 tsc_hz);

/* Power-on: everything. VP. */
void lapic_reset(struct lapic *lapic);

/* INIT: as power-on, but APIC base, mode and id stay. VP, after lapic_take_signals said so. */
void lapic_reset_by_init(struct lapic *lapic);

/* ---- the guest's accesses: VP ------------------------------------------------------------ */

/* offset in the 4 KiB page at lapic_base_gpa; size 1, 2, 4, 8. All ones unless in xAPIC mode. */
u64 lapic_mmio_read(struct lapic *lapic, unsigned offset, unsigned size);
void lapic_mmio_write(struct lapic *lapic, unsigned offset, unsigned size, u64 value);

/*
 * MSR_APIC_BASE, MSR_TSC_DEADLINE and 0x800-0x8ff. False: #GP (also for any other index). A
 * write of MSR_APIC_BASE may move the page and change CPUID's APIC bit: the caller compares
 * lapic_base_gpa and lapic_is_enabled before and after.
 */
bool lapic_msr_read(struct lapic *lapic, u32 index, u64 *ret_value);
bool lapic_msr_write(struct lapic *lapic, u32 index, u64 value);

/* CR8: bits 4-7 of the task priority, whatever mode the LAPIC is in. */
u8 lapic_cr8(const struct lapic *lapic);
void lapic_set_cr8(struct lapic *lapic, u8 value);

/* What the synthetic MSRs and EOI assist do; same as the registers. */
void lapic_eoi(struct lapic *lapic);
u32 lapic_tpr(const struct lapic *lapic);
void lapic_set_tpr(struct lapic *lapic, u32 value);
u64 lapic_icr(const struct lapic *lapic);
void lapic_set_icr(struct lapic *lapic, u64 value); /* destination as the mode has it */

/* SynIC: vectors of SINTs with AutoEOI. */
void lapic_set_auto_eoi(struct lapic *lapic, u8 vector, bool on);

/* ---- what the processor asks: VP ---------------------------------------------------------- */

/* Is there a request that the task and processor priority let through? */
bool lapic_pending(const struct lapic *lapic);

/* Take the highest such request into service: its vector, or -1. */
int lapic_take(struct lapic *lapic);

/*
 * Does the 8259 have the processor's ear and something to say? Then the vector comes from
 * i8259_ack, before lapic_take is asked. lapic_extint_taken after each such ack.
 */
bool lapic_extint_pending(const struct lapic *lapic);
void lapic_extint_taken(struct lapic *lapic);

/*
 * INIT and startup signals since the last call, and the startup vector (page number of the
 * first instruction; only with LAPIC_SIGNAL_STARTUP). With both: INIT came first. A startup is
 * for a processor that waits for one; the caller drops others.
 */
u32 lapic_take_signals(struct lapic *lapic, u8 *ret_vector);

/* The alarm's time has come (or any earlier time: it is set again). */
void lapic_on_alarm(struct lapic *lapic);

/* ops->tsc jumped (WRMSR of TSC or TSC_ADJUST, restore): find the deadline again. */
void lapic_on_tsc_moved(struct lapic *lapic);

/* ---- from outside: any thread ------------------------------------------------------------- */

/* A message that is for this LAPIC: apic_bus calls it. False: it was not taken. */
bool lapic_accept(struct lapic *lapic, const struct apic_message *message);

/* Is this destination ours? As physical/logical and our mode have it. */
bool lapic_matches(const struct lapic *lapic, u32 destination, bool logical);

/* Level of the pin LINT0 (n = 0: from the 8259) or LINT1 (n = 1: NMI). */
void lapic_lint(struct lapic *lapic, unsigned n, bool level);

/* A local source fires: its LVT entry says what comes of it. The timer's is called by the VP. */
void lapic_deliver_local(struct lapic *lapic, enum lapic_lvt source);

static inline gpa_t lapic_base_gpa(const struct lapic *lapic)
{
	return atomic_load_explicit(&lapic->base, memory_order_relaxed) & ~(u64)0xfff;
}
static inline bool lapic_is_enabled(const struct lapic *lapic)
{
	return atomic_load_explicit(&lapic->base, memory_order_relaxed) &
	       LAPIC_BASE_ENABLED;
}
static inline bool lapic_is_x2apic(const struct lapic *lapic)
{
	return atomic_load_explicit(&lapic->base, memory_order_relaxed) &
	       LAPIC_BASE_X2APIC;
}

/* By the spurious vector register: fixed interrupts are taken only then. */
static inline bool lapic_is_software_enabled(const struct lapic *lapic)
{
	return lapic_is_enabled(lapic) &&
	       (atomic_load_explicit(&lapic->svr, memory_order_relaxed) &
		LAPIC_SVR_ENABLED);
}

/* ---- state: VP ----------------------------------------------------------------------------- */

/* block: WALL_CHIP_STATE_SIZE bytes, filled whole. */
void lapic_save(const struct lapic *lapic, void *block);
/* 0, or -EINVAL and nothing changed. Calls alarm; the owner looks at lapic_pending itself. */
int lapic_restore(struct lapic *lapic, const void *block) MUST_CHECK;
void lapic_inspect(const struct lapic *lapic, struct inspect *out);

/* As a page of registers at their xAPIC offsets, LAPIC_PAGE_SIZE bytes: lapic_page.c. */
void lapic_to_page(const struct lapic *lapic, u8 *ret_page);
void lapic_from_page(struct lapic *lapic, const u8 *page, u64 base, u64 deadline);
