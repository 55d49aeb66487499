/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnbd, which speaks with NBD servers for nbd.c. It brings libraries for TLS and XML that no disk
 * of ours needs; therefore it is loaded only into a process that may get such a disk, and before
 * the process loses its rights to files. A host may do without it, and so may a build.
 */
#pragma once

#include "base/err.h"

/*
 * On the main thread, while the process may still open files; again is nothing. Negative where the
 * host or the build has no libnbd: err says so, and disks over NBD are refused by the same words.
 */
int nbd_library_load(struct err *err);
bool nbd_library_loaded(void);
/* Why there is none: a sentence and its cure; returns -EOPNOTSUPP. */
int nbd_library_missing(struct err *err);
