/* SPDX-License-Identifier: Apache-2.0 */
/* Registers by name; see vp_registers.h. */
#include "hv/vp_registers.h"

#include "abi/hv_tlfs.h"
#include "hv/partition.h"
#include "hv/vp.h"

/* Runs of names that are runs of MSRs. */
static const struct {
	u32 name, count, msr;
} msrs[] = {
	{ HV_REGISTER_CRASH_P0, 6, HV_MSR_CRASH_P0 }, /* and the control */
	{ HV_REGISTER_TSC_FREQUENCY, 2, HV_MSR_TSC_FREQUENCY },
	{ HV_REGISTER_VP_RUNTIME, 1, HV_MSR_VP_RUNTIME },
	{ HV_REGISTER_HYPERCALL, 1, HV_MSR_HYPERCALL },
	{ HV_REGISTER_GUEST_OS_ID, 1, HV_MSR_GUEST_OS_ID },
	{ HV_REGISTER_VP_INDEX, 1, HV_MSR_VP_INDEX },
	{ HV_REGISTER_TIME_REF_COUNT, 1, HV_MSR_TIME_REF_COUNT },
	{ HV_REGISTER_EOI, 3, HV_MSR_EOI }, /* EOI, ICR, TPR */
	{ HV_REGISTER_VP_ASSIST_PAGE, 1, HV_MSR_VP_ASSIST_PAGE },
	{ HV_REGISTER_REFERENCE_TSC, 1, HV_MSR_REFERENCE_TSC },
	{ HV_REGISTER_SINT0, HV_SINTS, HV_MSR_SINT0 },
	{ HV_REGISTER_SCONTROL, 5, HV_MSR_SCONTROL }, /* to EOM */
	{ HV_REGISTER_STIMER0_CONFIG, 2 * HV_STIMERS, HV_MSR_STIMER0_CONFIG },
};

/* What CPUID says, all four words. */
static const struct {
	u32 name, leaf;
} leaves[] = {
	{ HV_REGISTER_VERSION, HV_CPUID_VERSION },
	{ HV_REGISTER_FEATURES, HV_CPUID_FEATURES },
	{ HV_REGISTER_HINTS, HV_CPUID_HINTS },
	{ HV_REGISTER_LIMITS, HV_CPUID_LIMITS },
	{ HV_REGISTER_HARDWARE, HV_CPUID_HARDWARE },
};

static bool find_msr(u32 name, u32 *ret_index)
{
	for (unsigned k = 0; k < ARRAY_COUNT(msrs); k++) {
		if (name < msrs[k].name || name - msrs[k].name >= msrs[k].count)
			continue;
		*ret_index = msrs[k].msr + (name - msrs[k].name);
		return true;
	}
	return false;
}

bool vp_register_read(struct vp *vp, u32 name, u64 ret_value[2])
{
	u32 index, words[4];

	ret_value[0] = ret_value[1] = 0;
	if (find_msr(name, &index))
		return guest_interface_msr_read(vp, index, &ret_value[0]);
	for (unsigned k = 0; k < ARRAY_COUNT(leaves); k++) {
		if (leaves[k].name != name)
			continue;
		guest_interface_cpuid(vp->partition, leaves[k].leaf, words);
		ret_value[0] = (u64)words[1] << 32 | words[0];
		ret_value[1] = (u64)words[3] << 32 | words[2];
		return true;
	}
	return false;
}

bool vp_register_write(struct vp *vp, u32 name, const u64 value[2])
{
	u32 index;

	return value[1] == 0 && find_msr(name, &index) &&
	       guest_interface_msr_write(vp, index, value[0]);
}
