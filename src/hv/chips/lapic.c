/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC: registers, priorities, messages. lapic.h has the map and the thread rules,
 * lapic_timer.c the timer, lapic_state.c what is saved.
 */
#include "hv/chips/lapic.h"

#include "abi/board.h"
#include "hv/chips/lapic_timer.h"

enum register_offset {
	REG_ID = 0x020,
	REG_VERSION = 0x030,
	REG_TPR = 0x080,
	REG_APR = 0x090,
	REG_PPR = 0x0a0,
	REG_EOI = 0x0b0,
	REG_RRD = 0x0c0,
	REG_LDR = 0x0d0,
	REG_DFR = 0x0e0,
	REG_SVR = 0x0f0,
	REG_ISR = 0x100,
	REG_TMR = 0x180,
	REG_IRR = 0x200,
	REG_ESR = 0x280,
	REG_ICR_LOW = 0x300,
	REG_ICR_HIGH = 0x310,
	REG_LVT = 0x320,
	REG_LVT_LAST = 0x370,
	REG_INITIAL_COUNT = 0x380,
	REG_CURRENT_COUNT = 0x390,
	REG_DIVIDE = 0x3e0,
	REG_SELF_IPI = 0x3f0,
};

/* Error status bits. */
#define ERROR_SEND_VECTOR 0x20u
#define ERROR_RECEIVE_VECTOR 0x40u
#define ERROR_REGISTER 0x80u

#define SVR_WRITABLE 0x3ffu
#define DIVIDE_WRITABLE 0xbu
#define ICR_LOW_WRITABLE 0x000ccfffu
#define ICR_BUSY 0x1000u

static const u32 lvt_writable[LAPIC_LVT_COUNT] = {
	[LAPIC_LVT_TIMER] = 0x000700ff,	  [LAPIC_LVT_THERMAL] = 0x000107ff,
	[LAPIC_LVT_COUNTER] = 0x000107ff, [LAPIC_LVT_LINT0] = 0x0001a7ff,
	[LAPIC_LVT_LINT1] = 0x0001a7ff,	  [LAPIC_LVT_ERROR] = 0x000100ff,
};
/* Delivery status and remote IRR: writing them is allowed and does nothing. */
#define LVT_READ_ONLY 0x5000u

static u32 load(const _Atomic u32 *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static void store(_Atomic u32 *p, u32 value)
{
	atomic_store_explicit(p, value, memory_order_relaxed);
}

static bool bit_of(const u32 *words, u8 vector)
{
	return words[vector >> 5] & BIT(vector & 31);
}

/* Highest vector of 256 bits, or -1. */
static int highest(const u32 *words)
{
	for (int i = 7; i >= 0; i--)
		if (words[i])
			return i * 32 + 31 - __builtin_clz(words[i]);
	return -1;
}

static int highest_request(const struct lapic *l)
{
	for (int i = 7; i >= 0; i--) {
		u32 word = atomic_load(&l->irr[i]);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

static u32 processor_priority(const struct lapic *l)
{
	int in_service = highest(l->isr);
	u32 class = in_service < 0 ? 0 : (u32)in_service & 0xf0;
	u32 tpr = load(&l->tpr);

	return (tpr & 0xf0) >= class ? tpr : class;
}

static void notify_if_pending(struct lapic *l)
{
	if (lapic_pending(l))
		l->ops->notify(l->owner);
}

/* ---- from outside: any thread ------------------------------------------------------------- */

static void note_error(struct lapic *l, u32 error)
{
	u32 before = atomic_fetch_or(&l->error_pending, error);

	if (!(before & error))
		lapic_deliver_local(l, LAPIC_LVT_ERROR);
}

/*
 * The trigger mode goes first: when the VP takes the request, its EOI must already know whether
 * to broadcast. A bit that is set already has been notified of.
 */
static void request(struct lapic *l, u8 vector, bool level)
{
	unsigned word = vector >> 5;
	u32 bit = BIT(vector & 31);

	if (level)
		atomic_fetch_or(&l->tmr[word], bit);
	else
		atomic_fetch_and(&l->tmr[word], ~bit);
	if (!(atomic_fetch_or(&l->irr[word], bit) & bit)) {
		atomic_fetch_add_explicit(&l->accepted, 1, memory_order_relaxed);
		l->ops->notify(l->owner);
	}
}

/* INIT wipes out a startup that came before it; a startup leaves an INIT that waits alone. */
static void signal_processor(struct lapic *l, bool init, u8 vector)
{
	u32 before = atomic_load(&l->signals);
	u32 after;

	do {
		if (init)
			after = LAPIC_SIGNAL_INIT;
		else
			after = (before & LAPIC_SIGNAL_INIT) | LAPIC_SIGNAL_STARTUP |
				(u32)vector << 8;
	} while (!atomic_compare_exchange_weak(&l->signals, &before, after));
	l->ops->signal(l->owner);
}

bool lapic_accept(struct lapic *l, const struct apic_message *message)
{
	if (!lapic_is_enabled(l))
		return false;
	switch ((enum apic_delivery)message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (!lapic_is_software_enabled(l))
			return false;
		if (message->vector < 16) {
			note_error(l, ERROR_RECEIVE_VECTOR);
			return false;
		}
		request(l, message->vector, message->level);
		return true;
	case APIC_NMI:
		l->ops->nmi(l->owner);
		return true;
	case APIC_INIT:
		if (message->level && !message->assert)
			return false;
		signal_processor(l, true, 0);
		return true;
	case APIC_STARTUP:
		signal_processor(l, false, message->vector);
		return true;
	case APIC_EXTINT:
		atomic_store(&l->extint, 1);
		l->ops->notify(l->owner);
		return true;
	case APIC_SMI: /* there is no SMM */
	case APIC_RESERVED:
		break;
	}
	return false;
}

bool lapic_matches(const struct lapic *l, u32 destination, bool logical)
{
	u32 ldr = load(&l->ldr);

	if (!lapic_is_enabled(l))
		return false;
	if (destination == APIC_EVERYBODY)
		return true;
	if (!logical)
		return destination == l->initial_id;
	if (lapic_is_x2apic(l))
		return destination >> 16 == ldr >> 16 && (destination & ldr & 0xffff);
	if (destination > 0xff)
		return false;
	ldr >>= 24;
	if (load(&l->dfr) >> 28 == 0xf)
		return destination & ldr;
	/* Cluster 15 is everybody. */
	return (destination >> 4 == ldr >> 4 || destination >> 4 == 0xf) &&
	       (destination & ldr & 0xf);
}

void lapic_deliver_local(struct lapic *l, enum lapic_lvt source)
{
	u32 lvt = load(&l->lvt[source]);
	enum apic_delivery delivery = (enum apic_delivery)(lvt >> 8 & 7);
	u8 vector = (u8)lvt;
	bool level = (source == LAPIC_LVT_LINT0 || source == LAPIC_LVT_LINT1) &&
		     (lvt & LAPIC_LVT_LEVEL);

	if ((lvt & LAPIC_LVT_MASKED) || !lapic_is_enabled(l))
		return;
	if (source == LAPIC_LVT_TIMER || source == LAPIC_LVT_ERROR)
		delivery = APIC_FIXED;
	switch (delivery) {
	case APIC_FIXED:
		if (vector < 16) {
			/* The error entry itself may be the one at fault: note, do not raise. */
			if (source == LAPIC_LVT_ERROR)
				atomic_fetch_or(&l->error_pending, ERROR_RECEIVE_VECTOR);
			else
				note_error(l, ERROR_RECEIVE_VECTOR);
			return;
		}
		if (level && (atomic_fetch_or(&l->lvt[source], LAPIC_LVT_REMOTE_IRR) &
			      LAPIC_LVT_REMOTE_IRR))
			return;
		request(l, vector, level);
		return;
	case APIC_NMI:
		l->ops->nmi(l->owner);
		return;
	case APIC_INIT:
		signal_processor(l, true, 0);
		return;
	case APIC_EXTINT:
		l->ops->notify(l->owner);
		return;
	case APIC_LOWEST:
	case APIC_SMI:
	case APIC_RESERVED:
	case APIC_STARTUP:
		return;
	}
}

void lapic_lint(struct lapic *l, unsigned n, bool level)
{
	u32 bit = BIT(n & 1);
	u32 before;

	if (!level) {
		atomic_fetch_and(&l->lint, ~bit);
		return;
	}
	before = atomic_fetch_or(&l->lint, bit);
	if (before & bit)
		return;
	/* Without a LAPIC the pins are the processor's own INTR and NMI. */
	if (lapic_is_enabled(l))
		lapic_deliver_local(l, n & 1 ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0);
	else if (n & 1)
		l->ops->nmi(l->owner);
	else
		l->ops->notify(l->owner);
}

/* ---- what the processor asks: VP ----------------------------------------------------------- */

bool lapic_pending(const struct lapic *l)
{
	int vector = highest_request(l);

	if (vector < 0 || !lapic_is_enabled(l))
		return false;
	return ((u32)vector & 0xf0) > (processor_priority(l) & 0xf0);
}

int lapic_take(struct lapic *l)
{
	int vector = highest_request(l);

	if (vector < 0 || !lapic_is_enabled(l) ||
	    ((u32)vector & 0xf0) <= (processor_priority(l) & 0xf0))
		return -1;
	if (!bit_of(l->auto_eoi, (u8)vector))
		l->isr[vector >> 5] |= BIT(vector & 31);
	atomic_fetch_and(&l->irr[vector >> 5], ~BIT(vector & 31));
	l->taken++;
	return vector;
}

bool lapic_extint_pending(const struct lapic *l)
{
	u32 lvt = load(&l->lvt[LAPIC_LVT_LINT0]);

	if (!lapic_is_enabled(l))
		return load(&l->lint) & 1;
	if (load(&l->extint))
		return true;
	return (load(&l->lint) & 1) && !(lvt & LAPIC_LVT_MASKED) &&
	       (lvt >> 8 & 7) == APIC_EXTINT;
}

void lapic_extint_taken(struct lapic *l)
{
	atomic_store(&l->extint, 0);
}

u32 lapic_take_signals(struct lapic *l, u8 *ret_vector)
{
	u32 signals = atomic_exchange(&l->signals, 0);

	if (signals & LAPIC_SIGNAL_STARTUP)
		*ret_vector = (u8)(signals >> 8);
	return signals & (LAPIC_SIGNAL_INIT | LAPIC_SIGNAL_STARTUP);
}

/* A level-triggered local pin whose vector has ended asks again while it is up. */
static void end_local_level(struct lapic *l, enum lapic_lvt source, u8 vector)
{
	u32 lvt = load(&l->lvt[source]);

	if ((u8)lvt != vector || !(lvt & LAPIC_LVT_REMOTE_IRR))
		return;
	atomic_fetch_and(&l->lvt[source], ~LAPIC_LVT_REMOTE_IRR);
	if (load(&l->lint) & (source == LAPIC_LVT_LINT1 ? 2 : 1))
		lapic_deliver_local(l, source);
}

void lapic_eoi(struct lapic *l)
{
	int vector = highest(l->isr);

	if (vector < 0)
		return;
	l->isr[vector >> 5] &= ~BIT(vector & 31);
	l->eois++;
	if (atomic_load(&l->tmr[vector >> 5]) & BIT(vector & 31)) {
		end_local_level(l, LAPIC_LVT_LINT0, (u8)vector);
		end_local_level(l, LAPIC_LVT_LINT1, (u8)vector);
		l->ops->eoi(l->owner, (u8)vector);
	}
	notify_if_pending(l);
}

u32 lapic_tpr(const struct lapic *l)
{
	return load(&l->tpr);
}

void lapic_set_tpr(struct lapic *l, u32 value)
{
	store(&l->tpr, value & 0xff);
	notify_if_pending(l);
}

u8 lapic_cr8(const struct lapic *l)
{
	return (u8)(load(&l->tpr) >> 4 & 0xf);
}

void lapic_set_cr8(struct lapic *l, u8 value)
{
	lapic_set_tpr(l, (u32)(value & 0xf) << 4);
}

void lapic_set_auto_eoi(struct lapic *l, u8 vector, bool on)
{
	if (on)
		l->auto_eoi[vector >> 5] |= BIT(vector & 31);
	else
		l->auto_eoi[vector >> 5] &= ~BIT(vector & 31);
}

void lapic_on_alarm(struct lapic *l)
{
	lapic_timer_check(l);
}

void lapic_on_tsc_moved(struct lapic *l)
{
	lapic_timer_check(l);
}

/* ---- sending -------------------------------------------------------------------------------- */

static void send(struct lapic *l)
{
	u32 low = (u32)l->icr;
	u32 destination = (u32)(l->icr >> 32);
	struct apic_message message = {
		.vector = (u8)low,
		.delivery = low >> 8 & 7,
		.logical = low & BIT(11),
		.assert = low & BIT(14),
		.shorthand = low >> 18 & 3,
	};

	l->ipis++;
	if (!lapic_is_x2apic(l)) {
		destination >>= 24;
		if (!message.logical && destination == 0xff)
			destination = APIC_EVERYBODY;
	}
	message.destination = destination;
	switch ((enum apic_delivery)message.delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (message.vector < 16) {
			note_error(l, ERROR_SEND_VECTOR);
			return;
		}
		/* "Lowest of all" was never defined; be everybody's, as KVM is. */
		if (message.shorthand != APIC_TO_DESTINATION)
			message.delivery = APIC_FIXED;
		break;
	case APIC_INIT:
		/* The trigger mode of a processor's message matters to INIT de-assert alone. */
		message.level = low & BIT(15);
		break;
	case APIC_NMI:
	case APIC_STARTUP:
		break;
	case APIC_SMI:
	case APIC_RESERVED:
	case APIC_EXTINT:
		return;
	}
	if (message.shorthand == APIC_TO_SELF)
		lapic_accept(l, &message);
	else
		l->ops->send(l->owner, &message);
}

u64 lapic_icr(const struct lapic *l)
{
	return l->icr;
}

void lapic_set_icr(struct lapic *l, u64 value)
{
	l->icr = (value & 0xffffffff00000000ull) | ((u32)value & ICR_LOW_WRITABLE);
	send(l);
}

/* ---- registers ------------------------------------------------------------------------------ */

static void write_lvt(struct lapic *l, enum lapic_lvt n, u32 value)
{
	u32 before = load(&l->lvt[n]);
	u32 after;

	value &= lvt_writable[n];
	if (!(load(&l->svr) & LAPIC_SVR_ENABLED))
		value |= LAPIC_LVT_MASKED;
	if (n == LAPIC_LVT_TIMER)
		lapic_timer_before_lvt(l, value);
	do {
		after = value;
		if (value & LAPIC_LVT_LEVEL)
			after |= before & LAPIC_LVT_REMOTE_IRR;
	} while (!atomic_compare_exchange_weak(&l->lvt[n], &before, after));
	if (n == LAPIC_LVT_TIMER)
		lapic_timer_after_lvt(l);
	/* A pin that is up when its entry opens: a level asks at once, so does the 8259. */
	if ((n == LAPIC_LVT_LINT0 && (load(&l->lint) & 1)) ||
	    (n == LAPIC_LVT_LINT1 && (load(&l->lint) & 2))) {
		if ((after & LAPIC_LVT_LEVEL) || (after >> 8 & 7) == APIC_EXTINT)
			lapic_deliver_local(l, n);
	}
}

static void write_svr(struct lapic *l, u32 value)
{
	store(&l->svr, value & SVR_WRITABLE);
	if (value & LAPIC_SVR_ENABLED)
		return;
	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++)
		atomic_fetch_or(&l->lvt[n], LAPIC_LVT_MASKED);
	lapic_timer_check(l);
}

static u32 id_register(const struct lapic *l)
{
	return lapic_is_x2apic(l) ? l->initial_id : l->initial_id << 24;
}

/* False: there is no such register in either mode. */
static bool read_register(struct lapic *l, unsigned offset, u32 *ret_value)
{
	switch (offset) {
	case REG_ID:
		*ret_value = id_register(l);
		return true;
	case REG_VERSION:
		*ret_value = LAPIC_VERSION;
		return true;
	case REG_TPR:
		*ret_value = load(&l->tpr);
		return true;
	case REG_PPR:
		*ret_value = processor_priority(l);
		return true;
	case REG_LDR:
		*ret_value = load(&l->ldr);
		return true;
	case REG_SVR:
		*ret_value = load(&l->svr);
		return true;
	case REG_ISR ... REG_ISR + 0x70:
		*ret_value = l->isr[(offset - REG_ISR) >> 4];
		return true;
	case REG_TMR ... REG_TMR + 0x70:
		*ret_value = load(&l->tmr[(offset - REG_TMR) >> 4]);
		return true;
	case REG_IRR ... REG_IRR + 0x70:
		*ret_value = load(&l->irr[(offset - REG_IRR) >> 4]);
		return true;
	case REG_ESR:
		*ret_value = l->esr;
		return true;
	case REG_LVT ... REG_LVT_LAST:
		*ret_value = load(&l->lvt[(offset - REG_LVT) >> 4]);
		return true;
	case REG_INITIAL_COUNT:
		*ret_value = l->initial_count;
		return true;
	case REG_CURRENT_COUNT:
		*ret_value = lapic_timer_current(l);
		return true;
	case REG_DIVIDE:
		*ret_value = l->divide_config;
		return true;
	}
	return false;
}

/* False: there is no such register to write in either mode. */
static bool write_register(struct lapic *l, unsigned offset, u32 value)
{
	switch (offset) {
	case REG_TPR:
		lapic_set_tpr(l, value);
		return true;
	case REG_EOI:
		lapic_eoi(l);
		return true;
	case REG_SVR:
		write_svr(l, value);
		return true;
	case REG_ESR:
		l->esr = atomic_exchange(&l->error_pending, 0);
		return true;
	case REG_LVT ... REG_LVT_LAST:
		write_lvt(l, (enum lapic_lvt)((offset - REG_LVT) >> 4), value);
		return true;
	case REG_INITIAL_COUNT:
		lapic_timer_set_initial(l, value);
		return true;
	case REG_DIVIDE:
		lapic_timer_set_divide(l, value);
		return true;
	}
	return false;
}

static u32 read_xapic(struct lapic *l, unsigned offset)
{
	u32 value = 0;

	switch (offset) {
	case REG_APR:
	case REG_RRD:
	case REG_EOI:
		return 0;
	case REG_DFR:
		return load(&l->dfr);
	case REG_ICR_LOW:
		return (u32)l->icr;
	case REG_ICR_HIGH:
		return (u32)(l->icr >> 32);
	}
	if (!read_register(l, offset, &value))
		note_error(l, ERROR_REGISTER);
	return value;
}

static void write_xapic(struct lapic *l, unsigned offset, u32 value)
{
	u32 ignored;

	switch (offset) {
	case REG_LDR:
		store(&l->ldr, value & 0xff000000);
		return;
	case REG_DFR:
		store(&l->dfr, value | 0x0fffffff);
		return;
	case REG_ICR_LOW:
		lapic_set_icr(l, (l->icr & 0xffffffff00000000ull) | value);
		return;
	case REG_ICR_HIGH:
		l->icr = (u32)l->icr | (u64)(value & 0xff000000) << 32;
		return;
	case REG_APR:
	case REG_RRD:
		return;
	}
	if (write_register(l, offset, value) || read_register(l, offset, &ignored))
		return; /* the read-only ones swallow it */
	note_error(l, ERROR_REGISTER);
}

u64 lapic_mmio_read(struct lapic *l, unsigned offset, unsigned size)
{
	u64 ones = size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
	unsigned part = offset & 0xf;

	if (!lapic_is_enabled(l) || lapic_is_x2apic(l))
		return ones;
	/* Registers are 32 bits every 16 bytes; what lies between reads 0. */
	if (part >= 4)
		return 0;
	return (u64)read_xapic(l, offset & 0xff0) >> part * 8 & ones;
}

void lapic_mmio_write(struct lapic *l, unsigned offset, unsigned size, u64 value)
{
	if (!lapic_is_enabled(l) || lapic_is_x2apic(l))
		return;
	if (size != 4 || (offset & 0xf))
		return; /* undefined by the manual: nothing */
	write_xapic(l, offset & 0xff0, (u32)value);
}

static bool read_x2apic(struct lapic *l, unsigned offset, u64 *ret_value)
{
	u32 value;

	if (offset == REG_ICR_LOW) {
		*ret_value = l->icr;
		return true;
	}
	if (!read_register(l, offset, &value))
		return false;
	*ret_value = value;
	return true;
}

static bool write_x2apic(struct lapic *l, unsigned offset, u64 value)
{
	u32 reserved = 0;

	if (offset == REG_ICR_LOW) {
		if ((u32)value & ~(ICR_LOW_WRITABLE | ICR_BUSY))
			return false;
		lapic_set_icr(l, value);
		return true;
	}
	switch (offset) {
	case REG_TPR:
	case REG_SELF_IPI:
		reserved = ~0xffu;
		break;
	case REG_EOI:
	case REG_ESR:
		reserved = ~0u;
		break;
	case REG_SVR:
		reserved = ~SVR_WRITABLE;
		break;
	case REG_LVT ... REG_LVT_LAST:
		reserved = ~(lvt_writable[(offset - REG_LVT) >> 4] | LVT_READ_ONLY);
		break;
	case REG_DIVIDE:
		reserved = ~DIVIDE_WRITABLE;
		break;
	}
	if (value >> 32 || (value & reserved))
		return false;
	if (offset == REG_SELF_IPI) {
		struct apic_message message = {
			.vector = (u8)value,
			.delivery = APIC_FIXED,
			.shorthand = APIC_TO_SELF,
		};

		l->ipis++;
		if (message.vector < 16)
			note_error(l, ERROR_SEND_VECTOR);
		else
			lapic_accept(l, &message);
		return true;
	}
	return write_register(l, offset, (u32)value);
}

/* Logical id in x2APIC mode: 16 processors a cluster. */
static u32 x2apic_ldr(u32 id)
{
	return id >> 4 << 16 | BIT(id & 0xf);
}

static bool write_base(struct lapic *l, u64 value)
{
	u64 before = atomic_load(&l->base);
	u64 writable = (BIT64(l->gpa_bits) - 1) & ~0xfffull;
	u64 mode = value & (LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC);
	u64 was = before & (LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC);

	writable |= LAPIC_BASE_BSP | LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC;
	if (value & ~writable)
		return false;
	/* SDM figure 11-27: x2APIC is entered from xAPIC and left by disabling. */
	if (mode == LAPIC_BASE_X2APIC)
		return false;
	if (mode == (LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC) && was == 0)
		return false;
	if (mode == LAPIC_BASE_ENABLED && (was & LAPIC_BASE_X2APIC))
		return false;
	atomic_store(&l->base, value);
	if (mode == was)
		return true;
	if (mode & LAPIC_BASE_X2APIC) {
		store(&l->ldr, x2apic_ldr(l->initial_id));
	} else if (was & LAPIC_BASE_X2APIC) {
		store(&l->ldr, 0);
		store(&l->dfr, UINT32_MAX);
		l->icr = 0;
	}
	notify_if_pending(l);
	return true;
}

bool lapic_msr_read(struct lapic *l, u32 index, u64 *ret_value)
{
	switch (index) {
	case MSR_APIC_BASE:
		*ret_value = atomic_load(&l->base);
		return true;
	case MSR_TSC_DEADLINE:
		*ret_value = lapic_timer_deadline(l);
		return true;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		return lapic_is_x2apic(l) &&
		       read_x2apic(l, (index - MSR_X2APIC_FIRST) << 4, ret_value);
	}
	return false;
}

bool lapic_msr_write(struct lapic *l, u32 index, u64 value)
{
	switch (index) {
	case MSR_APIC_BASE:
		return write_base(l, value);
	case MSR_TSC_DEADLINE:
		lapic_timer_set_deadline(l, value);
		return true;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		return lapic_is_x2apic(l) &&
		       write_x2apic(l, (index - MSR_X2APIC_FIRST) << 4, value);
	}
	return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void reset_registers(struct lapic *l)
{
	for (unsigned i = 0; i < 8; i++) {
		atomic_store(&l->irr[i], 0);
		atomic_store(&l->tmr[i], 0);
		l->isr[i] = 0;
		l->auto_eoi[i] = 0;
	}
	atomic_store(&l->extint, 0);
	atomic_store(&l->error_pending, 0);
	store(&l->ldr, lapic_is_x2apic(l) ? x2apic_ldr(l->initial_id) : 0);
	store(&l->dfr, UINT32_MAX);
	store(&l->svr, 0xff);
	store(&l->tpr, 0);
	for (unsigned n = 0; n < LAPIC_LVT_COUNT; n++)
		atomic_store(&l->lvt[n], LAPIC_LVT_MASKED);
	l->esr = 0;
	l->icr = 0;
	l->divide_config = 0;
	lapic_timer_stop(l);
}

void lapic_init(struct lapic *l, const struct lapic_ops *ops, void *owner,
		const struct clock *clock, u32 id, bool bsp, unsigned gpa_bits,
		u64 tsc_hz)
{
	memset(l, 0, sizeof *l);
	l->ops = ops;
	l->owner = owner;
	l->clock = clock;
	l->initial_id = id;
	l->bsp = bsp;
	l->gpa_bits = (u8)gpa_bits;
	l->tsc_hz = tsc_hz;
	lapic_reset(l);
}

void lapic_reset(struct lapic *l)
{
	atomic_store(&l->base, BOARD_GPA_LAPIC | LAPIC_BASE_ENABLED |
				       (l->bsp ? LAPIC_BASE_BSP : 0));
	atomic_store(&l->signals, 0);
	reset_registers(l);
	if (l->bsp)
		atomic_store(&l->lvt[LAPIC_LVT_LINT0], APIC_EXTINT << 8);
}

void lapic_reset_by_init(struct lapic *l)
{
	reset_registers(l);
}
