/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in words of people: of a command line, of a configuration. Any thread. */
#pragma once

#include "base/types.h"

/* A decimal number; *ret_rest is what stands behind it. */
bool parse_number(const char *text, u64 *ret_number, const char **ret_rest);

/* 512M, 1G, 2048KiB, 1T; a bare number is bytes. Nothing else may stand there. */
bool parse_size(const char *text, u64 *ret_size);
