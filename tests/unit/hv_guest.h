/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that knows Hyper-V, on the scripted engine of hv_fixture.h: its pages, its registers, its
 * hypercalls. For scripts; a VP's thread.
 */
#pragma once

#include "abi/hv_tlfs.h"
#include "hv_fixture.h"

/* Where its pages lie. */
#define GUEST_MESSAGES 0x200000ull
#define GUEST_EVENTS 0x201000ull
#define GUEST_CALLS 0x202000ull
#define GUEST_INPUT 0x203000ull
#define GUEST_TIME 0x204000ull
#define GUEST_OUTPUT 0x205000ull
#define GUEST_VECTOR 0x53u /* of the VMBus SINT */

bool guest_wrmsr(struct script_vp *vp, u32 index, u64 value);
/* Must be there. */
u64 guest_rdmsr(struct script_vp *vp, u32 index);
/* What a guest does first: LAPIC, hypercall page, SynIC. */
void guest_open(struct script_vp *vp);
/* A hypercall from 64-bit code; its result. */
u64 guest_call(struct script_vp *vp, u64 word, u64 input, u64 output);
