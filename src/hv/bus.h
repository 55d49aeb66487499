/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every engine asks of the machine (x86/bus.h), answered by the partition: memory_map.h for
 * pages, io_map.h for ports and MMIO, the VP's LAPIC for interrupts and its MSRs. The VP pointer
 * that comes with each call is a struct vp. VP's thread, no lock held.
 */
#pragma once

#include "x86/bus.h"

extern const struct x86_bus_ops hv_bus_ops;
