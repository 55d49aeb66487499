/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine is: the thing that executes guest instructions. Two kinds implement it,
 * engine/soft (ours: interpreter, later translator) and engine/kvm. The partition knows engines by
 * this header only.
 *
 * Life cycle
 *	1. vm_new, then vp_new for each VP		loop thread
 *	2. map_changed after the memory map was filled	loop thread, all VPs stand
 *	3. vp_set_state					loop thread, VP stands
 *	4. vp_run again and again			that VP's own thread
 *	5. vp_kick, vp_interrupt, vp_nmi, vm_drop_*	any thread, while others run
 *	6. vp_free each, vm_free			loop thread, after the VP threads have ended
 *
 * Invariants
 *   - vp_run returns only at an instruction boundary (a pending worker access is completed first).
 *   - After vp_kick, vp_run returns ENGINE_KICKED soon, also when the kick came before the call:
 *     a kick is never lost and never blocks the kicker.
 *   - A VP that is not inside vp_run holds nothing: state can be read, written, memory remapped.
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/types.h"
#include "wall/vp_state.h"
#include "wall/wall.h"
#include "x86/bus.h"

struct engine_vm;
struct engine_vp;

enum engine_exit {
	ENGINE_KICKED, /* somebody wants the thread; nothing wrong */
	ENGINE_HALTED, /* HLT with nothing to do: wait for vp_interrupt/vp_nmi/kick, then run */
	ENGINE_TRIPLE_FAULT, /* shut down; the state says where */
	ENGINE_FAILED,	     /* our own failure; already logged */
};

struct engine_vm_config {
	u32 vp_count;
	bool portable;	       /* the CPU profile that every engine can give */
	u64 ram_size;	       /* bytes; also the size of both maps, in pages */
	_Atomic u8 *code_map;  /* a byte a RAM page; the engine writes it */
	_Atomic u8 *dirty_map; /* a byte a RAM page */
	int kvm_fd;	       /* opened /dev/kvm, or -1; stays the caller's */
	u64 code_cache; /* bytes for translated code at most, all VPs'; 0 = not told */
	enum hv_engine kind;
};

/* One slot of the guest's physical map, as the partition keeps it. */
struct engine_slot {
	gpa_t gpa;
	u64 size; /* 0 = empty slot */
	u8 *host; /* the slot's first byte in our address space */
	bool writable;
	bool log;
	bool is_ram; /* has bytes in the maps, from ram_page on */
	u64 ram_page;
};

#define ENGINE_LAPIC_PAGE 1024

/* What a hypercall sees of a processor. */
struct engine_call {
	u64 gpr[GPR_COUNT];
	bool wide;	 /* 64-bit code */
	bool privileged; /* protected mode, privilege level 0 */
};

/* Translations that have to go: of these pages, or all, in every address space. */
#define ENGINE_FLUSH_PAGES 16
struct engine_flush {
	const u64 *vps; /* a bit a VP */
	bool all;
	unsigned count;
	gva_t page[ENGINE_FLUSH_PAGES];
};

/* An IOAPIC pin's entry as the message that it sends; valid = not masked. */
struct engine_route {
	bool valid;
	u64 address;
	u32 data;
};

/* A write of the guest that raises an eventfd, and does nothing else. */
struct engine_doorbell {
	bool mmio; /* else a port */
	u32 size;  /* bytes of the access, 0 = any */
	u64 address;
	bool any_value;
	u64 match; /* the value that rings, else */
};

/* Eventfds that send a message-signalled interrupt, by number: the worker's devices', then the VPs'. */
#define ENGINE_VP_EVENT WALL_MAX_MSI_EVENTS
#define ENGINE_MSI_EVENTS (WALL_MAX_MSI_EVENTS + WALL_MAX_VPS)

struct engine_ops {
	const char *name;

	/*
	 * The local APICs are the engine's own (KVM's live in the host kernel): the partition's take no
	 * part. The engine then handles INIT, startup, HLT and the timers itself; vp_interrupt is the
	 * 8259's output; and the functions under "own_lapic" are there. Else they are NULL.
	 */
	bool own_lapic;

	int (*vm_new)(const struct engine_vm_config *config, struct engine_vm **ret_vm,
		      struct err *err);
	void (*vm_free)(struct engine_vm *vm);

	/*
	 * The memory map changed (slots is the whole of it, count entries, precedence already
	 * resolved: no overlaps): forget what depended on the old one.
	 */
	int (*map_changed)(struct engine_vm *vm, const struct engine_slot *slots,
			   unsigned count, struct err *err);

	/* bus and bus_vp outlive the VP. */
	int (*vp_new)(struct engine_vm *vm, vp_index_t index,
		      const struct x86_bus_ops *bus, void *bus_vp,
		      struct engine_vp **ret_vp, struct err *err);
	void (*vp_free)(struct engine_vp *vp);

	/* On the VP's thread, before the jail closes: signal set-up, per-thread buffers. */
	int (*vp_thread_start)(struct engine_vp *vp);
	enum engine_exit (*vp_run)(struct engine_vp *vp);

	/* Any thread, async-signal-safe. */
	void (*vp_kick)(struct engine_vp *vp);

	/*
	 * Any thread: the interrupt controller has something (or no longer has). The engine calls
	 * bus->interrupt_take when the guest can accept it. Spurious calls are harmless. Does not
	 * wake a halted VP: the caller (hv/vp.c) does.
	 */
	void (*vp_interrupt)(struct engine_vp *vp, bool pending);
	void (*vp_nmi)(struct engine_vp *vp);

	/* Could this halted VP accept what is pending (IF, shadow, NMI blocking)? VP's thread. */
	bool (*vp_can_wake)(struct engine_vp *vp);

	/* VP stands (not inside vp_run); any one thread. */
	int (*vp_get_state)(struct engine_vp *vp, struct vp_state *ret_state);
	int (*vp_set_state)(struct engine_vp *vp, const struct vp_state *state,
			    struct err *err);

	/*
	 * The worker changed RAM pages that held code: when this returns, no VP executes an older
	 * decoding of them. Called on the loop thread while VPs run; VPs outside vp_run or inside
	 * a bus call count as done (they look before they go on).
	 */
	void (*drop_code)(struct engine_vm *vm, u64 first_ram_page, u64 count);

	/* Somebody took marks out of the dirty map: cached write rights go. Returns as drop_code. */
	void (*drop_write_rights)(struct engine_vm *vm);

	/*
	 * A hypercall's registers, within a call of this VP's bus (an instruction that is none of
	 * memory's), on its thread. Set takes the general registers alone.
	 */
	void (*vp_call_get)(struct engine_vp *vp, struct engine_call *ret_call);
	void (*vp_call_set)(struct engine_vp *vp, const struct engine_call *call);

	/* XMM0 to XMM5 of the same moment; NULL: the engine does not say. */
	void (*vp_call_xmm)(struct engine_vp *vp, u8 ret_xmm[6][16]);

	/*
	 * When this returns, none of the VPs uses an older translation. Within a call of a VP's bus.
	 * NULL: the engine has no such power.
	 */
	void (*flush_tlb)(struct engine_vm *vm, const struct engine_flush *flush);

	/* The guest's time stamp counter now. VP's thread, or any one thread while the VP stands. */
	u64 (*vp_tsc)(struct engine_vp *vp);
	/*
	 * What the guest's counter is ahead of the host's. Setting it leaves timers due at the same value
	 * of the guest's counter. VP stands, any one thread.
	 */
	s64 (*vp_tsc_offset)(struct engine_vp *vp);
	void (*vp_set_tsc_offset)(struct engine_vp *vp, s64 offset);

	/* own_lapic: a message-signalled interrupt, an IOAPIC's too. Any thread. 0 or negative errno. */
	int (*deliver)(struct engine_vm *vm, u64 address, u32 data);
	/* own_lapic: the pins' entries changed. The ends of their level-triggered vectors come back by
	 * bus->eoi. Any thread, under the chipset lock. */
	int (*set_routes)(struct engine_vm *vm, const struct engine_route *routes,
			  unsigned count);
	/* own_lapic: the APIC's register page, ENGINE_LAPIC_PAGE bytes. VP stands. */
	int (*lapic_get)(struct engine_vp *vp, u8 *ret_page);
	int (*lapic_set)(struct engine_vp *vp, const u8 *page);
	/*
	 * own_lapic: does it answer HV_MSR_EOI, _ICR and _TPR itself, and let a guest end an interrupt in
	 * its VP assist page, without an exit? Never with the portable profile. Then vp_assist_page tells it of each change of
	 * HV_MSR_VP_ASSIST_PAGE, whose value nobody has checked. VP's thread, or any while the VP stands.
	 */
	bool (*apic_msrs)(const struct engine_vm *vm);
	void (*vp_assist_page)(struct engine_vp *vp, u64 value);
	/*
	 * own_lapic: this vector ends by itself from now on, or no longer does; HV_SINTS of them at most. VP's
	 * thread, or any while the VP stands. -EOPNOTSUPP: it never does.
	 */
	int (*vp_auto_eoi)(struct engine_vp *vp, u8 vector, bool on);

	/*
	 * What the engine can do without a VP's coming back, or without a thread of ours: NULL where
	 * it can nothing of the kind. Loop thread, VPs outside; event is an eventfd (the engine
	 * refuses everything else) that stays open until it is removed. 0 or negative errno: then the
	 * write comes to the bus as every other does, and the event is nobody's.
	 */
	int (*doorbell_add)(struct engine_vm *vm, const struct engine_doorbell *doorbell,
			    int event);
	void (*doorbell_remove)(struct engine_vm *vm,
				const struct engine_doorbell *doorbell, int event);
	/* number < ENGINE_MSI_EVENTS, not in use; route as deliver's message, or not valid: nothing. */
	int (*msi_event_add)(struct engine_vm *vm, unsigned number,
			     const struct engine_route *route, int event);
	void (*msi_event_remove)(struct engine_vm *vm, unsigned number, int event);
	/* Another message from now on. Any thread. */
	int (*msi_event_route)(struct engine_vm *vm, unsigned number,
			       const struct engine_route *route);

	/* Adds what this VP counted; any thread, approximate while it runs. */
	void (*vp_count)(struct engine_vp *vp, struct hv_stats *io_stats);
};

extern const struct engine_ops engine_soft_ops;
extern const struct engine_ops engine_kvm_ops;
