/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in the words of a command line. */
#pragma once

#include "base/types.h"

/* A decimal number; *ret_rest is what stands behind it. */
bool parse_number(const char *text, u64 *ret_number, const char **ret_rest);

/* 512M, 1G, 2048KiB, 1T; a bare number is bytes. Nothing else may stand there. */
bool parse_size(const char *text, u64 *ret_size);

/* "scsi0:3": unit 3 of SCSI controller 0. */
bool parse_unit(const char *text, u32 *ret_controller, u32 *ret_lun);
