/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of a processor by the names that the TLFS gives them (HvCallGetVpRegisters,
 * HvCallSetVpRegisters): the synthetic ones, which are MSRs as well, and what CPUID says. A guest
 * sees its own processor only; what an architecture's registers hold it can read itself.
 *
 * Thread: the VP's, in a call of its bus, no lock held.
 */
#pragma once

#include "base/types.h"

struct vp;

/* False: there is no such register, or not with this value. */
bool vp_register_read(struct vp *vp, u32 name, u64 ret_value[2]);
bool vp_register_write(struct vp *vp, u32 name, const u64 value[2]);
