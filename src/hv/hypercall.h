/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hypercalls (TLFS, Hypercall Interface): the input word taken apart and checked, parameters read
 * once from registers (two, or XMM registers too where that is offered) or from guest RAM, the call, its status. A table says which calls there
 * are; what cannot be served on this engine has no such code.
 *
 * How a guest gets here: through the hypercall page (hypercall_page_fill), which ends in VMCALL or
 * VMMCALL on an engine of ours, and in OUT where the instruction never reaches us (KVM) or the
 * guest may move there. Calls from anywhere but privilege level 0 are refused by #UD, or have no
 * effect (OUT).
 *
 * Thread: the VP's, in a call of its bus, no lock held; may block.
 */
#pragma once

#include "abi/hv_tlfs.h"
#include "base/types.h"

struct partition;
struct vp;

/*
 * The ports of the hypercall page's OUT. The first takes the connection of the commonest call, SignalEvent,
 * so that a host can answer it without us; the second everything else.
 */
#define HYPERCALL_PORT_SIGNAL 0xb8u /* 4 bytes */
#define HYPERCALL_PORT 0xbcu	    /* 1 byte */

/* VMCALL, VMMCALL. False: #UD. */
bool hypercall_by_instruction(struct vp *vp);
/* A write to one of the ports above. False: it is nobody's. */
bool hypercall_by_port(struct vp *vp, u16 port, unsigned size, u32 value);

/* A page of code for a guest that is in 64-bit code or not. */
void hypercall_page_fill(const struct partition *p, bool wide, u8 ret_page[4096]);
