/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which engine executes a guest on this host. KVM counts where the host's processor shows VMX or
 * SVM: a KVM without them (hosts that are virtual machines themselves) emulates most of what a
 * kernel does and crawls, so "auto" takes the software engine there, and "kvm" is refused.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "programs/cli/run_options.h"

/* *ret_engine of enum hv_engine; *ret_kvm an opened /dev/kvm for it, the caller's, or -1. */
int engine_choose(enum run_engine wanted, u32 *ret_engine, int *ret_kvm, struct err *err)
	MUST_CHECK;

/* Does this host's processor serve the local APICs of KVM's guests, so that an EOI is no exit? */
bool engine_hardware_apics(void);
