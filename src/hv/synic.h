/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic interrupt controller of one VP (TLFS, Virtual Interrupt Controller): sixteen
 * sources (SINTs), each with a slot in the message page and 2048 flags in the event flags page,
 * both of them pages of guest RAM that the guest chose (guest_interface.h says how that differs from
 * the specification's overlays).
 *
 * A message's way
 *
 *	synic_post -> queue -> slot (type last) -> interrupt -> guest copies, type = 0 -> (EOM)
 *
 *	A slot holds one message. While the guest has not taken it, the next one waits in the queue
 *	and the slot's flag `message pending` is set; the guest that sees it writes EOM after it
 *	has emptied the slot, and we look again. The guest may empty the slot just before we set
 *	the flag and never see it: so after setting it we look at the slot once more.
 *	Nothing in the queue is lost, whatever the guest switches off: it waits.
 *
 * An event is a flag; it is set with a locked OR and interrupts if it was clear. Where the
 * guest switched the SINT, the page or the controller off, it is dropped: that is the specification.
 *
 * A timer's message (at most one a timer) waits in timer_waits, apart from the queue; it comes after
 * what the queue holds for its SINT.
 *
 * Threads: any; everything is under `lock`, which comes after the chipset lock and before a
 * LAPIC's. ops->auto_eoi is called on the VP's own thread alone (or while the VP stands), since only
 * register writes, reset and restore lead to it.
 */
#pragma once

#include <pthread.h>

#include "abi/hv_tlfs.h"
#include "hv/chips/chip.h"

/* Messages that wait for their slot: as many as two state blocks hold. */
#define SYNIC_QUEUE 14
#define SYNIC_QUEUE_BLOCK (SYNIC_QUEUE / 2)

struct synic_ops {
	/* First byte of a page of writable RAM, NULL: it is none. wrote: after our last byte. */
	u8 *(*page)(void *owner, gpa_t gpa);
	void (*wrote)(void *owner, gpa_t gpa);
	/* Edge-triggered. */
	void (*interrupt)(void *owner, u8 vector);
	/* The vector needs no EOI from now on, or does again. */
	void (*auto_eoi)(void *owner, u8 vector, bool on);
	/* There is room in the queue again, and somebody was refused. */
	void (*room)(void *owner);
	/* Reference time: when a timer's message is put into its slot. */
	u64 (*now)(void *owner);
};

struct synic_waiting {
	u8 sint;
	struct hv_message message;
};

struct synic {
	const struct synic_ops *ops;
	void *owner;

	pthread_mutex_t lock;
	/* under the lock */
	u64 control, event_page, message_page;
	u64 event_last, message_last; /* where they were enabled last */
	u64 sint[HV_SINTS];
	struct synic_waiting queue[SYNIC_QUEUE]; /* oldest first */
	unsigned queued;
	bool refused;
	u8 timer_waits; /* a bit a timer */
	u8 timer_sint[HV_STIMERS];
	u64 timer_expiry[HV_STIMERS];

	/* counters, under the lock */
	u64 messages, events, interrupts, dropped_events;
};

void synic_init(struct synic *s, const struct synic_ops *ops, void *owner);
void synic_done(struct synic *s);
void synic_reset(struct synic *s);

/* HV_MSR_SCONTROL to HV_MSR_SINT0 + 15; false: #GP. The VP's thread. */
bool synic_msr_read(struct synic *s, u32 index, u64 *ret_value);
bool synic_msr_write(struct synic *s, u32 index, u64 value);

/*
 * Queue a message. sint < HV_SINTS, size <= HV_MESSAGE_PAYLOAD, type not 0. -EAGAIN: the queue is
 * full, and room is called when it no longer is. now: the VM runs; else it waits for synic_look.
 */
int synic_post(struct synic *s, unsigned sint, u32 type, u64 sender, const void *payload,
	       size_t size, bool now) MUST_CHECK;

/* flag < HV_EVENT_FLAGS. HV_SUCCESS, or HV_INVALID_SYNIC_STATE: dropped. */
enum hv_status synic_signal(struct synic *s, unsigned sint, u32 flag);
/* 64 flags at once, those of word * 64 on. */
void synic_signal_word(struct synic *s, unsigned sint, unsigned word, u64 flags);

/*
 * Where a source's flags are, and its vector, if whoever sets one would only have to interrupt.
 * False: the source, its page or the controller is off, or it does not interrupt.
 */
bool synic_events_at(struct synic *s, unsigned sint, gpa_t *ret_flags, u8 *ret_vector);

/* Interrupt of a source without a message or an event (test device). */
void synic_raise(struct synic *s, unsigned sint);

/* A timer expired in message mode. False: its last message is still waiting. */
bool synic_timer_message(struct synic *s, unsigned timer, unsigned sint, u64 expiry);
/* The timer was stopped: a message that still waits is withdrawn. */
void synic_timer_cancel(struct synic *s, unsigned timer);

/* Time to look again whether something can be delivered: the VP runs again. */
void synic_look(struct synic *s);

/*
 * Saved state: the registers as a part of the VP's block, the queue as two blocks of its own, each
 * of WALL_CHIP_STATE_SIZE bytes. -EINVAL and nothing changed. The VP stands. The registers go first:
 * restoring them empties the queue; then half 0, then half 1.
 */
struct synic_state {
	le64 control, event_page, message_page;
	le64 sint[HV_SINTS];
	u8 timer_waits;
	u8 timer_sint[HV_STIMERS];
	u8 reserved[3];
	le64 timer_expiry[HV_STIMERS];
} PACKED;
void synic_save(struct synic *s, struct synic_state *ret_state);
int synic_restore(struct synic *s, const struct synic_state *state) MUST_CHECK;
void synic_save_queue(struct synic *s, unsigned half, void *block);
int synic_restore_queue(struct synic *s, unsigned half, const void *block) MUST_CHECK;

void synic_inspect(struct synic *s, struct inspect *out);
