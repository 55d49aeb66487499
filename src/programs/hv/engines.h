/* SPDX-License-Identifier: Apache-2.0 */
/* Which engines this build has. */
#pragma once

#include "base/err.h"
#include "hv/engine.h"

/* The operations of an engine, or -EOPNOTSUPP and why. number is the owner's, unchecked. */
int engine_find(u32 number, const struct engine_ops **ret_ops, struct err *err)
	MUST_CHECK;
