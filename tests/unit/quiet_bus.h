/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What boards for tests of the processor have not got: MSRs, a local APIC, hypercalls, CPUID. A bus
 * begins with QUIET_BUS and names what it has besides.
 */
#pragma once

#include "x86/bus.h"

static inline bool quiet_msr_write(void *vp, u32 index, u64 value)
{
	return false;
}

static inline u8 quiet_tpr_get(void *vp)
{
	return 0;
}

static inline void quiet_tpr_set(void *vp, u8 value) {}

static inline bool quiet_hypercall(void *vp)
{
	return false;
}

static inline void quiet_cpuid(void *vp, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	memset(ret_regs, 0, 4 * sizeof(u32));
}

static inline u64 quiet_tsc_hz(void *vp)
{
	return 1000000000;
}

/* For those that are never interrupted. */
static inline int quiet_interrupt_take(void *vp)
{
	return -1;
}

#define QUIET_BUS                                           \
	.tpr_get = quiet_tpr_get, .tpr_set = quiet_tpr_set, \
	.hypercall = quiet_hypercall, .cpuid = quiet_cpuid, .tsc_hz = quiet_tsc_hz
