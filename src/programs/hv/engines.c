/* SPDX-License-Identifier: Apache-2.0 */
/* Which engines this build has; see engines.h. */
#include "programs/hv/engines.h"

#include <errno.h>

static const struct engine_ops *const engines[] = {
	[HV_ENGINE_SOFT] = &engine_soft_ops,
	[HV_ENGINE_INTERP] = &engine_soft_ops,
	[HV_ENGINE_KVM] = &engine_kvm_ops,
	[HV_ENGINE_LOCKSTEP] = &engine_soft_ops,
};

int engine_find(u32 number, const struct engine_ops **ret_ops, struct err *err)
{
	if (number >= ARRAY_COUNT(engines))
		return err_set(err, -EINVAL, "there is no engine number %u", number);
	*ret_ops = engines[number];
	return 0;
}
