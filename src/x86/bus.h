/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a processor of any engine asks of the machine around it. hv implements this once (the
 * partition's bus) and hands it to whichever engine runs; unit tests implement it with an array.
 *
 * Everything is called on the VP's own thread, with no lock held, and may block (an access that
 * the worker answers). `vp` is the pointer that came with the operations. None of these calls
 * longjmps; a port or address that nobody answers reads as all ones and drops writes.
 */
#pragma once

#include "base/types.h"
#include "wall/vp_state.h"

/* How one guest-physical page is backed. */
struct x86_page {
	u8 *host; /* the page in our address space; NULL = not memory: use mmio_* */
	_Atomic u8 *
		code; /* its byte in the code map; NULL for ROM and VRAM: never tracked */
	_Atomic u8 *dirty; /* its byte in the dirty map; NULL = not logged */
	u64 ram_page; /* index of its byte in the code map (valid when code != NULL) */
	u64 span; /* RAM: bytes from here on of which the same holds, everything else advancing with
		   * the address; 0 = not told */
	bool writable; /* false: writes are dropped (ROM) */
};

struct x86_bus_ops {
	void (*resolve)(void *vp, gpa_t gpa, struct x86_page *ret_page);

	/* size 1, 2, 4; element i of a string access is at data[i * size] */
	u32 (*pio_read)(void *vp, u16 port, unsigned size);
	void (*pio_write)(void *vp, u16 port, unsigned size, u32 value);
	void (*pio_read_string)(void *vp, u16 port, unsigned size, void *data,
				unsigned count);
	void (*pio_write_string)(void *vp, u16 port, unsigned size, const void *data,
				 unsigned count);

	/* size 1, 2, 4, 8; never crosses a page */
	u64 (*mmio_read)(void *vp, gpa_t gpa, unsigned size);
	void (*mmio_write)(void *vp, gpa_t gpa, unsigned size, u64 value);

	/*
	 * MSRs that the engine does not keep itself: APIC base, TSC deadline, x2APIC
	 * (0x800-0x8ff), synthetic (0x40000000-0x400001ff). false: raise #GP.
	 */
	bool (*msr_read)(void *vp, u32 index, u64 *ret_value);
	bool (*msr_write)(void *vp, u32 index, u64 value);

	/* The task priority, CR8's view of it: 0-15. */
	u8 (*tpr_get)(void *vp);
	void (*tpr_set)(void *vp, u8 value);

	/* Take the highest acceptable interrupt: its vector, or -1 when there is none after all. */
	int (*interrupt_take)(void *vp);

	/* Engines with local APICs of their own: a level-triggered vector ended. */
	void (*eoi)(void *vp, u8 vector);

	/* VMCALL/VMMCALL in CPL 0; false: raise #UD. Registers by get/set of the engine. */
	bool (*hypercall)(void *vp);

	/* CPUID result of a leaf; the engine passes the dynamic bits (OSXSAVE, XCR0 sizes) itself. */
	void (*cpuid)(void *vp, u32 leaf, u32 subleaf, u32 ret_regs[4]);

	/* The guest has set its time stamp counter to another value. NULL: nobody cares. */
	void (*tsc_moved)(void *vp);

	/* NULL, or: what the counter shows in place of `now`. */
	u64 (*tsc)(void *vp, u64 now);

	/* Time stamp counter ticks of the host per second, offset to host TSC kept by the engine. */
	u64 (*tsc_hz)(void *vp);
};
