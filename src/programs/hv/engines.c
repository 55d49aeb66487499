/* SPDX-License-Identifier: Apache-2.0 */
/* Which engines this build has; see engines.h. */
#include "programs/hv/engines.h"

#include <errno.h>

static const struct {
	const char *name;
	const struct engine_ops *ops; /* NULL: not in this version */
} engines[] = {
	[HV_ENGINE_SOFT] = { "soft", &engine_soft_ops },
	[HV_ENGINE_INTERP] = { "interp", &engine_soft_ops },
	[HV_ENGINE_KVM] = { "kvm", NULL },
};

int engine_find(u32 number, const struct engine_ops **ret_ops, struct err *err)
{
	if (number >= ARRAY_COUNT(engines))
		return err_set(err, -EINVAL, "there is no engine number %u", number);
	if (!engines[number].ops) {
		err_set(err, -EOPNOTSUPP, "the engine '%s' is not in this version",
			engines[number].name);
		return err_fix(err, "use --engine soft");
	}
	*ret_ops = engines[number].ops;
	return 0;
}
