/* SPDX-License-Identifier: Apache-2.0 */
/* The formats of disk images, and the rule by which a file's name tells its format. */
#pragma once

#include "base/types.h"

/*
 * Never guessed from the content: what a guest writes into a raw disk must not turn it into
 * another format.
 */
enum disk_format { DISK_RAW, DISK_ISO, DISK_VHD, DISK_VHDX, DISK_FORMATS };

/*
 * nbd://HOST[:PORT]/EXPORT and nbd+unix:///EXPORT?socket=PATH are exports of NBD servers: what a
 * server gives is raw, whatever it is called.
 */
bool disk_name_is_nbd(const char *name);
/* Of an export's name, with its end. */
#define DISK_EXPORT_SIZE 256

/* .iso, .vhd and .avhd, .vhdx and .avhdx; everything else is raw. */
enum disk_format disk_format_of_name(const char *name);
const char *disk_format_name(enum disk_format format);
