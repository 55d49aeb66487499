/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that knows Hyper-V; see hv_guest.h. */
#include "hv_guest.h"

bool guest_wrmsr(struct script_vp *vp, u32 index, u64 value)
{
	return vp->bus->msr_write(vp->bus_vp, index, value);
}

u64 guest_rdmsr(struct script_vp *vp, u32 index)
{
	u64 v = 0;

	EXPECT(vp->bus->msr_read(vp->bus_vp, index, &v));
	return v;
}

void guest_open(struct script_vp *vp)
{
	script_open_lapic(vp);
	vp->call = (struct engine_call){ .wide = true, .privileged = true };
	EXPECT(guest_wrmsr(vp, HV_MSR_GUEST_OS_ID, 0x8100ull << 48));
	EXPECT(guest_wrmsr(vp, HV_MSR_HYPERCALL, GUEST_CALLS | 1));
	EXPECT(guest_wrmsr(vp, HV_MSR_SIMP, GUEST_MESSAGES | 1));
	EXPECT(guest_wrmsr(vp, HV_MSR_SIEFP, GUEST_EVENTS | 1));
	EXPECT(guest_wrmsr(vp, HV_MSR_SINT0 + HV_SINT_VMBUS, GUEST_VECTOR));
	EXPECT(guest_wrmsr(vp, HV_MSR_SCONTROL, 1));
}

u64 guest_call(struct script_vp *vp, u64 word, u64 input, u64 output)
{
	vp->call.gpr[R_CX] = word;
	vp->call.gpr[R_DX] = input;
	vp->call.gpr[R_8] = output;
	EXPECT(vp->bus->hypercall(vp->bus_vp));
	return vp->call.gpr[R_AX];
}
