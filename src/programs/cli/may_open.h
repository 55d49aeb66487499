/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How files of a VM are opened: as whoever runs us may; or, where tabique-launcher started us, only what
 * the host's list allows (config/host_paths.h). Any thread, once set.
 */
#pragma once

#include "config/host_paths.h"

/* From now on only what is listed; allow stays the caller's. */
void may_open_only(const struct host_allow *allow);

/* As open(2), close-on-exec; negative errno. */
int may_open(const char *path, int flags) MUST_CHECK;
bool may_use_tap(const char *name);
/* What cures an -EACCES here; NULL: nothing but the file's own rights. */
const char *may_open_cure(int r);
