/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest that knows Hyper-V finds (TLFS): CPUID leaves, and the synthetic MSRs, of which those
 * of the partition live here and those of a VP in synic.h, stimer.h and struct vp. Hypercalls are
 * hypercall.h's.
 *
 *	profile		APIC MSRs	stimers, flush and IPI calls, fast calls by XMM
 *	soft		offered		offered
 *	KVM		recommended	not: its LAPICs are the kernel's, which does timers and IPIs
 *					faster, and nothing outside of it flushes another
 *					processor's translations
 *	portable	not		not
 *
 * All of them recommend that SINTs do not end by themselves (AutoEOI), and let them do so (KVM: where
 * the host's kernel has a SynIC of its own).
 *
 * KVM answers the APIC MSRs itself where the host's kernel can. It ends most interrupts in the VP
 * assist page then, where writing the APIC would be an exit each time. So they are not recommended
 * where it would be none: where the host's processor serves the APICs (APICv, AVIC).
 *
 * Pages. The specification lays the hypercall page, the page of the time and those of the SynIC over
 * what lies at their addresses. Here they are pages of RAM, written in place, as KVM has them. What a
 * guest can see of that: what lay there before is gone and does not come back when a page is
 * switched off or moved; the guest can write all of them, and spoils its own calls or its own time,
 * since hv reads neither back; a message that was not taken stays behind in the old page. As with
 * overlays, pages of the SynIC begin as zeros wherever they are put, and keep what is in them while they are
 * off. A saved guest's pages are in its RAM.
 *
 * A crash that the guest reports (HV_MSR_CRASH_CTL) does not end the VM at once: the guest
 * writes its dump, closes its devices and perhaps resets itself. It ends when the guest does, or
 * GUEST_CRASH_GRACE_NS later.
 *
 * Reference time is by the counter of VP 0 as it was when the VM began to run. A guest that sets a
 * counter elsewhere makes the page of the time void (sequence 0) until the VM runs anew: it reads the
 * register then, which takes what was moved into account. On KVM nobody tells us.
 *
 * Threads: MSRs on the VP's own; cpuid any; the rest on the loop's while all VPs stand. `lock` is
 * for the partition's registers; under it guest RAM is written and code dropped, nothing else is locked.
 */
#pragma once

#include <pthread.h>

#include "abi/hv_tlfs.h"
#include "hv/chips/chip.h"
#include "hv/reference_time.h"

struct partition;
struct vp;

#define GUEST_CRASH_GRACE_NS 5000000000ull
#define HV_CRASH_PARAMETERS 5

struct guest_interface {
	pthread_mutex_t lock;
	_Atomic u64 os_id;     /* written under the lock */
	_Atomic u64 hypercall; /* written under the lock */
	u64 reference_tsc;
	u32 sequence;
	u64 crash[HV_CRASH_PARAMETERS];
	char crash_words[160]; /* of the log that came with it */
	bool crash_logged;
	_Atomic bool crashed;
	bool unsynced; /* a counter was moved: the page would lie */
	/* Changed while all VPs stand. */
	struct reference_time time;
	s64 tsc_offset; /* of the counters that the time is by */
};

void guest_interface_init(struct partition *p);
void guest_interface_done(struct partition *p);
void guest_interface_reset(struct partition *p);

/* Reference time goes, or stands: run before the clock goes, synchronize after it. */
void guest_interface_run(struct partition *p);
void guest_interface_synchronize(struct partition *p);
void guest_interface_stop(struct partition *p);
/*
 * A guest that began elsewhere keeps the frequency that it was told: registers, CPUID and reference
 * time are by it. VPs have not run yet. 0: nothing. -ERANGE: this host's counter runs at another
 * rate, which would need scaling.
 */
int guest_interface_set_tsc_hz(struct partition *p, u64 hz) MUST_CHECK;
/* Reference time in units of 100 ns; the VP's thread. */
u64 guest_interface_time(struct vp *vp);

/* The guest set this VP's counter; its thread. */
void guest_interface_tsc_moved(struct vp *vp);

/* Leaves 0x40000000-0x400000ff. */
void guest_interface_cpuid(const struct partition *p, u32 leaf, u32 ret_regs[4]);

/* False: #GP. */
bool guest_interface_msr_read(struct vp *vp, u32 index, u64 *ret_value);
bool guest_interface_msr_write(struct vp *vp, u32 index, u64 value);

/* What the guest said of its crash, in one line. Any thread. */
void guest_interface_crash_words(struct partition *p, char *ret_text, size_t size);

/* May a fast call have parameters in XMM registers? */
bool guest_interface_xmm(const struct partition *p);

/* Has the guest made its hypercall page? */
bool guest_interface_calls(struct partition *p);

/* Block of WALL_CHIP_STATE_SIZE bytes. -EINVAL and nothing changed. */
void guest_interface_save(struct partition *p, void *block);
int guest_interface_restore(struct partition *p, const void *block) MUST_CHECK;
void guest_interface_inspect(struct partition *p, struct inspect *out);
