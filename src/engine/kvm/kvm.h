/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM engine's own structures. Private to engine/kvm.
 *
 *	vm.c	the VM: capabilities, memory slots, MSR filter, dirty log
 *	events.c	interrupts into it and eventfds at it
 *	vp.c	a VP: KVM_RUN and what it comes back with
 *	state.c	struct vp_state <-> KVM's registers
 *
 * The local APICs are KVM's (split irqchip); IOAPIC, 8259 and 8254 are the partition's, shared
 * with the software engine. Everything of Hyper-V's interface but the APIC's registers is the
 * partition's too: the filter sends the synthetic MSRs to bus->msr_*, whatever the host kernel could do
 * itself.
 *
 * Specification: Documentation/virt/kvm/api.rst of Linux 5.10 and later.
 */
#pragma once

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "abi/hv_tlfs.h"
#include "hv/engine.h"

/* The signal that takes a thread out of KVM_RUN; handled by vp.c, blocked nowhere. */
#define KVM_KICK_SIGNAL (SIGRTMIN + 3)

#define KVM_SLOT_MAX 256
#define KVM_PINS 24

/* A struct kvm_msrs of one entry. (One that ends in an array may not be followed by anything.) */
struct kvm_one_msr {
	u32 count, pad;
	struct kvm_msr_entry entry;
};
_Static_assert(offsetof(struct kvm_one_msr, entry) == offsetof(struct kvm_msrs, entries),
	       "as the kernel has it");

struct engine_vm {
	int fd;
	size_t run_size; /* of a VP's shared page(s) */
	struct engine_vm_config config;
	struct engine_slot slot[KVM_SLOT_MAX]; /* as the kernel has them now */
	unsigned slot_count;
	struct kvm_cpuid2 *supported; /* what this host can show a guest */
	struct engine_vp **vp;	      /* [config.vp_count] */
	bool has_xsave2;
	bool has_synic; /* knows vectors that end by themselves */
	bool has_vapic; /* answers HV_MSR_EOI, _ICR, _TPR, and knows the assist page */
	bool has_xcrs;	/* a host without XSAVE has no XCR0 either */

	/* events.c: route_lock */
	pthread_mutex_t route_lock;
	struct engine_route pin[KVM_PINS];
	struct engine_route msi_event[ENGINE_MSI_EVENTS];
};

struct engine_vp {
	struct engine_vm *vm;
	vp_index_t index;
	int fd;
	struct kvm_run *run;
	const struct x86_bus_ops *bus;
	void *bus_vp;

	pid_t process, thread; /* that runs it */
	u8 auto_eoi[HV_SINTS]; /* vectors that end by themselves; 0: free */
	bool has_run;	       /* KVM takes no other CPUID table any more */
	_Atomic bool in_run; /* the thread may be inside KVM_RUN: a kick needs the signal */
	_Atomic bool kicked;
	_Atomic bool extint; /* vp_interrupt: the 8259 has something */
	_Atomic bool nmi;

	/* as kvm_vp_call_get found them */
	struct kvm_regs call_regs;

	/* counters; own thread writes */
	u64 exits, interrupts;
};

int kvm_state_get(struct engine_vp *vp, struct vp_state *ret_state) MUST_CHECK;
int kvm_state_set(struct engine_vp *vp, const struct vp_state *state, struct err *err)
	MUST_CHECK;

void kvm_vp_call_get(struct engine_vp *vp, struct engine_call *ret_call);
void kvm_vp_call_set(struct engine_vp *vp, const struct engine_call *call);

/* A capability of the VM or of a VP. */
int kvm_enable(int fd, u32 capability, u64 argument) MUST_CHECK;
int kvm_vp_auto_eoi(struct engine_vp *vp, u8 vector, bool on) MUST_CHECK;

int kvm_cpuid_set(struct engine_vp *vp) MUST_CHECK;

/* events.c */
int kvm_deliver(struct engine_vm *vm, u64 address, u32 data) MUST_CHECK;
int kvm_set_routes(struct engine_vm *vm, const struct engine_route *routes,
		   unsigned count) MUST_CHECK;
int kvm_doorbell_add(struct engine_vm *vm, const struct engine_doorbell *doorbell,
		     int event) MUST_CHECK;
void kvm_doorbell_remove(struct engine_vm *vm, const struct engine_doorbell *doorbell,
			 int event);
int kvm_msi_event_add(struct engine_vm *vm, unsigned number,
		      const struct engine_route *route, int event) MUST_CHECK;
int kvm_msi_event_route(struct engine_vm *vm, unsigned number,
			const struct engine_route *route);
void kvm_msi_event_remove(struct engine_vm *vm, unsigned number, int event);

/* vp.c */
int kvm_vp_new(struct engine_vm *vm, vp_index_t index, const struct x86_bus_ops *bus,
	       void *bus_vp, struct engine_vp **ret_vp, struct err *err) MUST_CHECK;
void kvm_vp_free(struct engine_vp *vp);
int kvm_vp_thread_start(struct engine_vp *vp) MUST_CHECK;
enum engine_exit kvm_vp_run(struct engine_vp *vp);
void kvm_vp_kick(struct engine_vp *vp);
void kvm_vp_interrupt(struct engine_vp *vp, bool pending);
void kvm_vp_nmi(struct engine_vp *vp);
u64 kvm_vp_tsc(struct engine_vp *vp);
s64 kvm_vp_tsc_offset(struct engine_vp *vp);
void kvm_vp_set_tsc_offset(struct engine_vp *vp, s64 offset);
bool kvm_vp_can_wake(struct engine_vp *vp);
void kvm_vp_count(struct engine_vp *vp, struct hv_stats *io_stats);
