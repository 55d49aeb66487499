/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall between tabique-hv (the hypervisor: processors, memory map, timing-critical chips)
 * and tabique-worker (the parent's side: everything that parses). This header is the whole
 * contract: what the two share, who writes it, in which order. It has layouts and numbers
 * only; hv_end.h and worker_end.h are its two ends, fake.h stands in for either in tests.
 *
 * hv takes everything that comes from the worker for hostile: fixed size, copied once,
 * range-checked. The worker trusts hv.
 *
 *	shared by both (descriptors made before either starts, passed by SCM_RIGHTS or inherited)
 *	  RAM, VRAM, ROM     guest memory regions (memfd, sealed GROW|SHRINK|SEAL, mode 0600)
 *	  dirty map          a byte a guest page of RAM; both sides write 1, the copier takes 0
 *	  code map           a byte a guest page of RAM; hv writes, the worker reads
 *	  control            struct wall_control
 *	sockets and eventfds
 *	  verbs              SOCK_SEQPACKET: the worker asks, hv answers, one at a time
 *	  access_event       hv -> worker: an access slot or a posted write waits
 *	  hv_event           worker -> hv's loop: a ring has something
 *
 * Order of bytes: the host's. Both ends are built from one tree and check WALL_VERSION.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/types.h"
#include "wall/vp_state.h"

#define WALL_VERSION 1
#define WALL_MAX_VPS 240
#define WALL_MAX_SLOTS 64
#define WALL_MAX_IO_RANGES 128
#define WALL_MAX_DOORBELLS 512
#define WALL_MAX_MSI_EVENTS 64
#define WALL_PAGE_SHIFT 12
#define WALL_PAGE_SIZE 4096u
/* A guest-physical address that anything of ours answers is below this. */
#define WALL_GPA_BITS 46

enum wall_region { WALL_REGION_RAM, WALL_REGION_VRAM, WALL_REGION_ROM, WALL_REGION_COUNT };

/* ---- accesses: one slot a VP -------------------------------------------------------------
 *
 * A VP that touches a port or an address of the worker fills its slot, sets state to
 * WALL_ACCESS_ASKED (release), writes access_event and sleeps on state as a futex. The worker
 * answers in place, sets WALL_ACCESS_DONE (release) and wakes the futex. Lines that the access
 * moved are in the lines ring before DONE is set; the VP drains that ring before it goes on.
 * Whoever takes state away from ASKED owns the slot: hv takes it back (WALL_ACCESS_IDLE) only
 * when the VM ends.
 */
enum wall_access_kind {
	WALL_PIO_READ,
	WALL_PIO_WRITE,
	WALL_MMIO_READ,
	WALL_MMIO_WRITE,
	WALL_POST_MESSAGE, /* a hypercall: data is a struct wall_message, size 1, count all of it */
	WALL_EVENTS_BACK,  /* nothing but the answer: the worker is at no event flag that was lent */
};
enum wall_access_state { WALL_ACCESS_IDLE, WALL_ACCESS_ASKED, WALL_ACCESS_DONE };

#define WALL_ACCESS_DATA 4096u

struct wall_access {
	/* hv writes before ASKED; the worker reads it once */
	u32 kind;    /* enum wall_access_kind */
	u32 size;    /* bytes of one element: 1, 2, 4, 8 */
	u64 address; /* port or guest-physical address; ports 0xcfc-0xcff: the 0xcf8 latch << 32 too */
	u32 count;   /* elements; over 1 for string I/O: all at one address, <= WALL_ACCESS_DATA/size */
	_Atomic u32 state; /* enum wall_access_state: the futex word */
	/* element i is at data[i * size]: written by hv for writes, by the worker for reads */
	u8 data[WALL_ACCESS_DATA];
	u8 pad[4096 - 24];
};
_Static_assert(sizeof(struct wall_access) == 8192, "two pages: no two VPs share a line");

/*
 * HvCallPostMessage of a VP, as an access: hv fills all but status, the worker answers with the
 * status of the hypercall (0x12 unknown connection, 0x13 no buffers: try again, ...).
 */
struct wall_message {
	u32 connection;
	u32 type;
	u32 size; /* <= 240 */
	u32 status;
	u8 payload[240];
};
_Static_assert(sizeof(struct wall_message) == 256, "message of a hypercall");

/* ---- rings from the worker: single producer, single consumer ------------------------------
 *
 * The producer fills entry[head % count], then stores head (release) and, when the consumer may
 * sleep, writes its eventfd. The consumer keeps its own private tail and publishes a copy in
 * tail; a head that is more than the count ahead of it is a lie and ends the VM.
 */
enum wall_line_kind {
	WALL_LINE_LEVEL, /* line number in a, 0 or 1 in b: an ISA/IOAPIC pin, 0-23 */
	WALL_LINE_MSI,	 /* address in a, data in b */
};
struct wall_line {
	u32 kind;
	u32 b;
	u64 a;
};
#define WALL_LINES 512

struct wall_lines {
	_Atomic u64 head; /* the worker writes */
	u8 pad0[56];
	_Atomic u64 tail; /* hv writes */
	u8 pad1[56];
	struct wall_line entry[WALL_LINES];
};

/*
 * Pages of guest RAM that the worker wrote and whose code flag it found set. ticket n is the
 * n-th entry ever queued, counted from 1 (= head after the push); hv stores flush_done (release)
 * once no VP executes an older decoding of any page up to that ticket. Until then the worker
 * publishes nothing that would tell the guest that the bytes are there.
 */
struct wall_flush {
	u64 first_page; /* page number in RAM region order: gpa map is hv's, so this is an offset */
	u64 count;
};
#define WALL_FLUSHES 512

struct wall_flushes {
	_Atomic u64 head; /* the worker writes: tickets given out */
	u8 pad0[56];
	_Atomic u64 done; /* hv writes: flush_done */
	u8 pad1[56];
	_Atomic u32 waiting; /* the worker: 1 = wake me on `done_futex` */
	_Atomic u32 done_futex; /* hv: low half of done, a futex word */
	u8 pad2[56];
	struct wall_flush entry[WALL_FLUSHES];
};

/* ---- posted writes: hv -> worker -----------------------------------------------------------
 * Writes to a posted range do not wait. All VPs produce (under hv's lock), the worker consumes;
 * any read or non-posted access is asked only after the ring was seen empty by the worker: the
 * worker drains it before it answers an access.
 */
struct wall_posted_write {
	u32 kind; /* WALL_PIO_WRITE or WALL_MMIO_WRITE */
	u32 size;
	u64 address;
	u64 value;
};
#define WALL_POSTED 1024

struct wall_posted {
	_Atomic u64 head; /* hv writes */
	u8 pad0[56];
	_Atomic u64 tail; /* the worker writes; hv believes it only as "room", never as an index */
	u8 pad1[56];
	struct wall_posted_write entry[WALL_POSTED];
};

/* ---- synthetic interrupts: worker -> VP ----------------------------------------------------
 * The worker ORs the flag into pending; if it was clear, it ORs the VP into signalled. Then, where
 * parked is 1, it makes it 0 (locked) and wakes who sleeps on it: the VP itself; else it rings hv_event.
 * hv takes signalled first, then pending (exchange with 0), then moves the flags into the SIEFP page.
 * A VP sets parked, then looks at signalled, then sleeps while parked is 1: one of the two sees the
 * other. Where hv's kernel cannot wait for two words at once parked stays 0. A lying worker causes
 * spurious events and wakes; hv's own signals wait on a word that it does not share.
 *
 * Lent flags: where the worker asked (WALL_VERB_LEND_EVENTS) and lent is not WALL_NOT_LENT, it is where
 * the guest has the VP's flags, and the worker may set one there itself (locked) and, if it was clear,
 * ring the eventfd that it gave. It does so on its loop's thread alone, between two answers: hv
 * takes lent away, then asks by WALL_EVENTS_BACK, and then nobody writes at the old place any more.
 * hv reads back neither lent nor the flags.
 */
#define WALL_NOT_LENT 0 /* a page begins with the flags of another source */
#define WALL_SINTS 16
struct wall_synic {
	_Atomic u64 pending[32]; /* event flags 0-2047 of the VP's VMBus SINT; the worker ORs */
	_Atomic u32 parked;	 /* hv: 1 = the VP sleeps; futex word */
	u32 reserved;
	_Atomic u64 lent; /* hv: guest-physical address of flag 0, or WALL_NOT_LENT */
	u8 pad[48];
};

struct wall_control {
	u32 version; /* WALL_VERSION, written by whoever made the memory */
	u32 vp_count;
	u64 ram_size;
	_Atomic u64 signalled[4]; /* a bit a VP: look into its synic.pending */
	u8 pad[4096 - 48];
	struct wall_lines lines;
	struct wall_flushes flushes;
	struct wall_posted posted;
	struct wall_synic synic[WALL_MAX_VPS];
	struct wall_access access[] __attribute__((aligned(4096))); /* vp_count of them */
};

static inline u64 wall_control_size(u32 vp_count)
{
	return sizeof(struct wall_control) + vp_count * (u64)sizeof(struct wall_access);
}

/* ---- verbs --------------------------------------------------------------------------------
 *
 * One request, one reply, in turn; the reply repeats verb and seq and carries a result (0 or a
 * negative errno). A request whose size is not exactly sizeof(struct wall_request) (or, for the
 * verbs that carry a block, that plus the block's size), or that brings descriptors it should not,
 * is answered -EBADMSG and ends the VM: the worker that we built sends no such thing.
 * hv serves them on its loop thread.
 */
enum wall_verb {
	WALL_VERB_HELLO = 1,	 /* u.hello; reply u.hello: checks versions */
	WALL_VERB_MAP,		 /* u.map: the only way to change the guest's physical map */
	WALL_VERB_DIRTY_LOG,	 /* u.dirty_log: switch logging of RAM writes on or off */
	WALL_VERB_DIRTY_SYNC,	 /* the worker took bits out of the dirty map: drop cached write rights */
	WALL_VERB_SET_VP,	 /* u.vp + struct vp_state */
	WALL_VERB_GET_VP,	 /* u.vp; reply + struct vp_state */
	WALL_VERB_SET_CHIP,	 /* u.chip + WALL_CHIP_STATE_SIZE bytes */
	WALL_VERB_GET_CHIP,	 /* u.chip; reply + WALL_CHIP_STATE_SIZE bytes */
	WALL_VERB_SET_CLOCK,	 /* u.clock. tsc_hz: what the guest was told when it began, 0 = leave
				  * ours; -ERANGE: this host's counter is another */
	WALL_VERB_GET_CLOCK,	 /* reply u.clock */
	WALL_VERB_FWCFG,	 /* u.fwcfg: one item of the fw_cfg directory, bytes in region ROM */
	WALL_VERB_IO_RANGE,	 /* u.io_range: ports or addresses that the worker answers */
	WALL_VERB_PCI_PRESENT,	 /* u.pci: 256-bit map of bus 0 device/function that exist */
	WALL_VERB_DOORBELL,	 /* u.doorbell + 1 eventfd (or none to remove) */
	WALL_VERB_POST,		 /* u.post: a SynIC message; -EAGAIN: its queue is full, and
				  * access_event is rung when it no longer is */
	WALL_VERB_RUN,		 /* start or resume the VPs */
	WALL_VERB_STOP,		 /* stop them; answered when the last one stands or waits for the
				  * worker. reply u.stop: how many have an instruction to finish; each
				  * that has done so rings access_event. None: ask until it is so */
	WALL_VERB_RESET,	 /* chips and VPs to their power-on state; needs STOP before */
	WALL_VERB_POWER_BUTTON,	 /* fixed power button event of the PM block */
	WALL_VERB_NMI,		 /* u.vp */
	WALL_VERB_MSI_EVENT,	 /* u.msi_event + 1 eventfd (or none to remove); -EOPNOTSUPP: use the ring */
	WALL_VERB_LEND_EVENTS,	 /* u.vp + 1 eventfd: see struct wall_synic; -EOPNOTSUPP: pending alone */
	WALL_VERB_COUNT,
};

enum wall_map_kind {
	WALL_MAP_NONE, /* take the slot away */
	WALL_MAP_RW,
	WALL_MAP_RO,  /* reads and fetches; writes are dropped (shadowed ROM) */
	WALL_MAP_ROM, /* as RO, over RAM: named precedence */
};

/* hv's own chips: which state block. */
enum wall_chip {
	WALL_CHIP_LAPIC, /* index = VP */
	WALL_CHIP_IOAPIC,
	WALL_CHIP_PIC,
	WALL_CHIP_PIT,
	WALL_CHIP_RTC,
	WALL_CHIP_UART, /* index 0, 1 */
	WALL_CHIP_PM,
	WALL_CHIP_I8042,
	WALL_CHIP_FW_CFG, /* selector and offset */
	WALL_CHIP_PCI,	  /* the address latch */
	WALL_CHIP_GUEST_INTERFACE, /* synthetic MSRs of the partition */
	WALL_CHIP_SYNIC,	   /* index = VP: SynIC registers, timers; before its queue */
	WALL_CHIP_SYNIC_QUEUE,	   /* index = 2 * VP, 2 * VP + 1: messages that wait */
	WALL_CHIP_COUNT,
};
#define WALL_CHIP_STATE_SIZE 2048

struct wall_request {
	u32 verb; /* enum wall_verb */
	u32 seq;
	union {
		struct { u32 version; u32 vp_count; u64 ram_size; } hello;
		struct {
			u32 slot;   /* < WALL_MAX_SLOTS */
			u32 kind;   /* enum wall_map_kind */
			u64 gpa;    /* page-aligned */
			u64 size;   /* page-aligned, > 0 unless NONE */
			u32 region; /* enum wall_region */
			u32 log;    /* 1: writes set the dirty map (RAM) */
			u64 offset; /* page-aligned, inside the region */
		} map;
		struct { u32 on; } dirty_log;
		struct { u32 index; } vp;
		struct { u32 chip; u32 index; } chip;
		struct { s64 realtime_offset_ns; u64 reference_ns; u64 tsc_hz; } clock;
		struct { u16 key; u16 reserved; u32 size; u64 offset; } fwcfg;
		struct { u32 mmio; u32 posted; u64 base; u64 size; u32 remove; u32 reserved; } io_range;
		struct { u64 present[4]; } pci;
		struct {
			u32 kind;	/* enum wall_doorbell_kind */
			u32 size;	/* PIO/MMIO: access size, 0 = any */
			u64 address;	/* port, gpa or connection id */
			u64 match;	/* value that rings it */
			u32 any_value;	/* 1: every value does */
			u32 remove;
		} doorbell;
		struct { u32 vp; u32 sint; u32 type; u32 size; u8 payload[240]; } post;
		struct { u32 number; u32 remove; u64 address; u32 data; u32 reserved; } msi_event;
		u8 bytes[272];
	} u;
};

enum wall_doorbell_kind { WALL_DOORBELL_PIO, WALL_DOORBELL_MMIO, WALL_DOORBELL_CONNECTION };

struct wall_reply {
	u32 verb;
	u32 seq;
	s32 result; /* 0 or negative errno */
	u32 reserved;
	union {
		struct { u32 version; u32 vp_count; u64 ram_size; } hello;
		struct { s64 realtime_offset_ns; u64 reference_ns; u64 tsc_hz; } clock;
		struct { u32 unfinished; } stop;
		u8 bytes[112];
	} u;
};

/* ---- the VM's owner (launcher or `tabique run`) to hv and to the worker ---------------------
 * A SOCK_SEQPACKET pair with each, struct owner_message both ways. Both processes trust their
 * owner. The configuration travels as the first message of each. After OWNER_ENDED hv's VPs
 * stand, and its loop goes on answering OWNER_STATS_ASK and OWNER_INSPECT_ASK until the owner
 * closes the socket.
 */
enum owner_kind {
	OWNER_HV_CONFIG = 1,	/* owner -> hv: u.hv + descriptors in the order of enum hv_fd */
	OWNER_WORKER_CONFIG,	/* owner -> worker: struct worker_config, see worker_config.h */
	OWNER_READY,		/* hv/worker -> owner: jailed, u.ready says how */
	OWNER_LOADED,		/* worker -> owner: the guest is loaded and runs */
	OWNER_FAILED,		/* either -> owner: u.failed, then the process ends */
	OWNER_ENDED,		/* hv -> owner: u.ended: the guest ended itself */
	OWNER_FIRST_ENTRY,	/* hv -> owner: the first guest instruction is about to run */
	OWNER_POWER_BUTTON,	/* owner -> hv */
	OWNER_RESET,		/* owner -> worker: reset the machine and load it again */
	OWNER_NMI,		/* owner -> hv: to VP 0 */
	OWNER_STATS_ASK,	/* owner -> hv */
	OWNER_STATS,		/* hv -> owner: u.stats */
	OWNER_INSPECT_ASK,	/* owner -> hv or worker: u.path */
	OWNER_INSPECT,		/* answer: text in pieces, the last one empty */
	OWNER_GUEST_RESET,	/* hv -> owner and stops: the guest asked for a reset */
	OWNER_DISK,		/* owner -> worker: struct worker_disk_order, see worker_config.h */
	OWNER_DISK_DONE,	/* worker -> owner: u.disk_done */
	OWNER_GUEST,		/* owner -> worker: struct worker_guest_order, see worker_config.h */
	OWNER_GUEST_PAIR,	/* worker -> owner: u.guest_pair, any number before the answer */
	OWNER_GUEST_DONE,	/* worker -> owner: u.guest_done: the answer */
	OWNER_DISK_EJECTED,	/* worker -> owner: u.ejected: by the guest, and its image is closed */
	OWNER_HOST_MEMORY,	/* owner -> worker: u.host_free: bytes that the host has left */
	OWNER_MEMORY,		/* worker -> owner: u.memory, once a second at most: it is another */
};

enum hv_fd { HV_FD_RAM, HV_FD_VRAM, HV_FD_ROM, HV_FD_DIRTY, HV_FD_CODE, HV_FD_CONTROL, HV_FD_VERBS,
	     HV_FD_ACCESS_EVENT, HV_FD_HV_EVENT, HV_FD_SERIAL0, HV_FD_SERIAL1, HV_FD_KVM,
	     HV_FD_COUNT };

enum hv_engine { HV_ENGINE_SOFT, HV_ENGINE_INTERP, HV_ENGINE_KVM, HV_ENGINE_LOCKSTEP };

struct hv_config {
	u32 version; /* WALL_VERSION */
	u32 vp_count;
	u32 engine; /* enum hv_engine: already resolved, never "auto" */
	u32 debug_exit, test_devices, portable;
	u64 ram_size, vram_size, rom_size; /* bytes, page-aligned */
	u64 ram_start; /* of RAM: what is there before a slot says so; 0 = all */
	u32 fd_mask; /* which of enum hv_fd follow, in order */
	u32 jail_flags; /* jail.h */
	u32 uid; /* to become; 0 = stay */
	u32 code_cache; /* MiB for translated code, all VPs'; 0 = what the engine thinks right */
	u32 hardware_apics; /* the host's processor serves guests' local APICs (APICv, AVIC) */
};

/* How a guest came to its end. */
enum vm_end {
	VM_END_POWER_OFF,    /* S5 */
	VM_END_RESET,	     /* port 0x64, 0xcf9, 0x92, ACPI reset register */
	VM_END_TRIPLE_FAULT,
	VM_END_DEBUG_EXIT,   /* code = value written to 0xf4 */
	VM_END_CRASH,	     /* crash MSRs */
	VM_END_ENGINE,	     /* our own failure; text says which */
	VM_END_WORKER_LIED,  /* the worker broke the contract; text says how */
	VM_END_WORKER_GONE,  /* the verbs socket closed */
};

struct hv_stats {
	u64 instructions;   /* guest instructions begun, all VPs; 0 where the engine cannot tell */
	u64 exits_pio, exits_mmio, exits_worker; /* accesses, and those that crossed the wall */
	u64 interrupts, exceptions, halts, hypercalls;
	u64 decoded, code_flushes, tlb_misses;
	u64 first_entry_ns; /* CLOCK_MONOTONIC */
};

/* Both programs find their owner's socket here; every other descriptor comes over it. */
#define OWNER_FD 3

#define OWNER_TEXT_SIZE 1024
/* Keys and values of a guest's, in UTF-8: 256 and 1,024 units of UTF-16 at most. */
#define OWNER_KEY_SIZE 772
#define OWNER_VALUE_SIZE 3076

struct owner_message {
	u32 kind; /* enum owner_kind */
	u32 size; /* bytes used of u */
	union {
		struct hv_config hv;
		struct { char text[OWNER_TEXT_SIZE]; } ready;
		struct { s32 code; char text[ERR_TEXT_SIZE]; char fix[ERR_FIX_SIZE]; } failed;
		struct { u32 end; u32 code; char text[256]; } ended;
		/* code 0 or a negative errno with its words; is the disk there now, and how large? */
		struct { u32 id; s32 code; u32 there, reserved; u64 size; char text[ERR_TEXT_SIZE]; char fix[ERR_FIX_SIZE]; } disk_done;
		struct { u32 id; u32 pool; char key[OWNER_KEY_SIZE]; char value[OWNER_VALUE_SIZE]; } guest_pair;
		struct { u32 id; s32 code; char text[ERR_TEXT_SIZE]; char fix[ERR_FIX_SIZE]; } guest_done;
		struct { u32 controller, lun; } ejected;
		u64 host_free;
		struct { u64 assigned, demand, target, min, max; u32 buffer, weight, dynamic, reserved; char status[16]; } memory;
		struct hv_stats stats;
		char path[256];
		char text[OWNER_TEXT_SIZE];
	} u;
};
