/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of VMs: TABIQUE/NAME below the host's, v2 or v1, for processor time and to find every process
 * of a VM. Where the host has none, or has not given us the right to them, VMs run without: groups_report
 * says which. Thread: the loop's.
 */
#pragma once

#include "wall/launch_order.h"

/* Looks what there is. "cgroups v2", "cgroups v1 (cpu)", "no cgroups (why)". */
void groups_open(void);
const char *groups_report(void);

/* A group for the VM and its limits; then the process is moved there (0: whoever calls). */
void group_make(const char *name, const struct launch_limits *limits);
int group_set(const char *name, const struct launch_limits *limits) MUST_CHECK;
/* In the child between fork and exec: becomes part of the group. */
void group_join(const char *name);
/* When its processes are gone. */
void group_remove(const char *name);
