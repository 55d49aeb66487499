/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that starts a kernel without firmware: RAM, hv's chips, ACPI, fw_cfg, and nothing
 * of the parent's but test devices where they are asked for.
 *
 *	1. direct_new		makes the parts; outside the jail
 *	2. direct_load		checks the images, loads the guest into RAM: hv is not needed yet
 *	3. direct_power_on	tells hv everything and runs the guest
 *	4. direct_reset		any number of times: stops, loads again, runs
 *	5. direct_free
 *
 * A guest that ran under another hv: direct_connect in place of 2 and 3, then blocks.h.
 *
 * Thread: loop thread.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct direct;
struct guest_memory;
struct loop;
struct worker_config;
struct worker_end;

struct direct_parts {
	const struct worker_config *config; /* checked; outlives the machine */
	struct guest_memory *gm;
	struct worker_end *end;
	struct loop *loop;
	u8 *rom; /* the ROM region, mapped */
	int kernel_fd;
	const int *module_fd; /* config->module_count of them */
};

int direct_new(const struct direct_parts *parts, struct direct **ret_machine,
	       struct err *err) MUST_CHECK;
void direct_free(struct direct *machine);

int direct_load(struct direct *machine, struct err *err) MUST_CHECK;
int direct_power_on(struct direct *machine, struct err *err) MUST_CHECK;
/* What hv is told of the machine; neither RAM nor a processor is touched. */
int direct_connect(struct direct *machine, struct err *err) MUST_CHECK;
int direct_reset(struct direct *machine, struct err *err) MUST_CHECK;

/* What was loaded: "Linux", "multiboot", "PVH". */
const char *direct_kernel_kind(const struct direct *machine);
